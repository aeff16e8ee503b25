import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { before, describe, test } from 'node:test';
import { createKnownPackages, type WantedPackage } from '../../../runner/environment/known-packages.ts';
import { verifyPackage } from '../../../shared/apk/package-read.ts';
import { PipelineError } from '../../../shared/errors.ts';
import {
  configured,
  newKey,
  ringOf,
  type SmallRepository,
  serving,
  smallRepository,
  startServer,
  type TestServer,
  watchedLedger,
} from './repository-fixture.ts';

const never = new AbortController().signal;

describe('known packages', () => {
  let first: SmallRepository;
  let resigned: SmallRepository;
  let other: SmallRepository;
  let checksum: string;

  before(async () => {
    const key = await newKey('test.rsa');
    first = await smallRepository(key);
    resigned = await smallRepository(await newKey('next.rsa'));
    other = await smallRepository(key, '1.1-r0');
    ({ controlChecksum: checksum } = await verifyPackage({ source: Readable.from([first.apk]) }));
  });

  const wanted = (server: TestServer, name: string): WantedPackage => ({
    id: name,
    url: `${server.url}/${name}`,
    repository: configured(server.url, ringOf(first.key)),
    controlChecksum: checksum,
  });
  const packages = (...names: readonly string[]): Record<string, Buffer> =>
    Object.fromEntries(names.map((name) => [`/${name}`, first.apk]));

  test('each file is fetched once, however many ask for it at the same time and later', async () => {
    await using server = await startServer(serving(packages('a', 'b', 'c', 'd')));
    const known = createKnownPackages();
    const learn = (names: string): Promise<unknown> =>
      known.learn(
        names.split('').map((name) => wanted(server, name)),
        { signal: never },
      );
    await Promise.all(['abc', 'bcd', 'ad', 'abcd', 'b'].map(learn));
    await learn('dcba');
    assert.deepEqual(server.asked.toSorted(), ['/a', '/b', '/c', '/d']);
  });

  test('no more than a dozen files are fetched at the same time', async () => {
    let open = 0;
    let most = 0;
    await using server = await startServer((_request, response) => {
      open += 1;
      most = Math.max(most, open);
      setImmediate(() => {
        open -= 1;
        response.end(first.apk);
      });
    });
    const known = createKnownPackages();
    const lists = Array.from({ length: 10 }, (_, list) =>
      Array.from({ length: 10 }, (_item, index) => wanted(server, `${list}-${index}`)),
    );
    await Promise.all(lists.map((list) => known.learn(list, { signal: never })));
    assert.equal(server.asked.length, 100);
    assert.ok(most <= 12 && most > 1, `${most} at once`);
  });

  test('one who is cancelled does not take the file from another who needs it', async () => {
    const asked = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    await using server = await startServer((_request, response) => {
      asked.resolve();
      void go.promise.then(() => response.end(first.apk));
    });
    const known = createKnownPackages();
    const stop = new AbortController();
    const leaving = known.learn([wanted(server, 'a')], { signal: stop.signal });
    await asked.promise;
    const staying = known.learn([wanted(server, 'a')], { signal: never });
    const reason = new Error('cancelled');
    stop.abort(reason);
    await assert.rejects(leaving, reason);
    go.resolve();
    assert.equal((await staying)[0]?.bytes, first.apk.length);
    assert.equal(server.asked.length, 1);
  });

  test('a package that was signed anew is taken, and recorded for everybody', async () => {
    await using server = await startServer(serving(packages('a')));
    const ledger = watchedLedger();
    const known = createKnownPackages(ledger);
    const [before] = await known.learn([wanted(server, 'a')], { signal: never });
    assert.ok(before);
    assert.equal(await known.learnAgain(before, never), undefined);
    server.answer = serving({ '/a': resigned.apk });
    const after = await known.learnAgain(before, never);
    assert.ok(after);
    assert.notEqual(after.sha256, before.sha256);
    assert.deepEqual(after.contents, before.contents);
    assert.equal((await ledger.find(['a'])).get('a')?.sha256, after.sha256);
    assert.deepEqual(await known.learn([wanted(server, 'a')], { signal: never }), [after]);
  });

  test('what another runner has found of a package that was signed anew is taken from it', async () => {
    await using server = await startServer(serving(packages('a')));
    const ledger = watchedLedger();
    const [one, two] = [createKnownPackages(ledger), createKnownPackages(ledger)];
    const [before] = await one.learn([wanted(server, 'a')], { signal: never });
    await two.learn([wanted(server, 'a')], { signal: never });
    assert.ok(before);
    server.answer = serving({ '/a': resigned.apk });
    const after = await one.learnAgain(before, never);
    server.asked.length = 0;
    assert.equal((await two.learnAgain(before, never))?.sha256, after?.sha256);
    assert.deepEqual(server.asked, []);
  });

  test('another package in its place is refused with both digests', async () => {
    await using server = await startServer(serving(packages('a')));
    const ledger = watchedLedger();
    const known = createKnownPackages(ledger);
    const [before] = await known.learn([wanted(server, 'a')], { signal: never });
    assert.ok(before);
    server.answer = serving({ '/a': other.apk });
    const { controlChecksum } = await verifyPackage({ source: Readable.from([other.apk]) });
    await assert.rejects(known.learnAgain(before, never), (error) => {
      assert.ok(error instanceof PipelineError);
      assert.equal(error.code, 'apk-mismatch');
      assert.ok(error.message.includes(checksum) && error.message.includes(controlChecksum), error.message);
      return true;
    });
    assert.equal((await ledger.find(['a'])).get('a')?.sha256, before.sha256);
  });
});
