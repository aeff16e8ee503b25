import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { connectBuildkit } from '../../../runner/buildkit/connection.ts';
import { createKnownPackages } from '../../../runner/environment/known-packages.ts';
import { type LockDocument, parseLockDocument } from '../../../runner/environment/lock-document.ts';
import { createIndexCache } from '../../../runner/environment/repository.ts';
import { createPackagingPool } from '../../../runner/packaging/packaging-pool.ts';
import type { InputDocument } from '../../../runner/planner/inputs.ts';
import { type EngineContext, runAttempt } from '../../../runner/worker/attempt.ts';
import { openLog } from '../../../runner/worker/log-writer.ts';
import { writeIndexArchive } from '../../../shared/apk/package-index.ts';
import { PipelineError } from '../../../shared/errors.ts';
import type { StoredObject } from '../../../shared/firestore/job-record.ts';
import { buildIdOfRequest } from '../../../shared/identity.ts';
import { createObject, readObject } from '../../../shared/storage/objects.ts';
import { clientOf, startEndpoint } from '../gcs/local-endpoint.ts';
import { recordOf } from './job-record.ts';
import {
  certificate,
  configured,
  filesOf,
  INDEX,
  newKey,
  PACKAGE,
  ringOf,
  type SmallRepository,
  serving,
  smallRepository,
  startServer,
  type TestServer,
} from './repository-fixture.ts';

const storage = clientOf((await startEndpoint({ buckets: ['builds'] })).url);
const HOST = 'packages.example.org';

