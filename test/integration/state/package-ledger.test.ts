/** What runners know together of package files, on the Firestore emulator and the local storage endpoint. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import {
  createKnownPackages,
  type KnownPackage,
  type PackageLedger,
} from '../../../runner/environment/known-packages.ts';
import { openPackageLedger } from '../../../runner/package-ledger.ts';
import type { PackageContents } from '../../../shared/apk/package-contents.ts';
import { verifyPackage } from '../../../shared/apk/package-read.ts';
import { packageContentsObject } from '../../../shared/object-names.ts';
import {
  configured,
  filesOf,
  newKey,
  PACKAGE,
  ringOf,
  serving,
  smallRepository,
  startServer,
} from '../environment/repository-fixture.ts';
import { clientOf, startEndpoint } from '../gcs/local-endpoint.ts';
import { startEmulators } from './emulators-fixture.ts';

const BUCKET = 'builds';
const { firestore } = await (await startEmulators()).openProject();
const builds = clientOf((await startEndpoint({ buckets: [BUCKET] })).url).bucket(BUCKET);

const CONTENTS: PackageContents = {
  info: {
    name: 'hello',
    version: '1.0-r0',
    arch: 'x86_64',
    installedSize: 5,
    origin: 'hello',
    description: 'grüßt',
    url: '',
    commit: '',
    licenses: ['MIT'],
    depends: ['so:libc.so.6'],
    provides: [],
    replaces: ['hallo'],
    triggers: [],
    dataHash: 'ab',
  },
  scriptlets: { 'post-install': Buffer.from('#!/bin/sh\n').toString('base64') },
  texts: { 'etc/busybox-paths.d/hello': '/bin/vi\n' },
  entries: [
    { path: 'usr/bin', type: 'directory', mode: 0o755, uid: 0, gid: 0, sha1: '', target: '' },
    { path: 'usr/bin/hello', type: 'file', mode: 0o4755, uid: 0, gid: 5, sha1: 'AAAA', target: '' },
  ],
};
const FOUND: KnownPackage = { sha256: 'aa', bytes: 12, contents: CONTENTS };
const never = new AbortController().signal;

function ledgerOf(owner: string, claimMs?: number): PackageLedger {
  return openPackageLedger({ firestore, builds, owner, ...(claimMs === undefined ? {} : { claimMs }) });
}

function newId(): string {
  return randomUUID().replaceAll('-', '');
}

/** A verification that ends when it is told to. */
function held(): {
  readonly verify: () => Promise<KnownPackage>;
  readonly begun: Promise<void>;
  end(): void;
} {
  const begun = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  return {
    begun: begun.promise,
    end: () => ended.resolve(),
    async verify() {
      begun.resolve();
      await ended.promise;
      return FOUND;
    },
  };
}

function mustNotRun(): Promise<KnownPackage> {
  throw new assert.AssertionError({ message: 'the file was verified twice' });
}

test('what one runner has verified, another finds with all it contains', async () => {
  const id = newId();
  assert.equal((await ledgerOf('one').find([id])).size, 0);
  assert.deepEqual(await ledgerOf('one').verifyOnce(id, { verify: async () => FOUND, signal: never }), FOUND);
  const other = ledgerOf('other');
  assert.deepEqual(await other.find([id, newId()]), new Map([[id, { sha256: 'aa', bytes: 12 }]]));
  assert.deepEqual(await other.contents(id), CONTENTS);
  assert.deepEqual(await other.verifyOnce(id, { verify: mustNotRun, signal: never }), {
    sha256: 'aa',
    bytes: 12,
  });
});

test('of runners that need a file at the same time one verifies it, and the others wait for that', async () => {
  const id = newId();
  const work = held();
  const first = ledgerOf('one').verifyOnce(id, { verify: work.verify, signal: never });
  await work.begun;
  const waiting = ['two', 'three', 'four'].map((owner) =>
    ledgerOf(owner).verifyOnce(id, { verify: mustNotRun, signal: never }),
  );
  assert.equal((await ledgerOf('five').find([id])).size, 0);
  work.end();
  assert.deepEqual(await first, FOUND);
  for (const found of await Promise.all(waiting)) assert.equal(found.sha256, 'aa');
});

test('a runner that finds a file wrong lets the next one try', async () => {
  const id = newId();
  const wrong = new Error('wrong');
  await assert.rejects(
    ledgerOf('one').verifyOnce(id, { verify: () => Promise.reject(wrong), signal: never }),
    wrong,
  );
  assert.equal((await ledgerOf('two').find([id])).size, 0);
  assert.deepEqual(await ledgerOf('two').verifyOnce(id, { verify: async () => FOUND, signal: never }), FOUND);
});

test('the work of a runner that died is done by another after a while', async () => {
  const id = newId();
  const dead = held();
  const late = ledgerOf('dead').verifyOnce(id, { verify: dead.verify, signal: never });
  await dead.begun;
  assert.deepEqual(
    await ledgerOf('two', 300).verifyOnce(id, { verify: async () => FOUND, signal: never }),
    FOUND,
  );
  // It was only slow: what it found is the same.
  dead.end();
  assert.deepEqual(await late, FOUND);
  assert.equal((await ledgerOf('three').find([id])).get(id)?.sha256, 'aa');
});

test('waiting for another runner ends with its signal', async () => {
  const id = newId();
  const work = held();
  const first = ledgerOf('one').verifyOnce(id, { verify: work.verify, signal: never });
  await work.begun;
  const stop = new AbortController();
  const waiting = ledgerOf('two').verifyOnce(id, { verify: mustNotRun, signal: stop.signal });
  const reason = new Error('cancelled');
  stop.abort(reason);
  await assert.rejects(waiting, reason);
  work.end();
  await first;
});

test('a package whose contents are lost is verified again', async () => {
  const small = await smallRepository(await newKey('test.rsa'));
  await using server = await startServer(serving(filesOf(small)));
  const { controlChecksum } = await verifyPackage({ source: Readable.from([small.apk]) });
  const wanted = {
    id: newId(),
    url: `${server.url}${PACKAGE}`,
    repository: configured(server.url, ringOf(small.key)),
    controlChecksum,
  };
  const learn = async (owner: string): Promise<KnownPackage[]> =>
    createKnownPackages(ledgerOf(owner)).learn([wanted], { signal: never });
  const known = await learn('one');
  assert.deepEqual(
    known[0]?.contents.entries.map(({ path }) => path),
    ['hello'],
  );
  await builds.file(packageContentsObject(wanted.id)).delete();
  assert.deepEqual(await learn('two'), known);
  assert.equal(server.asked.length, 2);
  assert.deepEqual(await learn('three'), known);
  assert.equal(server.asked.length, 2);
});
