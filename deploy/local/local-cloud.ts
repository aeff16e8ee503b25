/**
 * The whole of Carryall on one machine: the emulators of Firestore and Pub/Sub, the storage endpoint, the function,
 * a registry, BuildKit, the bootstrap repository, and the runner. The same code as in production, on stand-ins that
 * speak the real protocols.
 */
import { mkdir, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PipelineError } from '../../shared/errors.ts';
import { RUNNER_ENVIRONMENT, RUNNER_FLAGS } from '../runner-process.ts';
import { localSigningKey } from './bootstrap/local-key.ts';
import { prepareBootstrapRepository } from './bootstrap/repository.ts';
import type { LocalConfig } from './config.ts';
import { findEmulators } from './emulators.ts';
import { checkBuildkit } from './engine/check-buildkit.ts';
import { findBuildkit } from './engine/find-buildkit.ts';
import { startRegistry } from './engine/registry.ts';
import { type MachineLock, tryLock } from './parts/machine-lock.ts';
import type { PartLog } from './parts/part-log.ts';
import { rememberedPorts } from './parts/ports.ts';
import { processPart } from './parts/process-part.ts';
import { killAll } from './parts/processes.ts';
import { type Part, type Supervised, supervise } from './parts/supervisor.ts';
import { pubsubPart } from './pubsub-part.ts';
import { backendsYaml, repositoriesYaml } from './runner-files.ts';

export const PROJECT = 'carryall-local';
export const SPECS_BUCKET = 'carryall-specs';
export const BUILDS_BUCKET = 'carryall-builds';
const KEY_NAME = 'local.rsa';

const PORT_NAMES = [
  'firestore',
  'pubsub',
  'emulator',
  'storage',
  'function',
  'registry',
  'files',
  'runner',
] as const;
export type PortName = (typeof PORT_NAMES)[number];

export interface LocalCloudOptions {
  readonly config: LocalConfig;
  /** Folder of this cloud's data, logs and configuration. */
  readonly folder: string;
  readonly log: PartLog;
  /** Ends the start. */
  readonly signal: AbortSignal;
  /** More environment for the runner and the function, for tests: short leases, for example. */
  readonly runnerEnvironment?: Readonly<Record<string, string>>;
  readonly functionEnvironment?: Readonly<Record<string, string>>;
  /** `fresh` begins with empty buckets; default `kept`. */
  readonly buckets?: 'kept' | 'fresh';
  /** Parts that are not started; a test starts its own. */
  readonly without?: readonly string[];
}

export interface LocalCloud {
  readonly folder: string;
  readonly ports: Readonly<Record<PortName, number>>;
  /** What clients of this cloud need in their environment, `gcloud storage` included. */
  readonly environment: Readonly<Record<string, string>>;
  /** Environment of the runner and of the function as they are started. */
  readonly runnerEnvironment: Readonly<Record<string, string>>;
  readonly functionEnvironment: Readonly<Record<string, string>>;
  /** Public key of the packages made here. */
  readonly publicKeyPath: string;
  readonly filesFolder: string;
  readonly buildkitAddress: string;
  part(name: string): Supervised;
  /** Stops everything in reverse order. */
  close(): Promise<void>;
}

/** Environment variable by which processes of a local cloud are known, whoever their parent is. */
export function localMarker(folder: string): { readonly name: string; readonly value: string } {
  return { name: 'CARRYALL_PART', value: `local:${folder}` };
}

/** Name of the lock that the supervisor of a folder holds while it lives. */
export function localLockName(folder: string): string {
  return `carryall-local-${Buffer.from(folder).toString('base64url').slice(-80)}`;
}

/**
 * Starts the parts in order and waits for each; what an earlier, killed supervisor of the folder left is ended first.
 *
 * @throws PipelineError `prerequisite-missing` with what to install, `process-failed` where another supervisor uses the
 *   folder, `cancelled`.
 */
export async function startLocalCloud(options: LocalCloudOptions): Promise<LocalCloud> {
  const { log, signal } = options;
  await mkdir(options.folder, { recursive: true });
  const folder = await realpath(options.folder);
  const lock = await tryLock(localLockName(folder));
  if (lock === undefined) {
    throw new PipelineError({
      code: 'process-failed',
      kind: 'infra',
      message: `a local cloud runs already in ${folder}`,
      hint: 'stop it with "make down", or use it: eval "$(make -s env)"',
    });
  }
  const running: Supervised[] = [];
  try {
    return await startParts({ ...options, folder }, running, lock);
  } catch (error) {
    await closeAll(running, log);
    await lock.release();
    if (signal.aborted) {
      throw new PipelineError({
        code: 'cancelled',
        kind: 'cancelled',
        message: 'the start was cancelled',
        cause: error,
      });
    }
    throw error;
  }
}

