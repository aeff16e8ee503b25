/** A private container registry for BuildKit's cache, from Debian's `docker-registry`. Runs as any user. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { PipelineError } from '../../../shared/errors.ts';
import { type Daemon, type Lifetime, lifetime, startDaemon, untilReady } from '../parts/daemon.ts';
import { tryLock } from '../parts/machine-lock.ts';
import type { PartLog } from '../parts/part-log.ts';
import { endAll, findProcesses, killAll } from '../parts/processes.ts';
import { canonicalPath } from './engine-layout.ts';
import {
  downloadPackages,
  type PackageSource,
  rememberedFolder,
  unpackedProgram,
  unpackPackages,
} from './unpacked-packages.ts';

const START_LIMIT_MS = 30_000;
const STOP_GRACE_MS = 5000;

export interface RegistryOptions {
  /** Folder of the registry's data, configuration and log; kept between runs. */
  readonly folder: string;
  /** As for `startDockerEngine`. */
  readonly debianFolder: string;
  /** Port on the loopback address; 0 takes a free one. */
  readonly port: number;
  readonly log: PartLog;
  /** Ends the start, not a started registry. */
  readonly signal?: AbortSignal;
}

export interface Registry extends Lifetime {
  /** `127.0.0.1:PORT`: plain HTTP, which BuildKit and Docker accept on the loopback address. */
  readonly address: string;
  readonly pid: number;
}

/**
 * Starts the registry, after ending one of the same folder that lost its supervisor.
 *
 * @throws PipelineError `prerequisite-missing` where this is no Debian or it ends or hangs at its start, `process-failed`
 *   where the port is taken or another process uses the folder, `cancelled`.
 */
export async function startRegistry(options: RegistryOptions): Promise<Registry> {
  const { log, signal } = options;
  const folder = await canonicalPath(options.folder);
  const lock = await tryLock(
    `carryall-registry-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`,
  );
  if (lock === undefined) {
    throw failure(`the registry in ${folder} is in use by another process`, 'stop the other "make up" first');
  }
  let daemon: Daemon | undefined;
  const stop = async (): Promise<void> => {
    try {
      await daemon?.stop(STOP_GRACE_MS);
    } finally {
      await lock.release();
    }
  };
  try {
    await endOrphans(`CARRYALL_PART=registry:${folder}`);
    const program = await registryProgram({
      debianFolder: options.debianFolder,
      ...(signal ? { signal } : {}),
    });
    const address = `127.0.0.1:${await freePort(options.port)}`;
    const config = join(folder, 'registry.json');
    await mkdir(join(folder, 'data'), { recursive: true });
    await writeFile(config, registryConfig(join(folder, 'data'), address));
    const started = await startDaemon({
      name: 'docker-registry',
      command: program,
      args: ['serve', config],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder, CARRYALL_PART: `registry:${folder}` },
      cwd: folder,
      logFile: join(folder, 'registry.log'),
    });
    daemon = started;
    const readyOptions = { limitMs: START_LIMIT_MS, ...(signal ? { signal } : {}) };
    await untilReady(started, () => answers(address), readyOptions);
    log('registry started', { address, pid: started.pid });

    return { address, pid: started.pid, ...lifetime([started], stop) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function registryProgram(source: PackageSource): Promise<string> {
  const folder = await rememberedFolder(source, 'registry', async () => {
    const packages = await downloadPackages(source, 'own', ['docker-registry']);
    return { folder: await unpackPackages(source, packages), remember: true };
  });
  return unpackedProgram(folder, 'docker-registry');
}

/** The configuration of distribution 2.8; its YAML takes JSON. */
function registryConfig(dataFolder: string, address: string): string {
  return `${JSON.stringify(
    {
      version: '0.1',
      log: { level: 'warn', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: dataFolder }, delete: { enabled: true } },
      http: { addr: address },
    },
    undefined,
    2,
  )}\n`;
}

async function endOrphans(marker: string): Promise<void> {
  await endAll(() => findProcesses({ marker }), 'SIGTERM', STOP_GRACE_MS);
  await killAll({ marker });
}

/** The registry's version check (Docker Registry HTTP API V2, `GET /v2/`). */
async function answers(address: string): Promise<true | undefined> {
  const signal = AbortSignal.timeout(2000);
  const response = await fetch(`http://${address}/v2/`, { signal }).catch(() => undefined);
  await response?.body?.cancel();
  return response?.status === 200 ? true : undefined;
}

/** Gives `wanted`, or a free port for 0, so that a taken port is told as such and no stranger on it is taken for ours. */
async function freePort(wanted: number): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', (cause) => {
    reject(
      failure(`port ${wanted} of 127.0.0.1 cannot be used: ${cause.message}`, 'choose another port', cause),
    );
  });
  server.listen(wanted, '127.0.0.1', resolve);
  await promise;
  const address = server.address();
  await new Promise((done) => server.close(done));
  return address === null || typeof address === 'string' ? wanted : address.port;
}

function failure(message: string, hint: string, cause?: unknown): PipelineError {
  return new PipelineError({ code: 'process-failed', kind: 'infra', message, hint, cause });
}
