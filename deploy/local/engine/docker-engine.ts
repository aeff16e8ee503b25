/** A private Docker Engine, for the BuildKit inside it, on a Debian machine that has none or one that is too old. */
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { asPipelineError, PipelineError } from '../../../shared/errors.ts';
import { type Daemon, type Lifetime, lifetime, startDaemon, untilReady } from '../parts/daemon.ts';
import type { PartLog } from '../parts/part-log.ts';
import { type DockerInfo, dockerInfo } from './docker-api.ts';
import {
  containerdConfig,
  dockerConfig,
  type ImageStore,
  runcWrapper,
  STORAGE_DRIVERS,
} from './engine-config.ts';
import { type EngineLayout, engineLayout } from './engine-layout.ts';
import { requireDebianRoot, requireOverlay } from './engine-prerequisites.ts';
import { type EnginePrograms, enginePrograms } from './engine-programs.ts';
import { lockEngine, reapLocked } from './reap.ts';

/** How long a first start may take; a usual one takes less than a second. */
const START_LIMIT_MS = 60_000;
/** dockerd gives up its own orderly stop after 15 s. */
const DOCKERD_GRACE_MS = 20_000;
const CONTAINERD_GRACE_MS = 10_000;

export interface DockerEngineOptions {
  /** Folder of the engine: its data (kept between runs), configuration and logs. */
  readonly folder: string;
  /** Folder of the private apt roots and unpacked packages, shared by all engines of a checkout. */
  readonly debianFolder: string;
  readonly log: PartLog;
  /** Ends the start, not a started engine. */
  readonly signal?: AbortSignal;
  /** More environment for dockerd, for example the machine's proxies. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default `containerd`, which builds want. A folder is for one store only. */
  readonly imageStore?: ImageStore;
}

/**
 * A running engine. `close()` stops dockerd, then containerd, and removes every process, mount, cgroup, socket and pid
 * file; end running solves first, or their steps are killed.
 */
export interface DockerEngine extends Lifetime {
  /** `docker+unix://` and the path of the socket. */
  readonly address: string;
  readonly pids: { readonly containerd: number; readonly dockerd: number };
}

/**
 * Starts the engine, after removing what an earlier one of the same folder left. The first start on a machine
 * downloads about 50 MB of Debian packages, and the package lists of two suites.
 *
 * @throws PipelineError `prerequisite-missing` where the machine cannot run it or a program ends or hangs at its start
 *   (the message has the end of its log), `process-failed` where another process uses the folder or what an earlier
 *   engine left cannot be removed, `backend-lacks-feature`, `cancelled`.
 */
export async function startDockerEngine(options: DockerEngineOptions): Promise<DockerEngine> {
  const { log, signal, imageStore = 'containerd' } = options;
  await requireDebianRoot();
  const layout = await engineLayout(options.folder);
  const lock = await lockEngine(layout);
  const readyOptions = { limitMs: START_LIMIT_MS, ...(signal ? { signal } : {}) };
  const running: Daemon[] = [];
  const stop = async (): Promise<void> => {
    try {
      // dockerd before containerd, which it stores its state with.
      for (const daemon of running.toReversed()) {
        await daemon.stop(daemon.name === 'dockerd' ? DOCKERD_GRACE_MS : CONTAINERD_GRACE_MS);
      }
      await reapLocked(layout, log);
    } finally {
      await lock.release();
    }
  };
  try {
    await reapLocked(layout, log);
    const source = { debianFolder: options.debianFolder, ...(signal ? { signal } : {}) };
    const programs = await enginePrograms(source, log);
    await prepareFolders(layout, programs, imageStore);
    await requireOverlay(layout);

    const containerd = await startDaemon({
      name: 'containerd',
      command: programs.containerd,
      args: ['--config', layout.containerdConfig],
      env: daemonEnvironment(layout, programs),
      cwd: layout.folder,
      logFile: layout.containerdLog,
    });
    running.push(containerd);
    await untilReady(containerd, () => accepts(layout.containerdSocket), readyOptions);

    const dockerd = await startDaemon({
      name: 'dockerd',
      command: programs.dockerd,
      args: ['--config-file', layout.dockerConfig],
      env: {
        ...options.env,
        ...daemonEnvironment(layout, programs),
        DOCKER_BUILDKIT_RUNC_COMMAND: join(layout.runtime, 'bin', 'runc'),
        // No limits: BuildKit otherwise clips a step's log at 2 MiB.
        BUILDKIT_STEP_LOG_MAX_SIZE: '-1',
        BUILDKIT_STEP_LOG_MAX_SPEED: '-1',
      },
      cwd: layout.folder,
      logFile: layout.dockerLog,
    });
    running.push(dockerd);
    const info = await untilReady(dockerd, () => infoOnceUp(layout.dockerSocket), readyOptions);
    if (info.containerdStore !== (imageStore === 'containerd')) {
      throw new PipelineError({
        code: 'backend-lacks-feature',
        kind: 'infra',
        message: `Docker ${info.version} came up with the image store ${info.storageDriver} instead of ${STORAGE_DRIVERS[imageStore]} (${imageStore})`,
      });
    }
    log('Docker Engine started', { version: info.version, containerd: containerd.pid, dockerd: dockerd.pid });

    return {
      address: `docker+unix://${layout.dockerSocket}`,
      pids: { containerd: containerd.pid, dockerd: dockerd.pid },
      ...lifetime(running, stop),
    };
  } catch (error) {
    await stop().catch((also: unknown) => {
      log('cleaning up after a failed start failed too', { reason: asPipelineError(also).message });
    });
    throw error;
  }
}

async function prepareFolders(
  layout: EngineLayout,
  programs: EnginePrograms,
  imageStore: ImageStore,
): Promise<void> {
  const bin = join(layout.runtime, 'bin');
  for (const folder of [layout.containerdRoot, layout.dockerRoot, layout.temporary]) {
    await mkdir(folder, { recursive: true });
  }
  await rm(layout.runtime, { recursive: true, force: true });
  await mkdir(layout.runtime, { mode: 0o700 });
  await mkdir(bin);
  await writeFile(join(bin, 'runc'), runcWrapper(layout, programs.runc));
  await chmod(join(bin, 'runc'), 0o755);
  await writeFile(layout.containerdConfig, containerdConfig(layout));
  await writeFile(layout.dockerConfig, dockerConfig(layout, imageStore));
}

function daemonEnvironment(layout: EngineLayout, programs: EnginePrograms): Record<string, string> {
  const separator = layout.marker.indexOf('=');
  return {
    PATH: programs.path,
    HOME: layout.folder,
    TMPDIR: layout.temporary,
    [layout.marker.slice(0, separator)]: layout.marker.slice(separator + 1),
  };
}

/** True where somebody listens on the socket, else undefined. */
async function accepts(socketPath: string): Promise<true | undefined> {
  const { promise, resolve } = Promise.withResolvers<true | undefined>();
  const socket = createConnection(socketPath);
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(undefined));
  const answer = await promise;
  socket.destroy();
  return answer;
}

async function infoOnceUp(socketPath: string): Promise<DockerInfo | undefined> {
  try {
    return await dockerInfo(socketPath);
  } catch (thrown) {
    const error = asPipelineError(thrown);
    if (error.code === 'backend-unreachable') return undefined;
    throw error;
  }
}
