import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createIndexCache, type IndexCache } from '../../../runner/environment/repository.ts';
import {
  type FetchLimits,
  fetchFrom,
  type RepositoryAnswer,
} from '../../../runner/environment/repository-fetch.ts';
import { splitGzipMembers } from '../../../shared/apk/gzip-split.ts';
import type { SigningKey } from '../../../shared/apk/keys.ts';
import { readIndexArchive, writeIndexArchive } from '../../../shared/apk/package-index.ts';
import { PipelineError } from '../../../shared/errors.ts';
import {
  configured,
  filesOf,
  INDEX,
  lockHello,
  newKey,
  PACKAGE,
  ringOf,
  SHORT,
  type SmallRepository,
  serving,
  smallRepository,
  startServer,
  type TestServer,
  watchedLedger,
} from './repository-fixture.ts';

const never = new AbortController().signal;

describe('a repository that misbehaves', () => {
  let key: SigningKey;
  let otherKey: SigningKey;
  let small: SmallRepository;
  let newer: SmallRepository;
  let server: TestServer;

  before(async () => {
    [key, otherKey] = await Promise.all([newKey('test.rsa'), newKey('other.rsa')]);
    [small, newer] = await Promise.all([smallRepository(key), smallRepository(key, '2.0-r0')]);
    server = await startServer(serving({}));
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    server.answer = serving(filesOf(small));
    server.asked.length = 0;
  });

  const repository = (...keys: readonly SigningKey[]) =>
    configured(server.url, ringOf(...(keys.length === 0 ? [key] : keys)));
  const served = (files: Record<string, Buffer>): void => {
    server.answer = serving({ ...filesOf(small), ...files });
  };
  /** Everything but this path is served rightly. */
  const answering = (path: string, answer: (response: ServerResponse) => void): void => {
    server.answer = (request, response) =>
      request.url === path ? answer(response) : serving(filesOf(small))(request, response);
  };

  /** Locking fails like this, remembers nothing, and works as soon as the repository is right again. */
  const fails = async (code: string, message: RegExp, from = repository()): Promise<void> => {
    const ledger = watchedLedger();
    const indexes = createIndexCache(SHORT);
    await assert.rejects(lockHello(from, { ledger, indexes }), (thrown) => {
      assert.ok(thrown instanceof PipelineError, String(thrown));
      assert.deepEqual([thrown.code, thrown.kind], [code, 'infra'], thrown.message);
      assert.match(thrown.message, message);
      return true;
    });
    assert.deepEqual(ledger.remembered, []);
    server.answer = serving(filesOf(small));
    const [locked] = await lockHello(repository(), { ledger, indexes });
    assert.equal(locked?.bytes, small.apk.length);
    assert.equal(ledger.remembered.length, 1);
  };

  test('with an index that was changed after it was signed is not believed', async () => {
    const [signature] = await members(small.index);
    assert.ok(signature);
    const changed = await writeIndexArchive([]);
    served({ [INDEX]: Buffer.concat([signature, changed]) });
    await fails('index-signature', /does not match its bytes/);
  });

  test('with one changed byte in its index is not believed', async () => {
    served({ [INDEX]: flipped(small.index, small.index.length - 100) });
    const error: unknown = await lockHello(repository()).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof PipelineError);
    assert.equal(error.kind, 'infra');
    assert.equal(error.code, 'index-signature');
  });

  test('with an index that is not signed is not believed', async () => {
    served({ [INDEX]: await writeIndexArchive([]) });
    await fails('index-signature', /carries no signature/);
  });

  test('that signs with an unknown key is not believed, nor one that gives its own key a known name', async () => {
    await fails('index-signature', /none of them a known key/, repository(otherKey));
    const impostor = await smallRepository(await newKey('test.rsa'));
    served(filesOf(impostor));
    await fails('index-signature', /does not match its bytes/);
  });

  test('may change its key while the old and the new one are both known', async () => {
    const both = repository(key, otherKey);
    const indexes = createIndexCache(SHORT);
    await lockHello(both, { indexes });
    const rotated = await smallRepository(otherKey);
    served(filesOf(rotated));
    const [locked] = await lockHello(both, { indexes });
    assert.equal(locked?.bytes, rotated.apk.length);
  });

  test('with a package whose signature was changed is refused', async () => {
    const [signature, control, data] = await members(small.apk);
    const [foreign] = await members((await smallRepository(await newKey('test.rsa'))).apk);
    assert.ok(signature && control && data && foreign);
    served({ [PACKAGE]: Buffer.concat([foreign, control, data]) });
    await fails('apk-mismatch', /signature by test\.rsa\.pub does not match/);
    served({ [PACKAGE]: flipped(small.apk, Math.floor(signature.length / 2)) });
    await fails('apk-malformed', /hello-1\.0-r0\.apk/);
  });

  test('with a package whose control part was changed is refused', async () => {
    const [signature, control, data] = await members(small.apk);
    const [, otherControl] = await members(newer.apk);
    assert.ok(signature && control && data && otherControl);
    served({ [PACKAGE]: Buffer.concat([signature, otherControl, data]) });
    await fails('apk-mismatch', /control checksum/);
    served({ [PACKAGE]: flipped(small.apk, signature.length + Math.floor(control.length / 2)) });
    await fails('apk-malformed', /hello-1\.0-r0\.apk/);
  });

  test('with a package whose data was changed is refused', async () => {
    const [signature, control, data] = await members(small.apk);
    const [, , otherData] = await members(newer.apk);
    assert.ok(signature && control && data && otherData);
    served({ [PACKAGE]: Buffer.concat([signature, control, otherData]) });
    await fails('apk-mismatch', /its data has the SHA-256/);
    served({ [PACKAGE]: Buffer.concat([small.apk, Buffer.from('more')]) });
    await fails('apk-malformed', /hello-1\.0-r0\.apk/);
  });

  test('with a package of which any byte behind the signature was changed is refused', async () => {
    const [signature] = await members(small.apk);
    assert.ok(signature);
    const ledger = watchedLedger();
    for (let at = signature.length; at < small.apk.length; at += 13) {
      served({ [PACKAGE]: flipped(small.apk, at) });
      const error: unknown = await lockHello(repository(), { ledger }).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof PipelineError, `byte ${at}: ${String(error)}`);
      assert.match(`${error.kind} ${error.code}`, /^infra (apk-malformed|apk-mismatch|tar-malformed)$/);
    }
    assert.deepEqual(ledger.remembered, []);
  });

  for (const path of [INDEX, PACKAGE]) {
    const content = (): Buffer => (path === INDEX ? small.index : small.apk);

    test(`that cuts the connection inside ${path} is unavailable`, async () => {
      answering(path, (response) => {
        response.writeHead(200, { 'content-length': content().length });
        response.write(content().subarray(0, content().length / 2), () => response.destroy());
      });
      await fails('repository-unavailable', /cannot be read/);
    });

    test(`that cuts ${path} where it told no length is unavailable`, async () => {
      answering(path, (response) => {
        response.write(content().subarray(0, content().length / 2), () => response.destroy());
      });
      await fails('repository-unavailable', /cannot be read/);
    });

    test(`that ends ${path} before its content-length is unavailable`, async () => {
      answering(path, (response) => raw(response, content().length + 10, content()));
      await fails('repository-unavailable', /cannot be read/);
    });

    test(`that tells too small a content-length for ${path} is not believed`, async () => {
      answering(path, (response) => raw(response, content().length - 10, content()));
      const error: unknown = await lockHello(repository()).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof PipelineError, String(error));
      assert.equal(error.kind, 'infra', error.message);
      assert.match(error.code, /^(repository-unavailable|index-signature|apk-malformed)$/);
    });

    test(`that never answers for ${path} is given up`, async () => {
      answering(path, () => undefined);
      await fails('repository-unavailable', /nothing came for 500 ms/);
    });

    test(`that stalls in the middle of ${path} is given up`, async () => {
      answering(path, (response) => {
        response.writeHead(200, { 'content-length': content().length });
        response.write(content().subarray(0, content().length / 2));
      });
      await fails('repository-unavailable', /nothing came for 500 ms/);
    });

    for (const status of [204, 206, 304, 403, 404, 410, 500, 503]) {
      test(`that answers ${status} for ${path} is unavailable`, async () => {
        answering(path, (response) => response.writeHead(status).end());
        await fails('repository-unavailable', new RegExp(`answered ${status}`));
      });
    }
  }

  test('that sends a package in a trickle may take as long as pieces come, up to the limit for all', async () => {
    const limits: FetchLimits = { idleMs: 20_000, totalMs: 300, pauseMs: 5 };
    const timers = new Set<NodeJS.Timeout>();
    answering(INDEX, (response) => {
      response.writeHead(200, { 'content-length': small.index.length });
      let sent = 0;
      const timer = setInterval(() => {
        response.write(small.index.subarray(sent, sent + 1));
        sent += 1;
      }, 20);
      timers.add(timer);
      response.on('close', () => clearInterval(timer));
    });
    await assert.rejects(createIndexCache(limits).read(repository(), 'x86_64', never), (thrown) => {
      assert.ok(thrown instanceof PipelineError);
      assert.deepEqual([thrown.code, thrown.kind], ['repository-unavailable', 'infra']);
      assert.match(thrown.message, /it took longer than 300 ms/);
      return true;
    });
    for (const timer of timers) clearInterval(timer);
  });

  test('that accepts connections and says nothing, or something that is no HTTP, is unavailable', async () => {
    for (const text of ['', 'SSH-2.0-none\r\n']) {
      const silent = createTcpServer((socket) => {
        socket.on('error', () => undefined);
        if (text !== '') socket.write(text);
      });
      silent.listen(0, '127.0.0.1');
      await once(silent, 'listening');
      const address = silent.address();
      assert.ok(address !== null && typeof address === 'object');
      try {
        await assert.rejects(lockHello(configured(`http://127.0.0.1:${address.port}`, ringOf(key))), {
          code: 'repository-unavailable',
          kind: 'infra',
        });
      } finally {
        silent.close();
      }
    }
  });

  test('that is not there is unavailable, and the message says why', async () => {
    const gone = await startServer(serving({}));
    await gone[Symbol.asyncDispose]();
    await assert.rejects(lockHello(configured(gone.url, ringOf(key))), {
      code: 'repository-unavailable',
      kind: 'infra',
      message: /ECONNREFUSED/,
    });
  });

  test('is left at once when the build is cancelled', async () => {
    for (const path of [INDEX, PACKAGE]) {
      const asked = Promise.withResolvers<void>();
      answering(path, () => asked.resolve());
      const stop = new AbortController();
      const reason = new PipelineError({ code: 'cancelled', kind: 'cancelled', message: 'stopped' });
      const indexes = createIndexCache({ idleMs: 20_000, totalMs: 20_000, pauseMs: 5 });
      const ledger = watchedLedger();
      const locking = lockHello(repository(), { signal: stop.signal, indexes, ledger });
      await asked.promise;
      stop.abort(reason);
      await assert.rejects(locking, reason);
      assert.deepEqual(ledger.remembered, []);
    }
  });

  test('that lacks one package is not asked any longer for the others', { timeout: 10_000 }, async () => {
    const [entry] = (await readIndexArchive(small.index, ringOf(key))).entries;
    assert.ok(entry);
    const index = await writeIndexArchive([entry, { ...entry, name: 'world' }], { key });
    const closed = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    server.answer = (request, response) => {
      if (request.url === INDEX) return void response.end(index);
      if (request.url === PACKAGE) {
        response.on('close', () => closed.resolve());
        return asked.resolve();
      }
      void asked.promise.then(() => response.writeHead(404).end());
    };
    const limits = { idleMs: 600_000, totalMs: 600_000, pauseMs: 5 };
    const ledger = watchedLedger();
    const locking = lockHello(repository(), { world: ['hello', 'world'], limits, ledger });
    await assert.rejects(locking, {
      code: 'repository-unavailable',
      message: /world-1\.0-r0\.apk.*answered 404/,
    });
    await closed.promise;
    assert.deepEqual(ledger.remembered, []);
  });

  test('is followed when it redirects, and its credentials stay with its own origin', async () => {
    const seen: string[] = [];
    await using target = await startServer((request, response) => {
      seen.push(`target ${request.headers.authorization ?? 'nothing'}`);
      serving(filesOf(small))(request, response);
    });
    server.answer = (request, response) => {
      seen.push(`own ${request.headers.authorization ?? 'nothing'}`);
      const isMoved = request.url?.startsWith('/moved') ?? false;
      const location = isMoved ? `${target.url}${request.url?.slice(6)}` : `/moved${request.url}`;
      response.writeHead(302, { location }).end();
    };
    const authorization = async (): Promise<string> => 'Bearer secret-of-the-operator';
    await lockHello({ ...repository(), authorization });
    const once = ['own Bearer secret-of-the-operator', 'own Bearer secret-of-the-operator', 'target nothing'];
    assert.deepEqual(seen, [...once, ...once]);
    assert.deepEqual(target.asked, [INDEX, PACKAGE]);
  });

  test('gets no credentials for a package that lies elsewhere', async () => {
    const seen: (string | undefined)[] = [];
    await using other = await startServer((request, response) => {
      seen.push(request.headers.authorization);
      serving(filesOf(small))(request, response);
    });
    const authorization = async (): Promise<string> => 'Bearer secret-of-the-operator';
    const read = async (answer: RepositoryAnswer): Promise<number> => answer.status;
    const from = { ...repository(), authorization };
    assert.equal(await fetchFrom(from, `${other.url}${PACKAGE}`, { limits: SHORT, read }), 200);
    assert.deepEqual(seen, [undefined]);
  });

  describe('and the index that is kept', () => {
    /** Serves an index with this ETag, and 304 for who has it; counts what was sent whole. */
    const tagged = (etag: string, index: Buffer, sent: string[]): RequestListener => {
      return (request, response) => {
        if (request.headers['if-none-match'] === etag) return response.writeHead(304, { etag }).end();
        sent.push(etag);
        response.writeHead(200, { etag }).end(index);
      };
    };
    const versions = async (indexes: IndexCache): Promise<string[]> => {
      const index = await indexes.read(repository(), 'x86_64', never);
      return index.entries.map((entry) => entry.version);
    };

    test('is asked for with its ETag, and a changed one takes its place', async () => {
      const indexes = createIndexCache(SHORT);
      const sent: string[] = [];
      server.answer = tagged('"1"', small.index, sent);
      const first = await indexes.read(repository(), 'x86_64', never);
      const again = await indexes.read(repository(), 'x86_64', never);
      assert.equal(again.entries, first.entries);
      assert.equal(again.version, first.version);
      server.answer = tagged('"2"', newer.index, sent);
      const changed = await indexes.read(repository(), 'x86_64', never);
      assert.deepEqual(
        changed.entries.map((entry) => entry.version),
        ['2.0-r0'],
      );
      assert.notEqual(changed.version, first.version);
      assert.deepEqual(await versions(indexes), ['2.0-r0']);
      assert.deepEqual(sent, ['"1"', '"2"']);
    });

    test('is not kept without an ETag, and its version tells a change all the same', async () => {
      const indexes = createIndexCache(SHORT);
      const first = await indexes.read(repository(), 'x86_64', never);
      served({ [INDEX]: newer.index });
      const changed = await indexes.read(repository(), 'x86_64', never);
      assert.deepEqual(
        changed.entries.map((entry) => entry.version),
        ['2.0-r0'],
      );
      assert.notEqual(changed.version, first.version);
      assert.equal(server.asked.length, 2);
    });

    test('outlives a refresh that fails, in whatever way', async () => {
      const indexes = createIndexCache(SHORT);
      const sent: string[] = [];
      server.answer = tagged('"1"', small.index, sent);
      await versions(indexes);
      const failures: readonly RequestListener[] = [
        (_request, response) => response.writeHead(500).end('broken'),
        (_request, response) => response.writeHead(404).end(),
        (_request, response) => response.destroy(),
        (_request, response) => response.writeHead(200, { etag: '"bad"' }).end('no archive'),
        (_request, response) =>
          response.writeHead(200, { etag: '"bad"' }).end(flipped(newer.index, newer.index.length - 100)),
      ];
      for (const failing of failures) {
        server.answer = failing;
        await assert.rejects(versions(indexes), { name: 'PipelineError', kind: 'infra' });
        server.answer = tagged('"1"', small.index, sent);
        assert.deepEqual(await versions(indexes), ['1.0-r0']);
      }
      assert.deepEqual(sent, ['"1"']);
    });

    test('is fetched once for two who ask at the same time, and again for one who asks later', async () => {
      const indexes = createIndexCache(SHORT);
      const both = await Promise.all([versions(indexes), versions(indexes)]);
      assert.deepEqual(both, [['1.0-r0'], ['1.0-r0']]);
      assert.equal(server.asked.length, 1);
      await versions(indexes);
      assert.equal(server.asked.length, 2);
    });

    test('is still fetched for the one who waits when the other has given up', async () => {
      const indexes = createIndexCache(SHORT);
      const stop = new AbortController();
      const asked = Promise.withResolvers<() => void>();
      server.answer = (_request, response) => asked.resolve(() => response.end(small.index));
      const impatient = indexes.read(repository(), 'x86_64', stop.signal);
      const patient = versions(indexes);
      const release = await asked.promise;
      stop.abort(new Error('given up'));
      await assert.rejects(impatient, /given up/);
      release();
      assert.deepEqual(await patient, ['1.0-r0']);
      assert.equal(server.asked.length, 1);
    });

    test("of the operator's repository is not that of a build file's with the same URL", async () => {
      const indexes = createIndexCache(SHORT);
      const named = { ...repository(), reach: { hosts: [] } };
      const [ofOperator] = await Promise.all([
        versions(indexes),
        assert.rejects(indexes.read(named, 'x86_64', never), { code: 'repository-refused' }),
      ]);
      assert.deepEqual(ofOperator, ['1.0-r0']);
      assert.equal(server.asked.length, 1);
    });

    test('counts as empty where it may be missing, until it is there', async () => {
      const indexes = createIndexCache(SHORT);
      const own = { ...repository(), mayBeEmpty: true };
      answering(INDEX, (response) => response.writeHead(404).end());
      assert.deepEqual((await indexes.read(own, 'x86_64', never)).entries, []);
      answering(INDEX, (response) => response.writeHead(500).end());
      await assert.rejects(indexes.read(own, 'x86_64', never), { code: 'repository-unavailable' });
      served({});
      assert.equal((await indexes.read(own, 'x86_64', never)).entries.length, 1);
    });

    test('makes for new choices when only the second repository has changed, and tells no ETag', async () => {
      const other = await writeIndexArchive([], { key });
      await using first = await startServer((_request, response) =>
        response.writeHead(200, { etag: '"first"' }).end(other),
      );
      first.answer = tagged('"first"', other, []);
      const indexes = createIndexCache(SHORT);
      const lock = (): Promise<string[]> =>
        lockHello(repository(), { indexes, before: [configured(first.url, ringOf(key))] }).then((locked) =>
          locked.map((one) => one.entry.version),
        );
      assert.deepEqual(await lock(), ['1.0-r0']);
      server.answer = serving({ [INDEX]: newer.index, '/x86_64/hello-2.0-r0.apk': newer.apk });
      assert.deepEqual(await lock(), ['2.0-r0']);
    });
  });
});

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0xff;
  return copy;
}

/** A length of the test's choice, which node's own server would correct. */
function raw(response: ServerResponse, length: number, content: Buffer): void {
  const { socket } = response;
  assert.ok(socket);
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`);
  socket.end(content);
}

/** The compressed bytes of each gzip member. */
async function members(bytes: Buffer): Promise<Buffer[]> {
  const found: Buffer[][] = [];
  const source = (async function* () {
    yield bytes;
  })();
  const splitting = splitGzipMembers(source, (piece, index) => {
    found[index] ??= [];
    found[index].push(Buffer.from(piece));
  });
  for await (const member of splitting) for await (const _ of member.content);
  return found.map((pieces) => Buffer.concat(pieces));
}