async function closeAll(running: readonly Supervised[], log: PartLog): Promise<void> {
  for (const part of running.toReversed()) {
    try {
      await part.close();
    } catch (error) {
      log('a part did not stop cleanly', { part: part.name, error });
    }
  }
}

async function startParts(
  options: LocalCloudOptions,
  running: Supervised[],
  lock: MachineLock,
): Promise<LocalCloud> {
  const { config, folder, log, signal } = options;
  const marker = localMarker(folder);
  await killAll({ marker: `${marker.name}=${marker.value}` });
  const leftovers = options.buckets === 'fresh' ? ['spool', 'storage'] : ['spool'];
  for (const one of leftovers) await rm(join(folder, one), { recursive: true, force: true });
  const logFolder = join(folder, 'logs');
  const filesFolder = join(folder, 'files');
  const configFolder = join(folder, 'config');
  for (const one of [logFolder, filesFolder, configFolder, join(folder, 'gcloud'), join(folder, 'spool')]) {
    await mkdir(one, { recursive: true });
  }
  const ports = await rememberedPorts(join(folder, 'ports.json'), PORT_NAMES);
  const emulators = await findEmulators(config);
  const address = (name: PortName): string => `127.0.0.1:${ports[name]}`;
  const storageUrl = `http://${address('storage')}`;

  const clientEnvironment: Record<string, string> = {
    GOOGLE_CLOUD_PROJECT: PROJECT,
    FIRESTORE_EMULATOR_HOST: address('firestore'),
    PUBSUB_EMULATOR_HOST: address('pubsub'),
    STORAGE_ENDPOINT: storageUrl,
    METADATA_SERVER_DETECTION: 'none',
  };
  const partEnvironment = { ...config.environment, [marker.name]: marker.value };
  const nodeEnvironment = { ...partEnvironment, ...clientEnvironment, LOG_LEVEL: 'info' };
  const node = process.execPath;
  const base = { cwd: config.root, logFolder, env: partEnvironment };
  const start = async (part: Part): Promise<void> => {
    if (options.without?.includes(part.name)) return;
    signal.throwIfAborted();
    const startedMs = performance.now();
    running.push(await supervise(part, log, signal));
    log(`${part.name} is up`, { seconds: seconds(startedMs) });
  };

  const key = await localSigningKey(join(config.home, 'keys'), KEY_NAME);
  const bootstrapped = (async () => {
    const startedMs = performance.now();
    const made = await prepareBootstrapRepository({
      folder: join(config.home, 'bootstrap'),
      debianFolder: join(config.home, 'debian', 'machine'),
      key,
      signal,
      onProgress: ({ done, total }) => {
        if (done % 20 === 0 || done === total) log('preparing the bootstrap repository', { done, total });
      },
    });
    log('the bootstrap repository is ready', {
      packages: made.packages,
      made: made.made,
      seconds: seconds(startedMs),
    });
    return made;
  })();
  // Its failure is met where it is awaited.
  bootstrapped.catch(() => undefined);

  await Promise.all([
    start(
      processPart({
        ...base,
        name: 'firestore',
        command: 'java',
        args: emulators.firestore(ports.firestore),
        readyUrl: `http://${address('firestore')}/`,
      }),
    ),
    start(
      pubsubPart({
        ...base,
        projectId: PROJECT,
        args: emulators.pubsub,
        port: ports.pubsub,
        innerPort: ports.emulator,
      }),
    ),
    start(
      processPart({
        ...base,
        name: 'storage',
        command: node,
        args: [
          join(config.root, 'deploy/local/gcs/main.ts'),
          ...['--folder', join(folder, 'storage'), '--port', String(ports.storage)],
          ...['--bucket', SPECS_BUCKET, '--bucket', BUILDS_BUCKET],
          ...['--notify', `${SPECS_BUCKET}=http://${address('function')}/`],
          ...['--max-retry-ms', '2000'],
        ],
        readyUrl: `${storageUrl}/storage/v1/b?project=${PROJECT}`,
      }),
    ),
    start({
      name: 'registry',
      async start(partSignal) {
        const registry = await startRegistry({
          folder: join(folder, 'registry'),
          debianFolder: join(config.home, 'debian'),
          port: ports.registry,
          log,
          signal: partSignal,
        });
        return { ...registry, pids: [registry.pid] };
      },
    }),
  ]);

  let buildkitAddress = config.buildkitAddress ?? '';
  await start({
    name: 'buildkit',
    async start(partSignal) {
      const found = await findBuildkit({
        address: config.buildkitAddress,
        dockerHost: config.dockerHost,
        folder: join(folder, 'engine'),
        debianFolder: join(config.home, 'debian'),
        log,
        signal: partSignal,
      });
      try {
        const { merges } = await checkBuildkit(found.address);
        if (!merges) log('this BuildKit has no MergeOp: each new environment is unpacked as a whole');
      } catch (error) {
        await found.close();
        throw error;
      }
      buildkitAddress = found.address;
      return found;
    },
  });

  const bootstrap = await bootstrapped;
  await start(
    processPart({
      ...base,
      name: 'files',
      command: node,
      args: [
        join(config.root, 'deploy/local/file-server.ts'),
        ...['--port', String(ports.files), '--mount', `bootstrap=${bootstrap.folder}`],
        ...['--mount', `files=${filesFolder}`],
      ],
      readyUrl: `http://${address('files')}/`,
    }),
  );

  const functionEnvironment = {
    ...nodeEnvironment,
    SPECS_BUCKETS: SPECS_BUCKET,
    ...options.functionEnvironment,
  };
  await start(
    processPart({
      ...base,
      name: 'function',
      command: node,
      args: [
        join(config.root, 'node_modules/@google-cloud/functions-framework/build/src/main.js'),
        ...['--source', join(config.root, 'functions/main.ts'), '--target', 'spec-uploaded'],
        ...['--signature-type', 'cloudevent', '--port', String(ports.function)],
      ],
      env: functionEnvironment,
      // The framework answers this itself, without the function.
      readyUrl: `http://${address('function')}/robots.txt`,
    }),
  );

  const backendsFile = join(configFolder, 'backends.yaml');
  const repositoriesFile = join(configFolder, 'repositories.yaml');
  await writeFile(backendsFile, backendsYaml(buildkitAddress));
  await writeFile(
    repositoriesFile,
    repositoriesYaml(`http://${address('files')}/bootstrap`, bootstrap.publicKeyPath),
  );
  const runnerEnvironment = {
    ...nodeEnvironment,
    SPECS_BUCKETS: SPECS_BUCKET,
    BUILDS_BUCKET,
    BACKENDS_FILE: backendsFile,
    REPOSITORIES_FILE: repositoriesFile,
    SIGNING_KEY_FILE: join(config.home, 'keys', KEY_NAME),
    HOST: '127.0.0.1',
    PORT: String(ports.runner),
    CARRYALL_SETTING: 'local',
    STEP_NETWORK: 'host',
    BASE_PACKAGES: 'build-base',
    SPOOL_FOLDER: join(folder, 'spool'),
    ...RUNNER_ENVIRONMENT,
    ...options.runnerEnvironment,
  };
  await start(
    processPart({
      ...base,
      name: 'runner',
      command: node,
      args: [...RUNNER_FLAGS, join(config.root, 'runner/main.ts')],
      env: runnerEnvironment,
      readyUrl: `http://${address('runner')}/readyz`,
      stopGraceMs: 40_000,
    }),
  );

  const environment = {
    ...clientEnvironment,
    CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE: `${storageUrl}/storage/v1/`,
    CLOUDSDK_AUTH_DISABLE_CREDENTIALS: 'true',
    CLOUDSDK_CONFIG: join(folder, 'gcloud'),
    CLOUDSDK_CORE_PROJECT: PROJECT,
    CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true',
    SPECS: `gs://${SPECS_BUCKET}`,
    BUILDS: `gs://${BUILDS_BUCKET}`,
    CARRYALL_RUNNER: `http://${address('runner')}`,
  };
  await writeFile(
    join(folder, 'environment.json'),
    `${JSON.stringify({ pid: process.pid, ports, environment }, undefined, 2)}\n`,
  );
  return {
    folder,
    ports,
    environment,
    runnerEnvironment,
    functionEnvironment,
    publicKeyPath: bootstrap.publicKeyPath,
    filesFolder,
    buildkitAddress,
    part(name) {
      const found = running.find((one) => one.name === name);
      if (found === undefined) throw new Error(`the local cloud has no part ${name}`);
      return found;
    },
    async close() {
      await closeAll(running, log);
      await lock.release();
    },
  };
}

function seconds(startedMs: number): number {
  return Number(((performance.now() - startedMs) / 1000).toFixed(1));
}
