/**
 * The lease of a job: who works on it, in which attempt (epoch). Firestore is the truth and its clock decides; every
 * write of an attempt checks that the attempt still holds the job.
 */
import type { DocumentReference } from '@google-cloud/firestore';
import { PipelineError } from '../../shared/errors.ts';
import {
  changeDocument,
  elapsedMs,
  NOW,
  type Patch,
  readDocument,
  type Stored,
} from '../../shared/firestore/documents.ts';
import { JOB, type JobRecord, jobTransition } from '../../shared/firestore/job-record.ts';
import { MAX_CRASHES } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import { isTerminalJob } from '../../shared/states.ts';

export interface LeaseTimes {
  readonly leaseMs: number;
  readonly renewalMs: number;
  readonly renewalTimeoutMs: number;
  readonly renewalFailures: number;
}

export type Claim =
  | { readonly claimed: true; readonly stored: Stored<JobRecord> }
  /** Terminal, leased elsewhere, or not to be run now. */
  | { readonly claimed: false; readonly stored: Stored<JobRecord> | undefined };

/** Whether the lease of a running job has ended, judged by the server's clock alone. */
export function leaseExpired(stored: Stored<JobRecord>, leaseMs: number): boolean {
  const { lease } = stored.data;
  return lease === null || elapsedMs(lease.renewedAt, stored.readTime) > leaseMs;
}

/**
 * Takes a job that is queued, or whose runner has died. One commit with a precondition: of many who try, one wins, and
 * nobody waits for a process that was killed while it tried. A write that came between and left the job to be claimed
 * (a published event, a doorbell) only costs another try. A job that lost its lease too often is ended instead.
 */
export async function claimJob(ref: DocumentReference, owner: string, leaseMs: number): Promise<Claim> {
  const known = await readDocument(JOB, ref);
  if (known === undefined) return { claimed: false, stored: undefined };
  const { changed, stored } = await changeDocument({
    type: JOB,
    ref,
    known,
    decide: (current) => claimPatch(current, owner, leaseMs),
  });
  return changed && stored.data.state === 'running' ? { claimed: true, stored } : { claimed: false, stored };
}

function claimPatch(stored: Stored<JobRecord>, owner: string, leaseMs: number): Patch | undefined {
  const { data } = stored;
  const crashed = data.state === 'running' && leaseExpired(stored, leaseMs);
  if (data.state !== 'queued' && !crashed) return undefined;
  if (data.notBefore !== null && elapsedMs(stored.readTime, data.notBefore) > 0) return undefined;
  const crashes = data.crashes + (crashed ? 1 : 0);
  if (crashes >= MAX_CRASHES) {
    return {
      ...jobTransition(data, {
        state: 'failed',
        error: {
          code: 'crash-loop',
          kind: 'infra',
          message: `the runner of this job died ${crashes} times`,
          hint: 'look at the memory and the logs of the runners, then retry the job',
        },
      }),
      crashes,
    };
  }
  const next = { ...data, epoch: data.epoch + 1 };
  return {
    ...jobTransition(next, { state: 'running' }),
    epoch: next.epoch,
    crashes,
    lease: { owner, renewedAt: NOW },
    notBefore: null,
    ...(data.startedAt === null ? { startedAt: NOW } : {}),
  };
}

export interface HeldJob extends AsyncDisposable {
  readonly ref: DocumentReference;
  readonly epoch: number;
  /** Aborts when the lease is lost, with the reason. */
  readonly signal: AbortSignal;
  readonly current: Stored<JobRecord>;
  /**
   * Writes on behalf of the attempt.
   *
   * @throws PipelineError `lease-lost` (`superseded`) where another attempt has begun or the job has ended.
   */
  write(decide: (record: JobRecord) => Patch): Promise<Stored<JobRecord>>;
}

/** Keeps a claimed job: renews its lease until disposed. */
export function holdJob(stored: Stored<JobRecord>, times: LeaseTimes, log: Log): HeldJob {
  const { epoch } = stored.data;
  const { ref } = stored;
  const lost = new AbortController();
  let current = stored;
  let queue: Promise<unknown> = Promise.resolve();
  let failures = 0;

  const write = (decide: (record: JobRecord) => Patch): Promise<Stored<JobRecord>> => {
    const next = queue.then(async () => {
      const change = await changeDocument({
        type: JOB,
        ref,
        known: current,
        decide: ({ data }) => {
          if (data.epoch !== epoch || data.state !== 'running') throw leaseLost(data, epoch);
          return decide(data);
        },
      });
      current = change.stored;
      return change.stored;
    });
    // The chain goes on after a failure; the caller gets it.
    queue = next.catch(() => undefined);
    return next;
  };

  const renew = async (): Promise<void> => {
    try {
      await within(
        write(() => ({ 'lease.renewedAt': NOW })),
        times.renewalTimeoutMs,
      );
      failures = 0;
    } catch (error) {
      failures += 1;
      const gone = error instanceof PipelineError && error.code === 'lease-lost';
      log.warn({ error, failures }, 'lease not renewed');
      if (gone || failures >= times.renewalFailures) lost.abort(error);
    }
  };
  const timer = setInterval(() => void renew(), times.renewalMs);

  return {
    ref,
    epoch,
    signal: lost.signal,
    get current() {
      return current;
    },
    write,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await queue;
    },
  };
}

function leaseLost(record: JobRecord, epoch: number): PipelineError {
  const why = isTerminalJob(record.state)
    ? `the job has ended as ${record.state}`
    : record.epoch === epoch
      ? `the job is ${record.state} again`
      : `attempt ${record.epoch} has begun`;
  return new PipelineError({
    code: 'lease-lost',
    kind: 'superseded',
    message: `attempt ${epoch} no longer holds the job: ${why}`,
  });
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
