/** An attempt on a real BuildKit whose packages change between their verification and their use. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { localSigningKey } from '../../../deploy/local/bootstrap/local-key.ts';
import {
  type BootstrapRepository,
  prepareBootstrapRepository,
} from '../../../deploy/local/bootstrap/repository.ts';
import { createKnownPackages } from '../../../runner/environment/known-packages.ts';
import { type LockedPackage, lockEnvironment } from '../../../runner/environment/lock.ts';
import { createIndexCache } from '../../../runner/environment/repository.ts';
import { createPackagingPool, type PackagingPool } from '../../../runner/packaging/packaging-pool.ts';
import { type AttemptResult, type EngineContext, runAttempt } from '../../../runner/worker/attempt.ts';
import { openLog } from '../../../runner/worker/log-writer.ts';
import { splitGzipMembers } from '../../../shared/apk/gzip-split.ts';
import { type SigningKey, signatureMember } from '../../../shared/apk/keys.ts';
import { ARCHITECTURE_NAMES, type Architecture } from '../../../shared/build-file/architecture.ts';
import { PipelineError } from '../../../shared/errors.ts';
import { buildIdOfRequest } from '../../../shared/identity.ts';
import { createObject, readObject } from '../../../shared/storage/objects.ts';
import { type LoopbackServer, startLoopbackServer } from '../../pipelines/loopback.ts';
import { recordOf } from '../environment/job-record.ts';
import { configured, newKey, ringOf } from '../environment/repository-fixture.ts';
import { clientOf, startEndpoint } from '../gcs/local-endpoint.ts';
import { type RealBuildkit, skipReason, startRealBuildkit } from './real-buildkit.ts';

const carryall = fileURLToPath(new URL('../../../.carryall/', import.meta.url));
const NAMES = ['bash', 'busybox-static', 'coreutils', 'libc-bin'];
const WORLD = ['bash', 'busybox-static'];
const TEXT = `package: { name: greeting, version: "1.0", epoch: 0, description: greets }
environment: { contents: { packages: [${WORLD.join(', ')}] } }
pipeline:
  - runs: mkdir -p "\${{targets.destdir}}/etc" && echo hello >"\${{targets.destdir}}/etc/greeting"
`;

const storage = clientOf((await startEndpoint({ buckets: ['builds'] })).url);
const builds = storage.bucket('builds');

describe('a package that is no longer the file it was', { skip: skipReason }, () => {
  let key: SigningKey;
  let debian: BootstrapRepository;
  let server: LoopbackServer;
  let buildkit: RealBuildkit;
  let packaging: PackagingPool;
  /** What is served instead of the file. */
  const instead = new Map<string, Buffer>();

  before(async () => {
    const folder = join(carryall, 'test-pipelines', 'signed-anew');
    key = await localSigningKey(join(carryall, 'test-pipelines'), 'pipelines.rsa');
    const debianFolder = join(carryall, 'debian', 'machine');
    debian = await prepareBootstrapRepository({ folder, debianFolder, key, names: NAMES });
    server = await startLoopbackServer((request, response) => {
      const path = request.url ?? '';
      const other = instead.get(path);
      if (other !== undefined) {
        response.end(other);
        return;
      }
      readFile(join(debian.folder, path)).then(
        (content) => response.end(content),
        () => response.writeHead(404).end(),
      );
    });
    buildkit = await startRealBuildkit();
    packaging = createPackagingPool(1);
  });
  after(async () => {
    await packaging?.[Symbol.asyncDispose]();
    await buildkit?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  const engine = (): EngineContext => ({
    storage,
    buildsBucket: 'builds',
    repositories: [configured(server.url, ringOf(key))],
    namedRepositories: { reach: { hosts: [] }, keys: new Map() },
    indexes: createIndexCache(),
    knownPackages: createKnownPackages(),
    packaging,
    key,
    keyPem: key.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    network: 'host',
    baseWorld: [],
    spoolFolder: undefined,
    sourceDateEpoch: 0,
    namespace: 'test',
  });

  /** Verifies all packages, as an attempt before would have. */
  const learn = ({
    repositories,
    indexes,
    knownPackages: packages,
  }: EngineContext): Promise<LockedPackage[]> =>
    lockEnvironment({
      world: WORLD,
      arch: debian.arch,
      repositories,
      ahead: [],
      indexes,
      packages,
      signal: new AbortController().signal,
    });

  const attempt = async (
    context: EngineContext,
    epoch: number,
  ): Promise<{ readonly result: AttemptResult | PipelineError; readonly log: string }> => {
    const build = buildIdOfRequest('signed-anew');
    const names = { build, packageName: 'greeting', arch: debian.arch, epoch };
    const bytes = Buffer.from(JSON.stringify({ file: 'greeting.yaml', text: TEXT, pipelines: {} }));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const document = { object: `inputs-${sha256}.json`, sha256, bytes: bytes.length };
    await createObject(builds, document.object, { bytes, type: 'application/json' });
    const log = openLog(builds, names);
    const result = await runAttempt(context, {
      names,
      record: recordOf(document, architectureOf(debian.arch)),
      connection: buildkit.connection,
      ahead: [],
      log,
      debug: false,
      onStep: () => undefined,
      signal: AbortSignal.timeout(120_000),
    }).catch((error: unknown) => {
      if (error instanceof PipelineError) return error;
      throw error;
    });
    const written = await readObject(builds, await log.close(), { maxBytes: 1_000_000 });
    return { result, log: written?.toString() ?? '' };
  };

  test('is used as it is now where only its signature is another', async () => {
    const context = engine();
    const other = await newKey('next.rsa');
    const locked = await learn(context);
    for (const { url } of locked.slice(0, 2)) await signAnew(new URL(url).pathname, other);
    const { result, log } = await attempt(context, 1);
    if (result instanceof PipelineError) assert.fail(`${result.message}\n${log}`);
    assert.deepEqual(
      result.artifacts.map((one) => one.object.split('/').at(-1)).filter((file) => file?.endsWith('.apk')),
      ['greeting-1.0-r0.apk'],
    );
    assert.match(log, /signed anew/);
    const after = await learn(context);
    const changed = after.filter((one, index) => one.sha256 !== locked[index]?.sha256);
    assert.equal(changed.length, 2);
  });

  test('is refused with both digests where its data is another', async () => {
    instead.clear();
    await using fresh = await startRealBuildkit();
    const before = buildkit;
    buildkit = fresh;
    try {
      const context = engine();
      const [one, two] = await learn(context);
      assert.ok(one && two);
      const wrong = await readFile(join(debian.folder, new URL(two.url).pathname));
      instead.set(new URL(one.url).pathname, wrong);
      const { result } = await attempt(context, 2);
      assert.ok(result instanceof PipelineError);
      assert.deepEqual([result.code, result.kind], ['apk-mismatch', 'infra']);
      for (const digest of [one.controlChecksum, two.controlChecksum]) {
        assert.ok(result.message.includes(digest), result.message);
      }
    } finally {
      buildkit = before;
    }
  });

  async function signAnew(path: string, by: SigningKey): Promise<void> {
    const apk = await readFile(join(debian.folder, path));
    const offsets: number[] = [];
    for await (const member of splitGzipMembers(Readable.from([apk]))) offsets.push(member.offset);
    const [, control = 0, data = 0] = offsets;
    const signature = await signatureMember({ key: by, signed: apk.subarray(control, data), mtime: 0 });
    instead.set(path, Buffer.concat([signature, apk.subarray(control)]));
  }
});

function architectureOf(name: string): Architecture {
  const found = ARCHITECTURE_NAMES.find((one) => one === name);
  assert.ok(found);
  return found;
}
