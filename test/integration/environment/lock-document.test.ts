import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  createKnownPackages,
  type KnownPackages,
  type PackageLedger,
} from '../../../runner/environment/known-packages.ts';
import { type LockedPackage, type LockOptions, lockEnvironment } from '../../../runner/environment/lock.ts';
import {
  type LockDocument,
  lockDocumentOf,
  parseLockDocument,
} from '../../../runner/environment/lock-document.ts';
import { lockFromDocument } from '../../../runner/environment/lock-from-document.ts';
import {
  createIndexCache,
  type Repository,
  type RepositoryIndex,
} from '../../../runner/environment/repository.ts';
import {
  type BuildEnvironment,
  type EnvironmentContext,
  makeBuildEnvironment,
} from '../../../runner/worker/build-environment.ts';
import type { SigningKey } from '../../../shared/apk/keys.ts';
import { type IndexEntry, readIndexArchive, writeIndexArchive } from '../../../shared/apk/package-index.ts';
import { compileBuildFile, parseBuildFile } from '../../../shared/build-file/index.ts';
import type { BuildPlan } from '../../../shared/build-file/plan.ts';
import { PipelineError } from '../../../shared/errors.ts';
import { writeOwnPackages } from '../../pipelines/own-packages.ts';
import {
  configured,
  INDEX,
  newKey,
  ringOf,
  SHORT,
  serving,
  startServer,
  type TestServer,
  watchedLedger,
} from './repository-fixture.ts';

const ARCH = 'x86_64';
const BUILD = 'bld-0123456789abcdef0123456789';
const TOOL = '/x86_64/tool-1-r0.apk';
const TEXT = `package: { name: greeting, version: "1.0", epoch: 0, description: greets }
environment:
  contents:
    packages: [tool]
pipeline:
  - runs: tool
`;

