/** The few requests to a Docker Engine's API that tell what it is (Docker Engine API: `/_ping`, `/info`). */
import { request } from 'node:http';
import { PipelineError } from '../../../shared/errors.ts';

export interface DockerInfo {
  readonly version: string;
  readonly storageDriver: string;
  /** Whether images and build results are in containerd, without which its BuildKit has no MergeOp. */
  readonly containerdStore: boolean;
  readonly cgroupVersion: string;
}

/** Mark of the containerd image store in the `DriverStatus` of `/info`. */
const CONTAINERD_STORE = 'io.containerd.snapshotter.v1';

/**
 * Asks the Docker Engine behind a Unix socket what it is.
 *
 * @throws PipelineError `backend-unreachable` where nobody answers within `timeoutMs` (default 5 s) or with an error.
 */
export async function dockerInfo(socketPath: string, timeoutMs = 5000): Promise<DockerInfo> {
  const signal = AbortSignal.timeout(timeoutMs);
  await get(socketPath, '/_ping', signal);
  const text = await get(socketPath, '/info', signal);
  const info = JSON.parse(text) as {
    ServerVersion?: string;
    Driver?: string;
    DriverStatus?: readonly (readonly [string, string])[] | null;
    CgroupVersion?: string;
  };
  return {
    version: info.ServerVersion ?? '',
    storageDriver: info.Driver ?? '',
    containerdStore: (info.DriverStatus ?? []).some(
      ([name, value]) => name === 'driver-type' && value === CONTAINERD_STORE,
    ),
    cgroupVersion: info.CgroupVersion ?? '',
  };
}

async function get(socketPath: string, path: string, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const fail = (reason: string, cause?: unknown): void => {
    reject(
      new PipelineError({
        code: 'backend-unreachable',
        kind: 'infra',
        message: `the Docker Engine at ${socketPath} does not answer GET ${path}: ${reason}`,
        cause,
      }),
    );
  };
  const asked = request({ socketPath, path, signal, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.once('error', (cause) => fail(cause.message, cause));
    response.once('end', () => {
      if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString());
      else fail(`status ${response.statusCode}`);
    });
  });
  asked.once('error', (cause) => fail(signal.aborted ? 'no answer in time' : cause.message, cause));
  asked.end();
  return promise;
}
