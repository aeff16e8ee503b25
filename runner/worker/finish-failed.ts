/** How an attempt that did not succeed ends: failed, tried again, given back, or left to the attempt after it. */
import { asPipelineError, type PipelineError, toErrorRecord } from '../../shared/errors.ts';
import { NOW, type Patch, type Stored, Timestamp } from '../../shared/firestore/documents.ts';
import { type JobKey, type JobRecord, jobTransition } from '../../shared/firestore/job-record.ts';
import { MAX_ATTEMPTS, RETRY_BACKOFF_MS, UPLOAD_WAIT_MS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import { isTerminalJob } from '../../shared/states.ts';
import type { HeldJob } from '../jobs/lease.ts';
import type { Outcome } from '../queue/consumer.ts';
import type { WorkerContext } from './handle-job.ts';
import { afterJobEnded } from './release.ts';
import { lookAtUploads, type UploadOutlook } from './upload-settling.ts';

export interface FailedAttempt {
  readonly error: PipelineError;
  readonly key: JobKey;
  readonly log: Log;
}

/** Records the end of the attempt. The message is acknowledged: whoever is to act next is rung for. */
export async function finishFailed(
  context: WorkerContext,
  held: HeldJob,
  attempt: FailedAttempt,
): Promise<Outcome> {
  const { error, key, log } = attempt;
  if (error.kind === 'superseded') return 'ack';
  try {
    const uploads: UploadOutlook =
      // Only a step can fail for want of a file; other errors would come again whatever is uploaded.
      error.code === 'build-step-failed' ? await lookAtUploads(context, held, key) : { kind: 'settled' };
    const stored = await held.write((record) => endPatch(record, { error, uploads, nowMs: Date.now() }));
    context.events.job(stored);
    if (isTerminalJob(stored.data.state)) await afterJobEnded(context, stored);
    else if (uploads.kind === 'changed') await context.topics.requestPlan(key.build);
    else if (stored.data.state === 'queued') ringWhenDue(context, stored, attempt);
    return 'ack';
  } catch (thrown) {
    const failure = asPipelineError(thrown);
    if (failure.kind === 'superseded') return 'ack';
    // The result could not be recorded: the lease runs out and another runner takes over.
    log.error({ error: failure, code: failure.code }, 'the end of an attempt could not be recorded');
    return 'nack';
  }
}

/** Rings now, or after the pause of a retry; the reaper does if this process does not live that long. */
function ringWhenDue(context: WorkerContext, stored: Stored<JobRecord>, attempt: FailedAttempt): void {
  const { notBefore, arch } = stored.data;
  const delayMs = notBefore === null ? 0 : notBefore.toMillis() - stored.readTime.toMillis() + 50;
  const timer = setTimeout(
    () => {
      context.topics
        .ringJob(attempt.key, arch)
        .catch((cause: unknown) => attempt.log.warn({ error: cause }, 'job not rung for'));
    },
    Math.max(0, delayMs),
  );
  timer.unref();
}

interface End {
  readonly error: PipelineError;
  readonly uploads: UploadOutlook;
  readonly nowMs: number;
}

function endPatch(record: JobRecord, { error, uploads, nowMs }: End): Patch {
  const errorRecord = toErrorRecord(error);
  if (uploads.kind === 'changed') {
    const reason = 'its uploads have changed while it was built';
    return {
      ...jobTransition(record, { state: 'pending', reason, error: errorRecord }),
      heldUntilMs: nowMs + UPLOAD_WAIT_MS,
    };
  }
  if (uploads.kind === 'awaited') {
    const reason = `failed without a source directory, whose upload is awaited until ${new Date(uploads.untilMs).toISOString()}`;
    return {
      ...jobTransition(record, { state: 'pending', reason, error: errorRecord }),
      heldUntilMs: uploads.untilMs,
    };
  }
  if (error.kind === 'cancelled') {
    return { ...jobTransition(record, { state: 'queued', reason: 'its runner was stopped' }), rungAt: NOW };
  }
  if (error.kind === 'infra' && record.attempts + 1 < MAX_ATTEMPTS) {
    const reason = `attempt ${record.attempts + 1} of ${MAX_ATTEMPTS} failed: ${error.message}`;
    return {
      ...jobTransition(record, { state: 'queued', reason, error: errorRecord }),
      attempts: record.attempts + 1,
      avoidBackend: record.backend,
      notBefore: Timestamp.fromMillis(nowMs + RETRY_BACKOFF_MS * 2 ** record.attempts),
      rungAt: NOW,
    };
  }
  return {
    ...jobTransition(record, { state: 'failed', error: errorRecord }),
    attempts: record.attempts + (error.kind === 'infra' ? 1 : 0),
  };
}
