/** Handles the messages of `package-jobs-{arch}`: claims the job, runs an attempt, records how it ended. */

import type { Firestore } from '@google-cloud/firestore';
import type { Message } from '@google-cloud/pubsub';
import { asPipelineError, type ErrorCode, PipelineError } from '../../shared/errors.ts';
import { BUILD, buildRef } from '../../shared/firestore/build-record.ts';
import { readDocument, type Stored } from '../../shared/firestore/documents.ts';
import {
  JOB,
  type JobKey,
  type JobRecord,
  jobRef,
  jobTransition,
} from '../../shared/firestore/job-record.ts';
import { asBuildId, asJobId } from '../../shared/identity.ts';
import { PROGRESS_INTERVAL_MS, SLOT_WAIT_MS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import { parseJobMessage } from '../../shared/messages.ts';
import type { Topics } from '../../shared/pubsub/topics.ts';
import { isTerminalJob } from '../../shared/states.ts';
import type { BackendPool, Slot } from '../backends/backend-pool.ts';
import type { Repository } from '../environment/repository.ts';
import type { EventPublisher } from '../events/event-publisher.ts';
import { claimJob, type HeldJob, holdJob, type LeaseTimes, leaseExpired } from '../jobs/lease.ts';
import type { RunnerMetrics } from '../metrics.ts';
import type { RepositoryWriter } from '../publish/repository-writer.ts';
import type { Outcome } from '../queue/consumer.ts';
import { type AttemptResult, type EngineContext, runAttempt } from './attempt.ts';
import { checkVersions } from './check-versions.ts';
import { finishFailed } from './finish-failed.ts';
import { openLog } from './log-writer.ts';
import type { ParkedJobs } from './parked-jobs.ts';
import { afterJobEnded } from './release.ts';
import { siblingPackages } from './sibling-packages.ts';

export interface WorkerContext {
  readonly firestore: Firestore;
  readonly engine: EngineContext;
  readonly pool: BackendPool;
  /** The repository that this installation fills, and the URL of the bucket it lies in. */
  readonly ownRepository: { readonly repository: Repository; readonly bucketUrl: string };
  readonly topics: Topics;
  readonly events: EventPublisher;
  readonly repository: RepositoryWriter;
  readonly parked: ParkedJobs;
  readonly metrics: RunnerMetrics;
  readonly log: Log;
  /** Identity of this process. */
  readonly owner: string;
  readonly leaseTimes: LeaseTimes;
  /** Fires when this process has to give its jobs back. */
  readonly stopping: AbortSignal;
}

/** Runs the job of a message, if it is to be run now. Returns when the job has ended or is somebody else's. */
export async function handleJob(context: WorkerContext, message: Message): Promise<Outcome> {
  const { buildId, job } = parseJobMessage(message.data);
  const key: JobKey = { build: asBuildId(buildId), job: asJobId(job) };
  const ref = jobRef(context.firestore, key);
  const known = await readDocument(JOB, ref);
  if (known === undefined || !mayRun(known, context.leaseTimes.leaseMs)) return 'ack';
  if (context.stopping.aborted) return 'nack';
  const slot = await context.pool.acquire({
    arch: known.data.arch,
    selector: known.data.selector,
    avoid: known.data.avoidBackend,
    affinity: known.data.package,
    waitMs: SLOT_WAIT_MS,
    signal: context.stopping,
  });
  if (slot === undefined) {
    // The job stays queued; a slot that becomes free rings for it, or the reaper.
    context.parked.add(key, known.data.arch);
    return 'ack';
  }
  try {
    const claim = await claimJob(ref, context.owner, context.leaseTimes.leaseMs);
    if (!claim.claimed) {
      if (claim.stored !== undefined && isTerminalJob(claim.stored.data.state)) {
        await afterJobEnded(context, claim.stored);
      }
      return 'ack';
    }
    return await runClaimed(context, claim.stored, { key, slot });
  } finally {
    slot.release('ok');
  }
}

/** Errors that are the backend's fault; a failing repository or bucket says nothing about it. */
const BACKEND_FAILURES: ReadonlySet<ErrorCode> = new Set([
  'backend-unreachable',
  'backend-lacks-feature',
  'buildkit-failed',
]);

function mayRun(stored: Stored<JobRecord>, leaseMs: number): boolean {
  const { state } = stored.data;
  return state === 'queued' || (state === 'running' && leaseExpired(stored, leaseMs));
}

async function runClaimed(
  context: WorkerContext,
  claimed: Stored<JobRecord>,
  what: { readonly key: JobKey; readonly slot: Slot },
): Promise<Outcome> {
  const { data } = claimed;
  const log = context.log.child({
    buildId: what.key.build,
    package: data.package,
    arch: data.arch,
    epoch: data.epoch,
  });
  log.info({ backend: what.slot.address, crashes: data.crashes, attempts: data.attempts }, 'job claimed');
  context.events.job(claimed);
  await using held = holdJob(claimed, context.leaseTimes, log);
  const signal = AbortSignal.any([held.signal, context.stopping]);
  const started = performance.now();
  let ended: Stored<JobRecord>;
  try {
    const result = await attempt(context, held, { ...what, signal });
    const stored = await held.write((record) => successPatch(record, result));
    ended = stored;
    context.metrics.jobEnded('success', (performance.now() - started) / 1000);
    log.info({ metrics: result.metrics, artifacts: result.artifacts.length }, 'job succeeded');
  } catch (thrown) {
    const error = held.signal.aborted ? lostLease(held, thrown) : asPipelineError(thrown);
    if (BACKEND_FAILURES.has(error.code)) what.slot.release('infrastructure-failure');
    context.metrics.jobEnded(error.kind, (performance.now() - started) / 1000);
    log.warn({ code: error.code, kind: error.kind, error }, 'attempt ended without success');
    return finishFailed(context, held, { error, log, key: what.key });
  }
  // The job has ended, whatever happens now; what is left undone here the reaper does.
  context.repository.add(ended);
  await afterJobEnded(context, ended);
  return 'ack';
}

async function attempt(
  context: WorkerContext,
  held: HeldJob,
  what: { readonly key: JobKey; readonly slot: Slot; readonly signal: AbortSignal },
): Promise<AttemptResult> {
  const { key, slot, signal } = what;
  const record = held.current.data;
  const names = { build: key.build, packageName: record.package, arch: record.arch, epoch: record.epoch };
  const builds = context.engine.storage.bucket(context.engine.buildsBucket);
  await using log = openLog(builds, names);
  let shownMs = 0;
  const showStep = (step: string | undefined): void => {
    if (step === undefined || Date.now() - shownMs < PROGRESS_INTERVAL_MS) return;
    shownMs = Date.now();
    // For the console only: whether the attempt still holds the job is found out by its renewals.
    held.write(() => ({ step })).catch(() => undefined);
  };
  const begun = held.write(() => ({ log: log.object, lock: null, backend: slot.address }));
  try {
    const [build, ahead] = await Promise.all([
      readDocument(BUILD, buildRef(context.firestore, key.build)),
      siblingPackages(context, key, record),
      begun,
    ]);
    const result = await runAttempt(context.engine, {
      names,
      record,
      connection: slot.connection,
      ahead,
      log,
      debug: build?.data.options.debug ?? false,
      onStep: showStep,
      onLock: async (lock) => void (await held.write(() => ({ lock }))),
      signal,
    });
    await checkVersions(context.engine, record.arch, result.artifacts);
    return result;
  } catch (thrown) {
    if (signal.aborted) {
      log.write('\nthe attempt was interrupted\n');
      throw new PipelineError({
        code: 'shutting-down',
        kind: 'cancelled',
        message: 'the runner gives the job back',
        cause: thrown,
      });
    }
    const error = asPipelineError(thrown);
    log.write(
      `\n${error.kind} error: ${error.message}\n${error.hint === undefined ? '' : `hint: ${error.hint}\n`}`,
    );
    await log.close();
    throw error;
  }
}

function successPatch(record: JobRecord, result: AttemptResult): ReturnType<typeof jobTransition> {
  return {
    ...jobTransition(record, { state: 'success' }),
    artifacts: result.artifacts,
    metrics: result.metrics,
    steps: result.timings,
    repository: 'pending',
  };
}

function lostLease(held: HeldJob, thrown: unknown): PipelineError {
  const reason: unknown = held.signal.reason;
  if (reason instanceof PipelineError && reason.code === 'lease-lost') return reason;
  return new PipelineError({
    code: 'lease-lost',
    kind: 'superseded',
    message: 'the lease could not be renewed',
    cause: thrown,
  });
}
