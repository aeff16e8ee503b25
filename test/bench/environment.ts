/** Making environments of some 130 packages, a C toolchain among them, on a BuildKit whose cache is empty at first. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { localSigningKey } from '../../deploy/local/bootstrap/local-key.ts';
import { BOOTSTRAP_NAMES, prepareBootstrapRepository } from '../../deploy/local/bootstrap/repository.ts';
import { startRegistry } from '../../deploy/local/engine/registry.ts';
import { exec, fileOp, httpSource, type Output } from '../../runner/buildkit/llb.ts';
import { solve } from '../../runner/buildkit/solve.ts';
import { type ComposedEnvironment, composeEnvironment } from '../../runner/environment/compose.ts';
import { createKnownPackages } from '../../runner/environment/known-packages.ts';
import { type LockedPackage, lockEnvironment } from '../../runner/environment/lock.ts';
import { createIndexCache, type Repository } from '../../runner/environment/repository.ts';
import { publicKeyName } from '../../shared/apk/keys.ts';
import { skipReason, startRealBuildkit } from '../integration/buildkit/real-buildkit.ts';
import { startLoopbackServer } from '../pipelines/loopback.ts';
import { pushImage } from './image.ts';
import type { Figure } from './run.ts';

const carryall = fileURLToPath(new URL('../../.carryall/', import.meta.url));

/** Share of the time of the yardsticks: five times as fast. */
const GOAL_SHARE = 0.2;

/** What most environments share. */
const BASE = ['build-base', 'busybox-static'];

