/** One build on a BuildKit daemon: solve a definition, follow its progress, receive its result as a tar. */
import { randomUUID } from 'node:crypto';
import { type ClientReadableStream, type ClientUnaryCall, type ServiceError, status } from '@grpc/grpc-js';
import { PipelineError } from '../../shared/errors.ts';
import type { BuildkitConnection } from './connection.ts';
import type { StatusResponse } from './gen/control.ts';
import { failedVertex, fromGrpcError } from './grpc-error.ts';
import { definition, type Output } from './llb.ts';
import { createProgressReader, type ProgressEvent } from './progress.ts';
import { openSession, type SessionServices } from './session.ts';

export interface SolveOptions {
  readonly connection: BuildkitConnection;
  readonly output: Output;
  /** `receiveTar` makes the result leave as a tar; without it the result is only computed. */
  readonly services: SessionServices;
  /** What the steps may use: `network.host`, `security.insecure`. */
  readonly entitlements: readonly string[];
  readonly onProgress: (event: ProgressEvent) => void;
  /** Cancels the solve, which kills its running steps. */
  readonly signal: AbortSignal;
}

/** BuildKit repeats the whole script in front of what went wrong. */
const MAX_DETAIL_CHARACTERS = 300;

/** How long the last progress events are waited for after a solve has ended. */
const STATUS_GRACE_MS = 5000;

/**
 * Solves `output`. Returns when the result, exports included, is complete.
 *
 * @throws PipelineError `build-step-failed` (`user`) where a process ended with another code than 0, its `step` being
 *   the op's name; `cancelled` after the signal; `backend-unreachable` or `buildkit-failed` (`infra`) otherwise; or
 *   the error of the service that failed.
 */
export async function solve(options: SolveOptions): Promise<void> {
  const { connection, signal } = options;
  signal.throwIfAborted();
  const graph = definition(options.output);
  const ref = randomUUID();
  let solveCall: ClientUnaryCall | undefined;
  await using session = openSession(connection, {
    ...options.services,
    onFailure: () => solveCall?.cancel(),
  });
  const progress = createProgressReader(options.onProgress);
  const statusCall = connection.control.status({ ref });
  const statusEnded = followStatus(statusCall, progress.read);
  const exportType = options.services.receiveTar === undefined ? '' : 'tar';
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  solveCall = connection.control.solve(
    {
      ref,
      definition: graph,
      legacyExporter: exportType,
      legacyExporterAttrs: {},
      session: session.id,
      frontend: '',
      frontendAttrs: {},
      cache: undefined,
      entitlements: [...options.entitlements],
      // Not recorded in the daemon's history: recording costs seven times a cached solve.
      internal: true,
      exporters: exportType === '' ? [] : [{ type: exportType, attrs: {} }],
    },
    (error) => {
      if (error === null) resolve();
      else reject(error);
    },
  );
  const cancel = (): void => solveCall?.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    await promise;
  } catch (error) {
    await within(statusEnded, STATUS_GRACE_MS);
    if (signal.aborted) {
      throw new PipelineError({
        code: 'cancelled',
        kind: 'cancelled',
        message: 'the build was cancelled',
        cause: signal.reason,
      });
    }
    throw session.failure() ?? solveError(error as ServiceError, progress.nameOf);
  } finally {
    signal.removeEventListener('abort', cancel);
    await within(statusEnded, STATUS_GRACE_MS);
    statusCall.cancel();
    progress.finish();
  }
}

function solveError(error: ServiceError, nameOf: (digest: string) => string | undefined): PipelineError {
  if (error.code !== status.UNKNOWN) return fromGrpcError(error, 'BuildKit');
  const failed = failedVertex(error);
  const step = failed.digests.map(nameOf).find((name) => name !== undefined);
  if (failed.exitCode === undefined) {
    const where = step === undefined ? '' : ` in "${step}"`;
    return new PipelineError({
      code: 'buildkit-failed',
      kind: 'infra',
      message: `BuildKit failed${where}: ${error.details.slice(-MAX_DETAIL_CHARACTERS)}`,
      step,
      cause: error,
    });
  }
  return new PipelineError({
    code: 'build-step-failed',
    kind: 'user',
    message: `step "${step ?? 'unknown'}" ended with exit code ${failed.exitCode}`,
    step,
    cause: error,
  });
}

/** Settles when the stream has ended. Its errors are those of the solve, which reports them. */
async function followStatus(
  call: ClientReadableStream<StatusResponse>,
  read: (response: StatusResponse) => void,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  call.on('data', read);
  call.once('error', () => resolve());
  call.once('end', () => resolve());
  return promise;
}

async function within(promise: Promise<void>, ms: number): Promise<void> {
  const { promise: timeout, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([promise, timeout]);
  clearTimeout(timer);
}
