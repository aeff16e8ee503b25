/** What `@google-cloud/storage` does, against a listening endpoint. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Storage } from '@google-cloud/storage';
import { call, clientOf, startEndpoint } from './local-endpoint.ts';

const keys = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
const endpoint = await startEndpoint({ signedUrlKey: keys.publicKey });
const storage = clientOf(endpoint.url);
const bucket = storage.bucket('specs');
const createOnly = { preconditionOpts: { ifGenerationMatch: 0 } };

describe('uploads', () => {
  for (const resumable of [false, true]) {
    test(`a saved object reads back, resumable: ${resumable}`, async () => {
      for (const bytes of [0, 1, 1000, 300_000]) {
        const content = randomBytes(bytes);
        const file = bucket.file(`saved/${resumable} +ü%/${bytes}.bin`);
        await file.save(content, {
          resumable,
          contentType: 'application/x-test',
          metadata: { metadata: { arch: 'x86_64' } },
        });
        const [read] = await file.download();
        assert.deepEqual(read, content);
        const [metadata] = await file.getMetadata();
        assert.equal(metadata.size, String(bytes));
        assert.equal(metadata.contentType, 'application/x-test');
        assert.deepEqual(metadata.metadata, { arch: 'x86_64' });
        assert.match(String(metadata.generation), /^\d{16}$/);
        assert.equal(metadata.metageneration, '1');
      }
    });
  }

  test('a stream of unknown length becomes an object', async () => {
    const pieces = Array.from({ length: 40 }, () => randomBytes(50_000));
    const file = bucket.file('streamed');
    await pipeline(Readable.from(pieces), file.createWriteStream());
    const [read] = await file.download();
    assert.deepEqual(read, Buffer.concat(pieces));
  });

  test('chunked uploads of any length become the object', async () => {
    const chunkSize = 256 * 1024;
    for (const bytes of [0, 1, chunkSize - 1, chunkSize, 2 * chunkSize, 3 * chunkSize + 17]) {
      const content = randomBytes(bytes);
      const file = bucket.file(`chunked/${bytes}`);
      await pipeline(Readable.from([content]), file.createWriteStream({ chunkSize }));
      const [read] = await file.download();
      assert.deepEqual(read, content, `${bytes} bytes`);
    }
  });

  test('a wrong checksum is refused and leaves no object', async () => {
    const file = bucket.file('mismatch');
    for (const resumable of [false, true]) {
      await assert.rejects(
        file.save('content', { resumable, metadata: { crc32c: 'AAAAAA==' } }),
        { code: 400 },
        String(resumable),
      );
    }
    assert.deepEqual(await file.exists(), [false]);
  });

  test('a bucket that is not there is a 404 with the body of the JSON API', async () => {
    const file = storage.bucket('nowhere').file('x');
    for (const resumable of [false, true]) {
      await assert.rejects(file.save('content', { resumable }), { code: 404 });
    }
    const answer = await call(`${endpoint.url}/storage/v1/b/nowhere/o/x`);
    const { error } = JSON.parse(answer.body.toString());
    assert.equal(answer.status, 404);
    assert.equal(error.code, 404);
    assert.equal(error.errors[0].reason, 'notFound');
    assert.equal(error.errors[0].domain, 'global');
  });
});

describe('downloads', () => {
  const content = randomBytes(1_000_000);
  const file = bucket.file('ranges');

  test('ranges give the stretch asked for', async () => {
    await file.save(content, { resumable: false });
    for (const [start, end] of [
      [0, 0],
      [0, 999_999],
      [10, 600_000],
      [999_990, 2_000_000],
    ] as const) {
      const [read] = await file.download({ start, end });
      assert.deepEqual(read, content.subarray(start, end + 1));
    }
    const url = `${endpoint.url}/download/storage/v1/b/specs/o/ranges?alt=media`;
    const suffix = await call(url, { headers: { Range: 'bytes=-5' } });
    assert.equal(suffix.status, 206);
    assert.equal(suffix.headers['content-range'], 'bytes 999995-999999/1000000');
    assert.deepEqual(suffix.body, content.subarray(-5));
    assert.equal((await call(url, { headers: { Range: 'bytes=1000000-' } })).status, 416);
  });

  test('an object that is replaced while it is read arrives whole', async () => {
    const replaced = bucket.file('replaced');
    const versions = [Buffer.alloc(3_000_000, 1), Buffer.alloc(3_000_000, 2)];
    await replaced.save(versions[0] ?? '', { resumable: false });
    let writing = true;
    const writer = (async () => {
      for (let turn = 1; turn <= 20; turn += 1) {
        await replaced.save(versions[turn % 2] ?? '', { resumable: false });
      }
      writing = false;
    })();
    while (writing) await replaced.download({ validation: 'crc32c' });
    await writer;
  });

  test('a gzip-encoded object is kept as sent, and inflated for who takes no gzip', async () => {
    const text = 'a line of text\n'.repeat(5000);
    const zipped = bucket.file('zipped.txt');
    await zipped.save(text, { gzip: true, resumable: false });
    const [metadata] = await zipped.getMetadata();
    assert.equal(metadata.contentEncoding, 'gzip');
    assert.ok(Number(metadata.size) < text.length / 10);
    const [inflated] = await zipped.download();
    assert.equal(inflated.toString(), text);

    const url = `${endpoint.url}/storage/v1/b/specs/o/zipped.txt?alt=media`;
    const stored = await call(url, { headers: { 'Accept-Encoding': 'gzip' } });
    assert.equal(stored.headers['content-encoding'], 'gzip');
    assert.equal(stored.headers['x-goog-stored-content-encoding'], 'gzip');
    assert.match(String(stored.headers['x-goog-hash']), /^crc32c=.{8},md5=.{24}$/);
    assert.equal(gunzipSync(stored.body).toString(), text);
    const plain = await call(url);
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.equal(plain.headers['x-goog-hash'], undefined);
    assert.equal(plain.body.toString(), text);
    const range = await call(url, { headers: { Range: 'bytes=0-9' } });
    assert.deepEqual(range.body, stored.body.subarray(0, 10));
  });
});

describe('listing', () => {
  const names = ['list/a', 'list/b/1', 'list/b/2', 'list/c', 'list/d/1', 'list/é', 'list/\u{1f600}'];

  test('prefix, delimiter and pages', async () => {
    await Promise.all(names.map((name) => bucket.file(name).save(name, { resumable: false })));
    const [all] = await bucket.getFiles({ prefix: 'list/' });
    assert.deepEqual(
      all.map((file) => file.name),
      names,
    );
    const found: string[] = [];
    const folders: string[] = [];
    let pageToken: string | undefined;
    do {
      const query = { prefix: 'list/', delimiter: '/', maxResults: '2', ...(pageToken && { pageToken }) };
      const answer = await call(
        `${endpoint.url}/storage/v1/b/specs/o?${new URLSearchParams(query).toString()}`,
      );
      const page = JSON.parse(answer.body.toString());
      found.push(...(page.items ?? []).map((item: { name: string }) => item.name));
      folders.push(...(page.prefixes ?? []));
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
    assert.deepEqual(found, ['list/a', 'list/c', 'list/é', 'list/\u{1f600}']);
    assert.deepEqual(folders, ['list/b/', 'list/d/']);
    const [versions] = await bucket.getFiles({ prefix: 'list/', versions: true, maxResults: 3 });
    assert.equal(versions.length, 3);
  });

  test('what a listing does not know is refused rather than ignored', async () => {
    await assert.rejects(bucket.getFiles({ matchGlob: '**' }), { code: 400 });
  });
});

describe('preconditions', () => {
  test('of 32 writers that only create, exactly one wins', async () => {
    for (const resumable of [false, true]) {
      const file = `race-${resumable}`;
      const writes = Array.from({ length: 32 }, (_, writer) =>
        bucket.file(file).save(`writer ${writer}`, { resumable, ...createOnly }),
      );
      const results = await Promise.allSettled(writes);
      const winners = results.flatMap((result, writer) => (result.status === 'fulfilled' ? [writer] : []));
      assert.equal(winners.length, 1);
      for (const result of results) {
        if (result.status === 'rejected') assert.equal(result.reason.code, 412);
      }
      const [content] = await bucket.file(file).download();
      assert.equal(content.toString(), `writer ${winners[0]}`);
    }
  });

  test('writers that replace the generation they read lose no update', async () => {
    const file = bucket.file('counter');
    await file.save('0', { resumable: false, ...createOnly });
    const increment = async (): Promise<void> => {
      for (;;) {
        const [metadata] = await file.getMetadata();
        const generation = Number(metadata.generation);
        try {
          const [value] = await bucket.file('counter', { generation }).download();
          await file.save(String(Number(value.toString()) + 1), {
            resumable: false,
            preconditionOpts: { ifGenerationMatch: generation },
          });
          return;
        } catch (error) {
          assert.ok(
            error instanceof Error && 'code' in error && [404, 412].includes(Number(error.code)),
            String(error),
          );
        }
      }
    };
    await Promise.all(Array.from({ length: 12 }, increment));
    const [value] = await file.download();
    assert.equal(value.toString(), '12');
  });

  test('conditions guard reads, changes and deletes', async () => {
    const file = bucket.file('guarded');
    await file.save('content', { resumable: false });
    const [metadata] = await file.getMetadata();
    const generation = Number(metadata.generation);
    await assert.rejects(file.setMetadata({ contentType: 'a/b' }, { ifMetagenerationMatch: 9 }), {
      code: 412,
    });
    await assert.rejects(file.delete({ ifGenerationMatch: generation + 1 }), { code: 412 });
    const url = `${endpoint.url}/storage/v1/b/specs/o/guarded`;
    assert.equal((await call(`${url}?ifGenerationNotMatch=${generation}`)).status, 304);
    assert.equal((await call(`${url}?alt=media&ifGenerationMatch=${generation + 1}`)).status, 412);
    assert.equal((await call(`${url}?generation=${generation + 1}`)).status, 404);
    await file.delete({ ifGenerationMatch: generation });
    await assert.rejects(file.delete(), { code: 404 });
  });

  test('generations only ever rise', async () => {
    const file = bucket.file('rising');
    let last = 0;
    for (let turn = 0; turn < 20; turn += 1) {
      await file.save(String(turn), { resumable: false });
      const generation = Number(file.metadata.generation);
      assert.ok(generation > last && Number.isSafeInteger(generation));
      last = generation;
      if (turn % 3 === 0) await file.delete();
    }
  });
});

describe('metadata', () => {
  test('a change keeps the rest, null removes, and the metageneration counts', async () => {
    const file = bucket.file('described');
    await file.save('content', { resumable: false, metadata: { metadata: { a: '1', b: '2' } } });
    const generation = file.metadata.generation;
    await file.setMetadata({ cacheControl: 'no-store', metadata: { b: null, c: '3' } });
    const [metadata] = await file.getMetadata();
    assert.equal(metadata.cacheControl, 'no-store');
    assert.deepEqual(metadata.metadata, { a: '1', c: '3' });
    assert.equal(metadata.metageneration, '2');
    assert.equal(metadata.generation, generation);
  });
});

describe('compose, copy and move', () => {
  test('32 sources become one object, 33 are refused', async () => {
    const sources = await Promise.all(
      Array.from({ length: 33 }, async (_, part) => {
        const file = bucket.file(`part/${part}`);
        await file.save(`part ${part};`, { resumable: false });
        return file;
      }),
    );
    const whole = bucket.file('composed');
    await bucket.combine(sources.slice(0, 32), whole, { ifGenerationMatch: 0 });
    const [content] = await whole.download();
    assert.equal(content.toString(), Array.from({ length: 32 }, (_, part) => `part ${part};`).join(''));
    const [metadata] = await whole.getMetadata();
    assert.equal(metadata.componentCount, 32);
    assert.equal(metadata.md5Hash, undefined);
    await assert.rejects(bucket.combine(sources, bucket.file('too-many')), { code: 400 });
    await assert.rejects(bucket.combine(sources.slice(0, 2), whole, { ifGenerationMatch: 0 }), { code: 412 });
  });

  test('conditions on the sources of a compose hold', async () => {
    const source = bucket.file('source');
    await source.save('content', { resumable: false });
    const generation = Number(source.metadata.generation);
    const compose = (sourceObject: object) =>
      call(`${endpoint.url}/storage/v1/b/specs/o/target/compose`, {
        method: 'POST',
        body: JSON.stringify({ destination: {}, sourceObjects: [sourceObject] }),
      });
    const wrong = { ifGenerationMatch: String(generation + 1) };
    assert.equal((await compose({ name: 'source', objectPreconditions: wrong })).status, 412);
    assert.equal((await compose({ name: 'source', generation: generation + 1 })).status, 404);
    assert.equal((await compose({ name: 'source', generation: String(generation) })).status, 200);
    assert.equal((await compose({ name: 'source', generation })).status, 200);
  });

  test('a copy has the bytes and settings of its source and outlives it', async () => {
    const source = bucket.file('original');
    await source.save('content', {
      resumable: false,
      contentType: 'a/b',
      metadata: { metadata: { k: 'v' } },
    });
    await storage.createBucket('other');
    const [copy] = await source.copy(storage.bucket('other').file('copy'));
    await source.delete();
    const [content] = await copy.download();
    assert.equal(content.toString(), 'content');
    const [metadata] = await copy.getMetadata();
    assert.equal(metadata.contentType, 'a/b');
    assert.deepEqual(metadata.metadata, { k: 'v' });
    const url = `${endpoint.url}/storage/v1/b/other/o/copy/rewriteTo/b/specs/o/back`;
    assert.equal((await call(`${url}?ifSourceGenerationMatch=1`, { method: 'POST' })).status, 412);
    assert.equal((await call(`${url}?ifGenerationMatch=0`, { method: 'POST' })).status, 200);
    assert.equal((await call(`${url}?ifGenerationMatch=0`, { method: 'POST' })).status, 412);
  });

  test('a moved object is at its new name only', async () => {
    await bucket.file('old').save('content', { resumable: false });
    await bucket.file('old').move('new');
    assert.deepEqual(await bucket.file('old').exists(), [false]);
    const [content] = await bucket.file('new').download();
    assert.equal(content.toString(), 'content');
  });
});

describe('buckets', () => {
  test('are made once, listed, and removed when empty', async () => {
    await storage.createBucket('made');
    await assert.rejects(storage.createBucket('made'), { code: 409 });
    const [buckets] = await storage.getBuckets();
    assert.ok(buckets.some((one) => one.name === 'made'));
    const file = storage.bucket('made').file('x');
    await file.save('content', { resumable: false });
    await assert.rejects(storage.bucket('made').delete(), { code: 409 });
    await file.delete();
    await storage.bucket('made').delete();
    assert.deepEqual(await storage.bucket('made').exists(), [false]);
    await assert.rejects(storage.createBucket('Not_A/Name'), { code: 400 });
  });
});

describe('public and signed URLs', () => {
  const signer = new Storage({
    projectId: 'local',
    apiEndpoint: endpoint.url,
    credentials: { client_email: 'signer@local.example', private_key: keys.privateKey },
  });

  test('a signed URL gives the object, a changed one does not', async () => {
    const name = "dir/a b+ü(1)'.txt";
    await bucket.file(name).save('content', { resumable: false });
    const [url] = await signer
      .bucket('specs')
      .file(name)
      .getSignedUrl({
        version: 'v4',
        action: 'read',
        expires: Date.now() + 60_000,
        promptSaveAs: 'a.txt',
      });
    const answer = await call(url);
    assert.equal(answer.status, 200);
    assert.equal(answer.body.toString(), 'content');
    assert.equal(answer.headers['content-disposition'], 'attachment; filename="a.txt"');
    assert.equal((await fetch(url)).status, 200);
    assert.equal((await call(url.replace('dir/', 'dir2/'))).status, 403);
    assert.equal((await call(url.replace(/X-Goog-Expires=\d+/, 'X-Goog-Expires=100000'))).status, 403);
  });

  test('a public URL gives the object without a signature', async () => {
    await bucket.file('public/a.txt').save('content', { resumable: false, contentType: 'text/plain' });
    const answer = await call(`${endpoint.url}/specs/public/a.txt`);
    assert.equal(answer.body.toString(), 'content');
    assert.equal(answer.headers['content-type'], 'text/plain');
    const head = await call(`${endpoint.url}/specs/public/a.txt`, { method: 'HEAD' });
    assert.equal(head.headers['content-length'], '7');
    assert.equal((await call(`${endpoint.url}/specs/public/none`)).status, 404);
  });

  test('what the endpoint does not know is said to be unsupported', async () => {
    assert.equal((await call(`${endpoint.url}/storage/v1/b/specs/iam`)).status, 501);
    assert.equal((await call(`${endpoint.url}/storage/v1/b/specs/o/%E0%A4%A`)).status, 400);
  });
});