describe('an environment from a lock document', () => {
  let key: SigningKey;
  let stranger: SigningKey;
  /** The packages signed with the repository's key, and the same packages signed with another one. */
  let files: Record<string, Buffer>;
  let filesOfStranger: Record<string, Buffer>;
  let entries: readonly IndexEntry[];
  let server: TestServer;

  before(async () => {
    key = await newKey('test.rsa');
    stranger = await newKey('stranger.rsa');
    files = await ownPackages(key);
    filesOfStranger = await ownPackages(stranger);
    entries = (await readIndexArchive(files[INDEX] ?? Buffer.alloc(0), ringOf(key))).entries;
    server = await startServer(serving({}));
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    server.answer = serving(files);
    server.asked.length = 0;
  });

  const repository = (): Repository => configured(server.url, ringOf(key));
  const settings = (more: Partial<LockOptions> = {}): LockOptions => ({
    world: ['tool'],
    arch: ARCH,
    repositories: [repository()],
    ahead: [],
    indexes: createIndexCache(SHORT),
    packages: createKnownPackages(),
    limits: SHORT,
    signal: new AbortController().signal,
    ...more,
  });
  const solved = (): Promise<LockedPackage[]> => lockEnvironment(settings());
  /** The lock of now, as it comes back from a file. */
  const lockOfNow = async (): Promise<LockDocument> => {
    const text = JSON.stringify(lockDocumentOf(await solved(), { arch: ARCH, world: ['tool'] }));
    server.asked.length = 0;
    return parseLockDocument(JSON.parse(text), 'lock');
  };
  const refusal = async (document: LockDocument, more: Partial<LockOptions> = {}): Promise<PipelineError> => {
    const thrown: unknown = await lockFromDocument(document, settings(more)).catch((error: unknown) => error);
    assert.ok(thrown instanceof PipelineError, String(thrown));
    assert.ok(thrown.hint);
    return thrown;
  };
  /** Serves these files, with an index of these records. */
  const serve = async (some: Record<string, Buffer>, records: readonly IndexEntry[]): Promise<void> => {
    server.answer = serving({ ...some, [INDEX]: await writeIndexArchive(records, { key }) });
  };
  const withPackage = (document: LockDocument, name: string, change: object): LockDocument => ({
    ...document,
    packages: document.packages.map((one) => (one.name === name ? { ...one, ...change } : one)),
  });
  const packageOf = (document: LockDocument, name: string): LockDocument['packages'][number] => {
    const found = document.packages.find((one) => one.name === name);
    assert.ok(found);
    return found;
  };
  /** The index after newer versions came: of `tool` both, of `library` the newer one alone. */
  const movedOn = (): IndexEntry[] => {
    const newer = (name: string): IndexEntry[] =>
      entries
        .filter((one) => one.name === name)
        .map((one) => ({ ...one, version: '2-r0', controlChecksum: `Q1${'A'.repeat(27)}=` }));
    return [...entries.filter((one) => one.name !== 'library'), ...newer('tool'), ...newer('library')];
  };

  test('is the one that was locked, package for package', async () => {
    const locked = await solved();
    const again = await lockFromDocument(await lockOfNow(), settings());
    const facts = (some: readonly LockedPackage[]): unknown[] =>
      some.map(({ url, sha256, bytes, contents, entry }) => ({ url, sha256, bytes, contents, entry }));
    assert.deepEqual(facts(again), facts(locked));
    assert.deepEqual(
      again.map((one) => one.entry.name),
      ['bootstrap-base', 'library', 'tool'],
    );
  });

  for (const baseWorld of [[], ['library']]) {
    const layers = baseWorld.length === 0 ? 'no base layer' : 'a base layer';
    test(`has the same LLB with ${layers}, also after the index has moved on`, async () => {
      const root = async (lock?: LockDocument): Promise<string> => {
        const { composed } = await environment({ baseWorld, lock });
        return composed.root.op.digest;
      };
      const then = await root();
      const { composed } = await environment({});
      assert.equal(composed.root.op.digest === then, baseWorld.length === 0);
      const lock = await lockOfNow();
      assert.equal(await root(lock), then);
      await serve(files, movedOn());
      await assert.rejects(solved(), /(tool|library)-2-r0\.apk/);
      assert.equal(await root(lock), then);
    });
  }

  test('has its URLs from the repository, whatever the document says', async () => {
    const lock = withPackage(await lockOfNow(), 'tool', { url: `${server.url}/elsewhere.apk` });
    const locked = await lockFromDocument(lock, settings());
    assert.equal(locked.at(-1)?.url, `${server.url}${TOOL}`);
    assert.ok(!server.asked.includes('/elsewhere.apk'));
  });

  test('is refused for another architecture or package list, with the differences', async () => {
    const lock = await lockOfNow();
    const other = await refusal(lock, { arch: 'aarch64' });
    assert.deepEqual([other.code, other.kind], ['request-invalid', 'user']);
    assert.match(other.message, /for x86_64, not for aarch64/);
    const { code, kind, message } = await refusal(lock, { world: ['make', 'gcc'] });
    assert.deepEqual([code, kind], ['request-invalid', 'user']);
    assert.match(message, /lacks gcc, make, and the build does not ask for tool$/);
    assert.deepEqual(server.asked, []);
  });

  test('is refused where the build does not have one of its repositories', async () => {
    const lock = withPackage(await lockOfNow(), 'tool', { repository: 'https://packages.example.org' });
    const { code, kind, message } = await refusal(lock);
    assert.deepEqual([code, kind], ['request-invalid', 'user']);
    assert.match(message, /https:\/\/packages\.example\.org/);
  });

  test('is refused with both digests where a file is another one, even one as good', async () => {
    const lock = await lockOfNow();
    await serve(filesOfStranger, entries);
    const { code, kind, message } = await refusal(lock);
    assert.deepEqual([code, kind], ['apk-mismatch', 'infra']);
    const found = (await solved()).find((one) => one.entry.name === 'bootstrap-base')?.sha256 ?? 'none';
    const locked = packageOf(lock, 'bootstrap-base').sha256;
    assert.notEqual(found, locked);
    assert.ok(message.includes(found) && message.includes(locked), message);
  });

  test('is refused with both checksums where the index lists the version with another content', async () => {
    const checksum = `Q1${'B'.repeat(27)}=`;
    const { code, message } = await refusal(withPackage(await lockOfNow(), 'tool', { checksum }));
    assert.equal(code, 'apk-mismatch');
    const listed = entries.find((one) => one.name === 'tool')?.controlChecksum ?? 'none';
    assert.ok(message.includes(checksum) && message.includes(listed), message);
    assert.deepEqual(server.asked, [INDEX]);
  });

  test('has a package that the index has dropped, where a key of the repository signed the file', async () => {
    const lock = await lockOfNow();
    const before = await solved();
    await serve(files, movedOn());
    const ledger = watchedLedger();
    const locked = await lockFromDocument(lock, settings({ packages: createKnownPackages(ledger) }));
    const [was, is] = [before, locked].map((some) => some.find((one) => one.entry.name === 'library'));
    assert.deepEqual(is?.entry, was?.entry);
    // What others read there counts as listed by an index.
    assert.deepEqual(
      ledger.remembered.sort(),
      locked
        .filter((one) => one !== is)
        .map((one) => one.id)
        .sort(),
    );
  });

  test('lets no package in that neither the index nor a key of the repository vouches for', async () => {
    // A repository full of a stranger's files, all verified once since its index listed them.
    await serve(filesOfStranger, entries);
    const packages = createKnownPackages(watchedLedger());
    const known = await lockEnvironment(settings({ packages }));
    const lock = lockDocumentOf(known, { arch: ARCH, world: ['tool'] });
    assert.equal((await lockFromDocument(lock, settings({ packages }))).length, 3);
    await serve(
      filesOfStranger,
      entries.filter((one) => one.name !== 'tool'),
    );
    for (const memory of [packages, createKnownPackages()]) {
      const { code, kind, message } = await refusal(lock, { packages: memory });
      assert.deepEqual([code, kind], ['index-signature', 'infra']);
      assert.ok(message.includes(TOOL), message);
    }
  });

  test('does not take what one set of keys has proved for proved by another', async () => {
    const lock = await lockOfNow();
    await serve(files, movedOn());
    const packages = createKnownPackages();
    await lockFromDocument(lock, settings({ packages }));
    const index = await writeIndexArchive(movedOn(), { key: stranger });
    server.answer = serving({ ...files, [INDEX]: index });
    const repositories = [configured(server.url, ringOf(stranger))];
    assert.equal((await refusal(lock, { packages, repositories })).code, 'index-signature');
  });

  test('does not take one signed package for another', async () => {
    const lock = await lockOfNow();
    const library = packageOf(lock, 'library');
    const { checksum, sha256 } = library;
    const renamed = withPackage(lock, 'tool', { version: '9-r0', checksum, sha256 });
    const content = files['/x86_64/library-1-r0.apk'] ?? Buffer.alloc(0);
    await serve({ ...files, '/x86_64/tool-9-r0.apk': content }, entries);
    const { code, message } = await refusal(renamed);
    assert.equal(code, 'apk-mismatch');
    assert.match(message, /library-1-r0 for x86_64, not tool-9-r0/);
  });

  test('is refused where a file is gone', async () => {
    const lock = await lockOfNow();
    const { [TOOL]: gone, ...rest } = files;
    assert.ok(gone);
    await serve(rest, movedOn());
    const { code, kind, message, hint } = await refusal(lock);
    assert.deepEqual([code, kind], ['repository-unavailable', 'infra']);
    assert.ok(message.includes(TOOL), message);
    assert.match(hint ?? '', /lock the build file again/);
  });

  test('is refused where its packages lack what they need', async () => {
    const lock = await lockOfNow();
    const packages = lock.packages.filter((one) => one.name !== 'library');
    const { code, kind, message } = await refusal({ ...lock, packages });
    assert.deepEqual([code, kind], ['unsolvable', 'user']);
    assert.match(message, /tool-1-r0 needs library, but nothing chosen provides it/);
  });

  test('has what a sibling made from the repository that it went into', async () => {
    const lock = withPackage(await lockOfNow(), 'tool', { repository: `${server.url}#${BUILD}` });
    const locked = await lockFromDocument(lock, settings());
    assert.equal(locked.at(-1)?.url, `${server.url}${TOOL}`);
  });

  test('has what a sibling of this build made while the repository does not list it', async () => {
    const lock = withPackage(await lockOfNow(), 'tool', { repository: `${server.url}#${BUILD}` });
    const tool = entries.find((one) => one.name === 'tool');
    assert.ok(tool);
    const { [TOOL]: made, ...rest } = files;
    assert.ok(made);
    await serve(
      { ...rest, '/attempt/tool.apk': made },
      entries.filter((one) => one !== tool),
    );
    const url = `${server.url}/attempt/tool.apk`;
    const beside: RepositoryIndex = {
      repository: {
        ...repository(),
        location: `${server.url}#bld-${'9'.repeat(26)}`,
        packageUrls: new Map([[tool, url]]),
      },
      entries: [tool],
      version: 'now',
    };
    const locked = await lockFromDocument(lock, settings({ ahead: [beside] }));
    assert.equal(locked.at(-1)?.url, url);
  });

  test('is made where others remember a file from before it was signed anew', async () => {
    const ledger: PackageLedger = watchedLedger();
    await serve(filesOfStranger, entries);
    await lockEnvironment(settings({ packages: createKnownPackages(ledger) }));
    server.answer = serving(files);
    const lock = await lockOfNow();
    const locked = await lockFromDocument(lock, settings({ packages: createKnownPackages(ledger) }));
    assert.deepEqual(
      locked.map((one) => one.sha256),
      lock.packages.map((one) => one.sha256),
    );
  });

  test('stays as it was locked when a file turns out to be signed anew', async () => {
    const lock = await lockOfNow();
    const made = await environment({ lock });
    const [digest, one] = [...made.composed.sources][0] ?? [];
    assert.ok(digest !== undefined && one !== undefined);
    assert.equal(await made.renewed(new Set([digest])), undefined);
    await serve(filesOfStranger, entries);
    await assert.rejects(made.renewed(new Set([digest])), (error: unknown) => {
      assert.ok(error instanceof PipelineError);
      assert.equal(error.code, 'apk-mismatch');
      return error.message.includes(one.sha256);
    });
    const free = await environment({});
    await serve(files, entries);
    const renewed = await free.renewed(new Set([...free.composed.sources.keys()]));
    assert.deepEqual(lockDocumentOf(renewed?.locked ?? [], { arch: ARCH, world: ['tool'] }), lock);
  });

  /** The environment of a build file that asks for `tool`, with indexes and packages read anew. */
  const environment = (
    options: { readonly baseWorld?: readonly string[]; readonly lock?: LockDocument | undefined },
    knownPackages: KnownPackages = createKnownPackages(),
  ): Promise<BuildEnvironment> => {
    const context: EnvironmentContext = {
      repositories: [repository()],
      namedRepositories: { reach: { hosts: [] }, keys: new Map() },
      indexes: createIndexCache(SHORT),
      knownPackages,
      key,
      baseWorld: options.baseWorld ?? [],
    };
    return makeBuildEnvironment(context, {
      plan: planOf(TEXT),
      ahead: [],
      layout: async () => 'merge',
      lock: options.lock,
      signal: new AbortController().signal,
    });
  };
});

function planOf(text: string): BuildPlan {
  const { buildFile } = parseBuildFile({ file: 'greeting.yaml', text });
  assert.ok(buildFile);
  const { plan } = compileBuildFile(buildFile, { arch: ARCH, lookup: () => undefined });
  assert.ok(plan);
  return plan;
}

/** Files of a repository by path: `tool` needs `library`, both need `bootstrap-base`. */
async function ownPackages(key: SigningKey): Promise<Record<string, Buffer>> {
  const folder = mkdtempSync(join(tmpdir(), 'lock-document-'));
  try {
    await writeOwnPackages(
      [
        { name: 'bootstrap-base', programs: { 'bin/sh': '' } },
        { name: 'tool', depends: ['library'], programs: { 'usr/bin/tool': '#!/bin/sh\n' } },
        { name: 'library', programs: { 'usr/lib/library': 'x' } },
      ],
      { folder, arch: ARCH, key },
    );
    const names = readdirSync(join(folder, ARCH));
    return Object.fromEntries(
      names.map((name) => [`/${ARCH}/${name}`, readFileSync(join(folder, ARCH, name))]),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
