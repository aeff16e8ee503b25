import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  createIndexCache,
  type IndexCache,
  type RepositoryIndex,
} from '../../../runner/environment/repository.ts';
import { storageUrl } from '../../../runner/environment/storage-location.ts';
import type { SigningKey } from '../../../shared/apk/keys.ts';
import { writeIndexArchive } from '../../../shared/apk/package-index.ts';
import { createObject } from '../../../shared/storage/objects.ts';
import { clientOf, startEndpoint } from '../gcs/local-endpoint.ts';
import {
  configured,
  newKey,
  ringOf,
  SHORT,
  type SmallRepository,
  serving,
  smallRepository,
  startServer,
  type TestServer,
} from './repository-fixture.ts';

const never = new AbortController().signal;
const endpoint = await startEndpoint({ buckets: ['packages'] });

describe('the indexes that are kept', () => {
  let key: SigningKey;
  let small: SmallRepository;
  let newer: SmallRepository;
  let server: TestServer;
  /** Paths that were sent whole. */
  let sent: string[];

  before(async () => {
    key = await newKey('test.rsa');
    [small, newer] = await Promise.all([smallRepository(key), smallRepository(key, '2.0-r0')]);
    server = await startServer(serving({}));
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    sent = [];
  });

  const read = (cache: IndexCache, path = ''): Promise<RepositoryIndex> =>
    cache.read(configured(`${server.url}${path}`, ringOf(key)), 'x86_64', never);
  const versions = async (cache: IndexCache): Promise<string[]> =>
    (await read(cache)).entries.map((entry) => entry.version);
  /** As web servers do, with the time of the last change instead of an ETag. */
  const dated = (index: Buffer, modified: string, date: string): RequestListener => {
    return (request, response) => {
      const headers = { 'last-modified': modified, date };
      if (request.headers['if-modified-since'] === modified) return response.writeHead(304, headers).end();
      sent.push(request.url ?? '');
      response.writeHead(200, headers).end(index);
    };
  };

  test('are asked for by the time of their last change where there is no ETag', async () => {
    const cache = createIndexCache(SHORT);
    server.answer = dated(small.index, 'Mon, 01 Jan 2024 00:00:00 GMT', 'Mon, 01 Jan 2024 00:00:05 GMT');
    const first = await read(cache);
    assert.equal((await read(cache)).entries, first.entries);
    assert.equal(sent.length, 1);
    server.answer = dated(newer.index, 'Mon, 01 Jan 2024 00:00:07 GMT', 'Mon, 01 Jan 2024 00:00:09 GMT');
    assert.deepEqual(await versions(cache), ['2.0-r0']);
    assert.deepEqual(await versions(cache), ['2.0-r0']);
    assert.equal(sent.length, 2);
  });

  test('are not trusted by a time within which they may change again', async () => {
    const cache = createIndexCache(SHORT);
    const now = 'Mon, 01 Jan 2024 00:00:00 GMT';
    server.answer = dated(small.index, now, now);
    await read(cache);
    server.answer = dated(newer.index, now, now);
    assert.deepEqual(await versions(cache), ['2.0-r0']);
    assert.equal(sent.length, 2);
  });

  test('go when there are too many, those first that were not asked for the longest, and nobody loses one', async () => {
    const [entry] = (await readSmall()).entries;
    assert.ok(entry);
    const records = (count: number): Promise<Buffer> =>
      writeIndexArchive(
        Array.from({ length: count }, (_, at) => ({ ...entry, name: `package-${at}` })),
        { key },
      );
    const index = await records(10);
    const large = await records(40);
    server.answer = (request, response) => {
      if (request.headers['if-none-match'] === '"1"') return response.writeHead(304).end();
      sent.push((request.url ?? '').split('/')[1] ?? '');
      response.writeHead(200, { etag: '"1"' }).end(request.url?.startsWith('/large') ? large : index);
    };
    const cache = createIndexCache(SHORT, 30);
    const a = await read(cache, '/a');
    for (const path of ['/b', '/c']) await read(cache, path);
    // Asked for again, so that b is now the oldest.
    assert.equal((await read(cache, '/a')).entries, a.entries);
    await read(cache, '/d');
    assert.deepEqual(sent, ['a', 'b', 'c', 'd']);
    for (const path of ['/a', '/c', '/d']) await read(cache, path);
    assert.deepEqual(sent, ['a', 'b', 'c', 'd']);
    await read(cache, '/b');
    assert.deepEqual(sent, ['a', 'b', 'c', 'd', 'b']);
    // Larger than the limit by itself: all others go, it stays.
    await read(cache, '/large');
    await read(cache, '/large');
    assert.deepEqual(sent.slice(5), ['large']);
    await read(cache, '/a');
    assert.deepEqual(sent.slice(5), ['large', 'a']);
    assert.equal(a.entries.length, 10);
    assert.equal(a.entries[9]?.name, 'package-9');
  });

  const readSmall = async (): Promise<RepositoryIndex> => {
    server.answer = (_request, response) => response.end(small.index);
    return read(createIndexCache(SHORT));
  };

  test('are given up as soon as their signer is known to be a stranger, however long they are', async () => {
    const closed = Promise.withResolvers<void>();
    server.answer = (_request, response) => {
      response.on('close', () => closed.resolve());
      // The rest never comes.
      response.write(small.index.subarray(0, small.index.length - 50));
    };
    const stranger = configured(server.url, ringOf(await newKey('other.rsa')));
    const limits = { idleMs: 600_000, totalMs: 600_000, pauseMs: 5 };
    await assert.rejects(createIndexCache(limits).read(stranger, 'x86_64', never), {
      code: 'index-signature',
    });
    await closed.promise;
  });

  test('come from a bucket as from a web server', async () => {
    const bucket = clientOf(endpoint.url).bucket('packages');
    const object = { bytes: small.index, type: 'application/gzip' };
    await createObject(bucket, 'os/edge +1/x86_64/APKINDEX.tar.gz', object);
    const location = 'gs://packages/os/edge +1';
    const from = { ...configured(location, ringOf(key)), baseUrl: storageUrl(location, endpoint.url) };
    const cache = createIndexCache(SHORT);
    const index = await cache.read(from, 'x86_64', never);
    assert.deepEqual(
      index.entries.map((entry) => entry.version),
      ['1.0-r0'],
    );
    await assert.rejects(cache.read(from, 'aarch64', never), {
      code: 'repository-unavailable',
      message: /404/,
    });
  });
});
