/** Whether a BuildKit has MergeOp: not before 0.10, and not in a Docker Engine without the containerd image store. */
import { type ServiceError, status } from '@grpc/grpc-js';
import { PipelineError } from '../../shared/errors.ts';
import { unlessAborted } from '../../shared/shared-work.ts';
import type { BuildkitConnection } from './connection.ts';
import { failedVertex } from './grpc-error.ts';
import { fileOp, merge, type Output } from './llb.ts';
import { solve } from './solve.ts';

/** A probe takes some ten milliseconds; a daemon that needs longer than this is in trouble. */
const PROBE_LIMIT_MS = 30_000;

const probes = new WeakMap<BuildkitConnection, Promise<boolean>>();

/**
 * Whether the daemon joins layers by `merge`; false only where it refuses the op. Asked once for each connection;
 * callers at the same time share the question. A question that was not answered is not remembered: the next caller
 * asks again.
 *
 * @throws PipelineError `cancelled` after the signal, which ends the wait of this caller only; `backend-unreachable`,
 *   `buildkit-failed` or `backend-lacks-feature` (all `infra`) where the daemon does not answer within 30 s, or cannot
 *   even make the layers.
 */
export async function supportsMerge(connection: BuildkitConnection, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) throw cancelled(signal);
  try {
    return await unlessAborted(sharedProbe(connection), signal);
  } catch (error) {
    throw signal.aborted ? cancelled(signal) : error;
  }
}

function sharedProbe(connection: BuildkitConnection): Promise<boolean> {
  const known = probes.get(connection);
  if (known !== undefined) return known;
  const probe = probeMerge(connection);
  probes.set(connection, probe);
  probe.catch(() => probes.delete(connection));
  return probe;
}

/**
 * A daemon checks the capabilities that ops declare when it loads a graph, and refuses without naming an op that
 * failed. Since other failures may look the same, a refusal counts only where the same layers are joined by a copy.
 */
async function probeMerge(connection: BuildkitConnection): Promise<boolean> {
  const layer = (name: string): Output =>
    fileOp('scratch', [{ mkfile: `/${name}`, data: Buffer.from(name) }], `probe layer ${name}`);
  const [first, second] = [layer('a'), layer('b')];
  try {
    await solveProbe(connection, merge([first, second], 'probe merge'));
    return true;
  } catch (error) {
    if (!mayBeRefusal(error)) throw error;
  }
  await solveProbe(
    connection,
    fileOp(first, [{ copy: second, from: '/', to: '/', content: true }], 'probe copy'),
  );
  return false;
}

async function solveProbe(connection: BuildkitConnection, output: Output): Promise<void> {
  const limit = AbortSignal.timeout(PROBE_LIMIT_MS);
  try {
    await solve({
      connection,
      output,
      services: {},
      entitlements: [],
      onProgress: () => undefined,
      signal: limit,
    });
  } catch (cause) {
    if (!limit.aborted) throw cause;
    throw new PipelineError({
      code: 'backend-unreachable',
      kind: 'infra',
      message: `BuildKit at ${connection.address} did not solve a small graph within ${PROBE_LIMIT_MS / 1000} s`,
      cause,
    });
  }
}

/** Statuses a refused capability may have; BuildKit up to 0.25 gives it none, which gRPC calls UNKNOWN. */
const REFUSALS: ReadonlySet<number> = new Set([status.UNKNOWN, status.UNIMPLEMENTED]);

function mayBeRefusal(error: unknown): boolean {
  const cause = error instanceof PipelineError ? error.cause : undefined;
  if (!isServiceError(cause) || !REFUSALS.has(cause.code)) return false;
  const { digests, exitCode } = failedVertex(cause);
  return digests.length === 0 && exitCode === undefined;
}

function isServiceError(cause: unknown): cause is ServiceError {
  return cause instanceof Error && 'code' in cause && 'metadata' in cause;
}

function cancelled(signal: AbortSignal): PipelineError {
  return new PipelineError({
    code: 'cancelled',
    kind: 'cancelled',
    message: 'waiting for BuildKit to tell whether it merges was cancelled',
    cause: signal.reason,
  });
}
