/** Which BuildKit the local machine uses: the one named, else Docker's, else a private Docker Engine. */
import { createConnection } from 'node:net';
import { asPipelineError, PipelineError } from '../../../shared/errors.ts';
import type { PartLog } from '../parts/part-log.ts';
import { dockerInfo } from './docker-api.ts';
import { startDockerEngine } from './docker-engine.ts';

/** Where Docker listens unless told otherwise. */
const DOCKER_SOCKET = '/var/run/docker.sock';
const CONNECT_LIMIT_MS = 5000;

export interface FindBuildkitOptions {
  /** Value of BUILDKIT_ADDR; undefined or empty where it is not set. */
  readonly address: string | undefined;
  /** Value of DOCKER_HOST; undefined or empty means `unix:///var/run/docker.sock`. */
  readonly dockerHost: string | undefined;
  /** Folder for the private engine. */
  readonly folder: string;
  readonly debianFolder: string;
  readonly log: PartLog;
  readonly signal?: AbortSignal;
  /** More environment for the private engine. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface FoundBuildkit {
  /** `tcp://host:port`, `unix:///path` or `docker+unix:///path`. */
  readonly address: string;
  /** `given` by BUILDKIT_ADDR, the machine's own `docker`, or the `private` engine: only that one is ours to set up. */
  readonly origin: 'given' | 'docker' | 'private';
  /** For a private engine as `DockerEngine.ended`; for another one it settles at `close()`. */
  readonly ended: Promise<PipelineError | undefined>;
  /** Process ids of a private engine, dockerd first; none for another one. */
  readonly pids: readonly number[];
  /** Stops a private engine; leaves another one alone. */
  readonly close: () => Promise<void>;
}

/**
 * Finds a BuildKit that answers.
 *
 * @throws PipelineError `config-invalid` for a malformed BUILDKIT_ADDR, `backend-unreachable` where that one does not
 *   answer, `prerequisite-missing` where none is given and none can be had: the message tells why each way failed.
 */
export async function findBuildkit(options: FindBuildkitOptions): Promise<FoundBuildkit> {
  if (options.address) {
    await requireAnswer(options.address, options.log);
    return notOurs(options.address, 'given');
  }
  const socket = dockerSocket(options.dockerHost);
  const unfit = socket === undefined ? `DOCKER_HOST is ${options.dockerHost}` : await whyUnfit(socket);
  if (socket !== undefined && unfit === undefined) return notOurs(`docker+unix://${socket}`, 'docker');
  options.log('machine has no Docker to use', { reason: unfit });
  try {
    const engine = await startDockerEngine(options);
    const { address, pids, ended, close } = engine;
    return { address, origin: 'private', pids: [pids.dockerd, pids.containerd], ended, close };
  } catch (thrown) {
    const error = asPipelineError(thrown);
    if (error.code !== 'prerequisite-missing') throw error;
    throw new PipelineError({
      code: 'prerequisite-missing',
      kind: 'infra',
      message: `there is no BuildKit: BUILDKIT_ADDR is not set; Docker: ${unfit}; private Docker Engine: ${error.message}`,
      hint: error.hint,
      cause: error,
    });
  }
}

function notOurs(address: string, origin: 'given' | 'docker'): FoundBuildkit {
  const { promise: ended, resolve } = Promise.withResolvers<undefined>();
  return {
    address,
    origin,
    pids: [],
    ended,
    async close() {
      resolve(undefined);
    },
  };
}

async function requireAnswer(address: string, log: PartLog): Promise<void> {
  const [, scheme, rest] = /^(tcp|unix|docker\+unix):\/\/(.+)$/.exec(address) ?? [];
  const [, host, port] = /^(.+):(\d+)$/.exec(rest ?? '') ?? [];
  const fits =
    scheme === 'tcp' ? port !== undefined && Number(port) <= 65_535 : rest?.startsWith('/') === true;
  if (rest === undefined || !fits) {
    throw new PipelineError({
      code: 'config-invalid',
      kind: 'infra',
      message: `BUILDKIT_ADDR is "${address}", which is no BuildKit address`,
      hint: 'use tcp://host:port, unix:///path/to/socket or docker+unix:///path/to/docker.sock',
    });
  }
  if (scheme === 'docker+unix') {
    const info = await dockerInfo(rest, CONNECT_LIMIT_MS);
    if (!info.containerdStore) {
      log('Docker is without the containerd image store, environments are composed the slow way', {
        version: info.version,
        storageDriver: info.storageDriver,
      });
    }
  } else if (scheme === 'tcp') {
    await connect({ host: (host ?? '').replace(/^\[(.*)\]$/, '$1'), port: Number(port) }, address);
  } else {
    await connect({ path: rest }, address);
  }
}

async function connect(
  target: { host: string; port: number } | { path: string },
  address: string,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = createConnection(target);
  const fail = (reason: string, cause?: unknown): void => {
    reject(
      new PipelineError({
        code: 'backend-unreachable',
        kind: 'infra',
        message: `the BuildKit at ${address} (BUILDKIT_ADDR) does not answer: ${reason}`,
        hint: 'start it, or unset BUILDKIT_ADDR to use Docker or a private one',
        cause,
      }),
    );
  };
  socket.setTimeout(CONNECT_LIMIT_MS, () => fail('no connection in time'));
  socket.once('connect', resolve);
  socket.once('error', (cause) => fail(cause.message, cause));
  try {
    await promise;
  } finally {
    socket.destroy();
  }
}

/** Path of Docker's socket, or undefined where DOCKER_HOST names something else than a Unix socket. */
function dockerSocket(dockerHost: string | undefined): string | undefined {
  if (!dockerHost) return DOCKER_SOCKET;
  return /^unix:\/\/(\/.+)$/.exec(dockerHost)?.[1];
}

/** Why the Docker behind a socket does not do, or undefined where it does. */
async function whyUnfit(socket: string): Promise<string | undefined> {
  try {
    const info = await dockerInfo(socket, CONNECT_LIMIT_MS);
    if (info.containerdStore) return undefined;
    return `Docker ${info.version} uses the image store ${info.storageDriver}; switch on "containerd-snapshotter" in the features of /etc/docker/daemon.json`;
  } catch (thrown) {
    const error = asPipelineError(thrown);
    if (error.code !== 'backend-unreachable') throw error;
    return error.message;
  }
}