export async function environment(): Promise<readonly Figure[]> {
  if (skipReason !== false) {
    console.log(`  skipped: ${skipReason}`);
    return [];
  }
  const key = await localSigningKey(join(carryall, 'test-pipelines'), 'pipelines.rsa');
  const debian = await prepareBootstrapRepository({
    folder: join(carryall, 'bench', 'debian'),
    debianFolder: join(carryall, 'debian', 'machine'),
    key,
  });
  let throughRunner = 0;
  await using server = await startLoopbackServer((request, response) => {
    const file = createReadStream(join(debian.folder, request.url ?? ''));
    // Everything that is not BuildKit is the runner.
    const isRunner = !/buildkit|go-http-client/i.test(request.headers['user-agent'] ?? '');
    file.on('data', (chunk) => {
      if (isRunner) throughRunner += chunk.length;
    });
    file.on('error', () => response.writeHead(404).end()).pipe(response);
  });
  const repository: Repository = {
    location: server.url,
    baseUrl: server.url,
    mayBeEmpty: false,
    keys: new Map([[publicKeyName(key), key.publicKey]]),
  };
  const indexes = createIndexCache();
  const known = createKnownPackages();
  const { signal } = new AbortController();
  const lock = (world: readonly string[]): Promise<LockedPackage[]> =>
    lockEnvironment({
      world,
      arch: debian.arch,
      repositories: [repository],
      ahead: [],
      indexes,
      packages: known,
      signal,
    });
  const base = new Set((await lock(BASE)).map((one) => one.entry.name));
  await using buildkit = await startRealBuildkit();

  const run = async ({ root, uploads }: Environment): Promise<void> => {
    const made = exec({
      root,
      args: ['/bin/sh', '-c', 'true'],
      env: { PATH: '/usr/bin:/bin' },
      cwd: '/',
      network: 'none',
      name: 'true',
    }).root;
    await solve({
      connection: buildkit.connection,
      output: made,
      services: { uploads },
      entitlements: [],
      onProgress: () => undefined,
      signal,
    });
  };
  const measure = async (
    world: readonly string[],
    make: (packages: LockedPackage[]) => Environment | Promise<Environment>,
  ): Promise<Measured> => {
    const startedMs = performance.now();
    const packages = await lock(world);
    await run(await make(packages));
    const seconds = (performance.now() - startedMs) / 1000;
    const runnerMb = throughRunner / 1e6;
    throughRunner = 0;
    return { seconds, runnerMb, packages: packages.length };
  };
  const merged =
    (world: readonly string[]) =>
    (packages: LockedPackage[]): Environment =>
      composeEnvironment({
        packages,
        world,
        base,
        arch: debian.arch,
        layout: 'merge',
        repositories: [],
        configuration: {},
        accounts: { users: [], groups: [] },
        paths: [],
        keys: new Map(),
        authSecrets: new Map(),
      });

  const without = (name: string): string[] =>
    ['build-base', ...BOOTSTRAP_NAMES].filter((one) => one !== name);
  const all = ['build-base', ...BOOTSTRAP_NAMES];
  const fresh = await measure(all, merged(all));
  const combinations: Measured[] = [];
  for (const name of ['git', 'file', 'wget']) {
    combinations.push(await measure(without(name), merged(without(name))));
  }
  const unseen = median(combinations);
  const again = await measure(without('git'), merged(without('git')));
  const stacked = await measure(without('patch'), (packages) => ({
    root: unpackOntoEachOther(packages),
    uploads: new Map(),
  }));
  const registry = await startRegistry({
    folder: join(carryall, 'bench', 'registry'),
    debianFolder: join(carryall, 'debian'),
    port: 0,
    log: () => undefined,
  });
  await using started = new AsyncDisposableStack();
  started.defer(() => registry.close());
  let imageMb = 0;
  const image = await measure(without('xz-utils'), async (packages) => {
    const folder = join(carryall, 'bench', 'image');
    const { root, bytes } = await pushImage({ packages, registry: registry.address, folder });
    imageMb = bytes / 1e6;
    return { root, uploads: new Map() };
  });
  return [
    { what: `${fresh.packages} packages, all new`, value: fresh.seconds, unit: 's' },
    { what: '  bytes through the runner, once for each package ever', value: fresh.runnerMb, unit: 'MB' },
    {
      what: `a combination never seen of ${unseen.packages} known packages`,
      value: unseen.seconds,
      unit: 's',
    },
    { what: '  bytes through the runner', value: unseen.runnerMb, unit: 'MB' },
    { what: 'the same again', value: again.seconds, unit: 's' },
    {
      what: 'each known package unpacked onto the one before (the yardstick)',
      value: stacked.seconds,
      unit: 's',
    },
    {
      what: '  the combination as a share of that',
      value: unseen.seconds / stacked.seconds,
      unit: '×',
      goal: GOAL_SHARE,
    },
    {
      what: 'one image of known packages, built by the runner and pushed (the other)',
      value: image.seconds,
      unit: 's',
    },
    { what: '  bytes through the runner', value: imageMb, unit: 'MB' },
    {
      what: '  the combination as a share of that',
      value: unseen.seconds / image.seconds,
      unit: '×',
      goal: GOAL_SHARE,
    },
  ];
}

type Environment = Pick<ComposedEnvironment, 'root' | 'uploads'>;

interface Measured {
  readonly seconds: number;
  readonly runnerMb: number;
  readonly packages: number;
}

function median(several: readonly Measured[]): Measured {
  const [, middle] = several.toSorted((a, b) => a.seconds - b.seconds);
  if (middle === undefined) throw new Error('nothing was measured');
  return middle;
}

/** A snapshot for each package, as without MergeOp: a new combination shares nothing behind its first difference. */
function unpackOntoEachOther(packages: readonly LockedPackage[]): Output {
  let root: Output | undefined;
  // The one that differs comes first, as it may.
  for (const { url, sha256, entry } of packages.toReversed()) {
    const source = httpSource({
      url,
      checksum: `sha256:${sha256}`,
      filename: 'package.apk',
      name: `fetch ${entry.name}`,
    });
    root = fileOp(
      root ?? 'scratch',
      [{ unpack: source, from: '/package.apk', to: '/' }],
      `unpack ${entry.name}`,
    );
  }
  if (root === undefined) throw new Error('there are no packages');
  return root;
}
