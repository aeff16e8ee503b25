/** Many environments at the same time, on real parts: emulators, storage endpoint, and a BuildKit that knows nothing. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { localSigningKey } from '../../../deploy/local/bootstrap/local-key.ts';
import { BOOTSTRAP_NAMES, prepareBootstrapRepository } from '../../../deploy/local/bootstrap/repository.ts';
import { RUNNER_ENVIRONMENT, RUNNER_FLAGS } from '../../../deploy/runner-process.ts';
import { publicKeyName, publicKeyPem } from '../../../shared/apk/keys.ts';
import { startLoopbackServer } from '../../pipelines/loopback.ts';
import { skipReason, startRealBuildkit } from '../buildkit/real-buildkit.ts';
import { startEndpoint } from '../gcs/local-endpoint.ts';
import { startEmulators } from '../state/emulators-fixture.ts';
import { type ChildInput, childOutput } from './many-environments.ts';

const CHILD = fileURLToPath(new URL('many-environments-child.ts', import.meta.url));
const carryall = fileURLToPath(new URL('../../../.carryall/', import.meta.url));
const ENVIRONMENTS = 64;
const MAX_RSS_MB = 300;

test(`${ENVIRONMENTS} environments at once fetch each package once, in ${MAX_RSS_MB} MB`, {
  skip: skipReason,
}, async (t) => {
  const key = await localSigningKey(join(carryall, 'test-pipelines'), 'pipelines.rsa');
  const debian = await prepareBootstrapRepository({
    folder: join(carryall, 'bench', 'debian'),
    debianFolder: join(carryall, 'debian', 'machine'),
    key,
  });
  const asked = { runner: new Map<string, number>(), buildkit: new Map<string, number>() };
  await using server = await startLoopbackServer((request, response) => {
    const path = request.url ?? '';
    const by = /buildkit|go-http-client/i.test(request.headers['user-agent'] ?? '') ? 'buildkit' : 'runner';
    if (path.endsWith('.apk') && request.method === 'GET')
      asked[by].set(path, (asked[by].get(path) ?? 0) + 1);
    createReadStream(join(debian.folder, path))
      .on('error', () => response.writeHead(404).end())
      .pipe(response);
  });
  const emulators = await startEmulators();
  const endpoint = await startEndpoint({ buckets: ['builds'] });
  await using buildkit = await startRealBuildkit();
  const input: ChildInput = {
    arch: debian.arch === 'aarch64' ? 'aarch64' : 'x86_64',
    repositoryUrl: server.url,
    publicKeyName: publicKeyName(key),
    publicKey: publicKeyPem(key),
    keyFolder: join(carryall, 'test-pipelines'),
    keyName: key.name,
    firestoreProject: (await emulators.openProject()).id,
    firestoreAddress: emulators.firestoreAddress,
    storageUrl: endpoint.url,
    bucket: 'builds',
    buildkitAddress: buildkit.address,
    base: ['build-base', 'busybox-static'],
    worlds: Array.from({ length: ENVIRONMENTS }, (_, index) => worldOf(index)),
  };
  const child = spawn(process.execPath, [...RUNNER_FLAGS, CHILD], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...RUNNER_ENVIRONMENT },
  });
  child.stdin.end(JSON.stringify(input));
  const printed = await text(child.stdout);
  assert.notEqual(printed, '', 'the process ended without a word');
  const output = childOutput.parse(JSON.parse(printed));
  t.diagnostic(
    `${output.packages} packages in ${output.seconds.toFixed(1)} s; ` +
      `${output.startRssMb.toFixed(0)} MB at the start, ${output.peakRssMb.toFixed(0)} MB at most`,
  );
  for (const [by, files] of Object.entries(asked)) {
    assert.ok(files.size > 100, `${by} asked for ${files.size} files`);
    assert.deepEqual(
      [...files].filter(([, times]) => times !== 1),
      [],
      `asked for by ${by}`,
    );
  }
  assert.ok(output.peakRssMb <= MAX_RSS_MB, `${output.peakRssMb} MB`);
});

/** Always the toolchain, and of the other packages those of the bits of a number: no two are the same. */
function worldOf(index: number): string[] {
  const names = BOOTSTRAP_NAMES.filter((_, at) => ((index >> (at % 6)) & 1) === 1);
  return ['build-base', 'busybox-static', ...names];
}