describe('an attempt whose build file names repositories', () => {
  const tls = certificate();
  let small: SmallRepository;
  let own: TestServer;
  let stranger: TestServer;
  let attempts = 0;

  before(async () => {
    small = await smallRepository(await newKey('test.rsa'));
    const empty = await writeIndexArchive([], { key: small.key });
    own = await startServer(serving({ [INDEX]: empty }));
    stranger = await startServer(serving(filesOf(small)), tls);
  });
  after(async () => {
    await own[Symbol.asyncDispose]();
    await stranger[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    own.asked.length = 0;
    stranger.asked.length = 0;
  });

  interface Outcome {
    readonly error: PipelineError;
    readonly log: string;
    /** Where the attempt said that its locks are kept. */
    readonly locks: readonly StoredObject[];
  }

  /** Runs it against a BuildKit that is not there. */
  const attempt = async (
    contents: string,
    allowed: readonly string[],
    locks?: Readonly<Record<string, LockDocument>>,
  ): Promise<Outcome> => {
    attempts += 1;
    const names = {
      build: buildIdOfRequest(String(attempts)),
      packageName: 'greeting',
      arch: 'x86_64',
      epoch: 1,
    } as const;
    const builds = storage.bucket('builds');
    const text = `package: { name: greeting, version: "1.0", epoch: 0, description: greets }
environment:
  contents:
    packages: [hello]
${contents}
pipeline:
  - runs: hello
`;
    const inputs: InputDocument = { file: 'greeting.yaml', text, pipelines: {}, locks };
    const bytes = Buffer.from(JSON.stringify(inputs));
    const document = {
      object: `inputs-${attempts}.json`,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      bytes: bytes.length,
    };
    await createObject(builds, document.object, { bytes, type: 'application/json' });
    await using packaging = createPackagingPool(1);
    await using connection = await connectBuildkit('tcp://127.0.0.1:9');
    const context: EngineContext = {
      storage,
      buildsBucket: 'builds',
      repositories: [configured(own.url, ringOf(small.key))],
      namedRepositories: {
        reach: {
          hosts: allowed,
          resolve: async () => ['127.0.0.1'],
          isAllowed: (address) => address === '127.0.0.1',
          ca: tls.cert,
        },
        keys: new Map(allowed.map((host) => [host, ringOf(small.key)])),
      },
      indexes: createIndexCache(),
      knownPackages: createKnownPackages(),
      packaging,
      key: small.key,
      keyPem: '',
      network: 'sandbox',
      baseWorld: [],
      spoolFolder: undefined,
      sourceDateEpoch: 0,
      namespace: 'test',
    };
    const log = openLog(builds, names);
    const kept: StoredObject[] = [];
    const thrown: unknown = await runAttempt(context, {
      names,
      record: recordOf(document, 'x86_64'),
      connection,
      ahead: [],
      log,
      debug: false,
      onStep: () => undefined,
      onLock: async (lock) => void kept.push(lock),
      signal: new AbortController().signal,
    }).catch((error: unknown) => error);
    assert.ok(thrown instanceof PipelineError, String(thrown));
    const written = await readObject(builds, await log.close(), { maxBytes: 100_000 });
    return { error: thrown, log: written?.toString() ?? '', locks: kept };
  };

  test('is refused before any request when the operator allows no host', async () => {
    const line = `https://${HOST}:${stranger.port}`;
    for (const key of ['repositories', 'build_repositories']) {
      const { error } = await attempt(`    ${key}: ["${line}"]`, []);
      assert.deepEqual([error.code, error.kind], ['repository-refused', 'user']);
      assert.ok(error.message.includes(line), error.message);
    }
    assert.deepEqual([own.asked, stranger.asked], [[], []]);
    assert.equal(stranger.connections(), 0);
  });

  test('uses an allowed one after the configured ones, and not the keys that the file names', async () => {
    const contents = `    repositories: ["https://${HOST}:${stranger.port}", "${own.url}"]
    keyring: ["https://${HOST}:${stranger.port}/stranger.rsa.pub"]`;
    const { error, log } = await attempt(contents, [`${HOST}:${stranger.port}`]);
    // It came as far as the builder.
    assert.equal(error.code, 'backend-unreachable', error.message);
    assert.match(log, /environment of 1 packages/);
    assert.match(log, /keyring is ignored/);
    assert.deepEqual([own.asked, stranger.asked], [[INDEX], [INDEX, PACKAGE]]);
  });

  /** The content of a kept lock. */
  const readLock = async ({ object, sha256, bytes }: StoredObject): Promise<LockDocument> => {
    const content = await readObject(storage.bucket('builds'), object, { maxBytes: bytes });
    assert.ok(content);
    assert.equal(createHash('sha256').update(content).digest('hex'), sha256);
    return parseLockDocument(JSON.parse(content.toString()), object);
  };

  test('keeps the exact packages in its folder before anything runs', async () => {
    const location = `https://${HOST}:${stranger.port}`;
    const { error, locks } = await attempt(`    repositories: ["${location}"]`, [`${HOST}:${stranger.port}`]);
    assert.equal(error.code, 'backend-unreachable', error.message);
    const [kept, ...others] = locks;
    assert.ok(kept);
    assert.deepEqual(others, []);
    assert.match(kept.object, /\/greeting\/x86_64\/1\/environment\.lock\.json$/);
    const { arch, world, packages } = await readLock(kept);
    assert.deepEqual([arch, world], ['x86_64', ['hello']]);
    const sha256 = createHash('sha256').update(small.apk).digest('hex');
    assert.deepEqual(
      packages.map((one) => [one.name, one.version, one.repository, one.sha256, one.bytes]),
      [['hello', '1.0-r0', location, sha256, small.apk.length]],
    );
  });

  test('has the packages of the lock that was asked for, and not newer ones', async () => {
    const contents = `    repositories: ["https://${HOST}:${stranger.port}"]`;
    const allowed = [`${HOST}:${stranger.port}`];
    const [first] = (await attempt(contents, allowed)).locks;
    assert.ok(first);
    const lock = await readLock(first);
    const newer = await smallRepository(small.key, '2.0-r0');
    const latest = '/x86_64/hello-2.0-r0.apk';
    stranger.answer = serving({ [INDEX]: newer.index, [latest]: newer.apk, [PACKAGE]: small.apk });
    try {
      const locked = await attempt(contents, allowed, { x86_64: lock });
      assert.equal(locked.error.code, 'backend-unreachable', locked.error.message);
      assert.match(locked.log, /that of the lock/);
      const [second] = locked.locks;
      assert.ok(second);
      assert.deepEqual(await readLock(second), lock);
      assert.ok(!stranger.asked.includes(latest));
      const free = await attempt(contents, allowed);
      assert.equal((await readLock(free.locks[0] ?? second)).packages[0]?.version, '2.0-r0');
      const other = await attempt(contents, allowed, { x86_64: { ...lock, world: ['make'] } });
      assert.deepEqual([other.error.code, other.error.kind], ['request-invalid', 'user']);
      assert.deepEqual(other.locks, []);
    } finally {
      stranger.answer = serving(filesOf(small));
    }
  });
});
