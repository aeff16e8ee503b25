/**
 * Takes up what a dead process left undone. Every runner does it; each repair is a compare-and-set or a doorbell, so
 * that two of them at once do no harm.
 */
import type { Firestore, Query } from '@google-cloud/firestore';
import type { PipelineError } from '../shared/errors.ts';
import { BUILD, type BuildRecord, buildRef, builds } from '../shared/firestore/build-record.ts';
import {
  changeDocument,
  type DocumentType,
  elapsedMs,
  readDocument,
  type Stored,
} from '../shared/firestore/documents.ts';
import { findDocuments } from '../shared/firestore/find-documents.ts';
import {
  JOB,
  type JobKey,
  type JobRecord,
  jobKeyOf,
  jobRef,
  jobTransition,
} from '../shared/firestore/job-record.ts';
import type { Outbox } from '../shared/firestore/outbox.ts';
import { asBuildId, asJobId } from '../shared/identity.ts';
import { BLOCKED_MAX_MS, EVENT_OVERDUE_MS, REPUBLISH_AFTER_MS } from '../shared/limits.ts';
import type { Log } from '../shared/log.ts';
import type { Topics } from '../shared/pubsub/topics.ts';
import { type BuildState, isTerminalBuild, isTerminalJob } from '../shared/states.ts';
import type { BackendPool } from './backends/backend-pool.ts';
import type { EventPublisher } from './events/event-publisher.ts';
import { leaseExpired } from './jobs/lease.ts';
import { queueJob, ringAgain } from './jobs/queue-job.ts';
import type { RunnerMetrics } from './metrics.ts';
import type { RepositoryWriter } from './publish/repository-writer.ts';
import { afterJobEnded, settleBuild } from './worker/release.ts';

export interface ReaperOptions {
  readonly firestore: Firestore;
  readonly topics: Topics;
  readonly events: EventPublisher;
  readonly repository: RepositoryWriter;
  readonly pool: BackendPool;
  readonly metrics: RunnerMetrics;
  readonly log: Log;
  readonly leaseMs: number;
  readonly intervalMs: number;
}

export interface Reaper extends AsyncDisposable {
  /** One round, for tests and for the start. */
  sweep(): Promise<void>;
}

/** Starts sweeping, the first time at once: this process may be the one that replaces a dead one. */
export function startReaper(options: ReaperOptions): Reaper {
  let running: Promise<void> = Promise.resolve();
  let waiting = 0;
  const sweep = (): Promise<void> => {
    waiting += 1;
    running = running.then(() => sweepAll(options)).finally(() => (waiting -= 1));
    return running;
  };
  // A round that takes longer than the interval is not followed by a queue of others.
  const timer = setInterval(() => {
    if (waiting === 0) void sweep();
  }, options.intervalMs);
  void sweep();
  return {
    sweep,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await running;
    },
  };
}

/** One round, with what it has read so far. */
interface Sweep extends ReaperOptions {
  readonly buildsRead: Map<string, Promise<Stored<BuildRecord> | undefined>>;
  /** Jobs that others wait for, and those of them whose dependents were released in this round. */
  readonly dependencies: Map<string, Promise<Stored<JobRecord> | undefined>>;
  readonly released: Set<string>;
}

const REPAIRS = [
  expiredLeases,
  forgottenQueue,
  forgottenPending,
  overdueEvents,
  unpublishedPackages,
  unplannedBuilds,
  unsettledBuilds,
] as const;

/** One failing repair does not keep the others from their work. */
async function sweepAll(options: ReaperOptions): Promise<void> {
  const sweep: Sweep = {
    ...options,
    buildsRead: new Map(),
    dependencies: new Map(),
    released: new Set(),
  };
  for (const repair of REPAIRS) {
    try {
      await repair(sweep);
    } catch (error) {
      options.log.error({ repair: repair.name, error }, 'repair failed');
    }
  }
}

/** Repairs each record a query finds; one that cannot be read or repaired does not keep the others from it. */
async function repairEach<T>(
  sweep: Sweep,
  what: { readonly type: DocumentType<T>; readonly query: Query },
  repair: (stored: Stored<T>) => void | Promise<void>,
): Promise<void> {
  const onBroken = (document: string, error: PipelineError): void =>
    sweep.log.error({ document, error }, 'record cannot be read');
  for await (const stored of findDocuments({ ...what, onBroken })) {
    try {
      await repair(stored);
    } catch (error) {
      sweep.log.error({ document: stored.ref.path, error }, 'record not repaired');
    }
  }
}

function jobsWith(sweep: Sweep, field: string, value: unknown): { type: typeof JOB; query: Query } {
  return { type: JOB, query: sweep.firestore.collectionGroup('jobs').where(field, '==', value) };
}

function buildsWith(sweep: Sweep, field: string, value: unknown): { type: typeof BUILD; query: Query } {
  return { type: BUILD, query: builds(sweep.firestore).where(field, '==', value) };
}

/** A runner died with the job: ring, and whoever claims it goes on. */
async function expiredLeases(sweep: Sweep): Promise<void> {
  await repairEach(sweep, jobsWith(sweep, 'state', 'running'), async (stored) => {
    if (!leaseExpired(stored, sweep.leaseMs) || rungWithin(stored, sweep.leaseMs / 2)) return;
    sweep.metrics.reaped('lease');
    sweep.log.warn({ job: stored.ref.path, owner: stored.data.lease?.owner }, 'lease expired');
    await ringAgain(sweep.topics, stored);
  });
}

/** The message of a queued job was lost, or consumed by a runner that then died. */
async function forgottenQueue(sweep: Sweep): Promise<void> {
  await repairEach(sweep, jobsWith(sweep, 'state', 'queued'), async (stored) => {
    const { notBefore } = stored.data;
    const due = notBefore === null || elapsedMs(notBefore, stored.readTime) > sweep.leaseMs / 2;
    if (!due || rungWithin(stored, Math.min(REPUBLISH_AFTER_MS, sweep.leaseMs * 2))) return;
    sweep.metrics.reaped('queue');
    await ringAgain(sweep.topics, stored);
  });
}

function rungWithin(stored: Stored<JobRecord>, ms: number): boolean {
  const { rungAt } = stored.data;
  return rungAt !== null && elapsedMs(rungAt, stored.readTime) < ms;
}

/** A pending job whose dependencies have ended, or whose uploads never came. */
async function forgottenPending(sweep: Sweep): Promise<void> {
  for (const state of ['pending', 'blocked'] as const) {
    await repairEach(sweep, jobsWith(sweep, 'state', state), (stored) => wakePending(sweep, stored));
  }
}

async function wakePending(sweep: Sweep, stored: Stored<JobRecord>): Promise<void> {
  const key = jobKeyOf(stored.ref);
  const build = await once(sweep.buildsRead, key.build, () =>
    readDocument(BUILD, buildRef(sweep.firestore, key.build)),
  );
  if (build !== undefined && isTerminalBuild(build.data.state)) {
    await endWithBuild(sweep, stored, build.data.state);
    return;
  }
  // Planning is under way, or it died and is done again: what it has made so far may not be all.
  if (build === undefined || build.data.plannedAt === null) return;
  if (stored.data.heldUntilMs !== null) {
    await endHeld(sweep, stored);
    return;
  }
  for (const name of stored.data.waitsFor)
    await releaseEnded(sweep, { build: key.build, job: asJobId(name) });
  if (stored.data.waitsFor.length > 0) return;
  if (stored.data.state === 'blocked' && !sweep.pool.serves(stored.data.arch, stored.data.selector)) {
    await expireBlocked(sweep, stored);
    return;
  }
  sweep.metrics.reaped('pending');
  sweep.events.job(await queueJob(sweep.firestore, sweep.topics, key));
}

/** A job that no backend could run for too long. */
async function expireBlocked(sweep: Sweep, stored: Stored<JobRecord>): Promise<void> {
  if (elapsedMs(stored.data.createdAt, stored.readTime) < BLOCKED_MAX_MS) return;
  const change = await changeDocument({
    type: JOB,
    ref: stored.ref,
    decide: ({ data }) =>
      data.state === 'blocked'
        ? jobTransition(data, { state: 'expired', reason: data.reason ?? '', error: data.error ?? undefined })
        : undefined,
  });
  if (change.changed) await afterJobEnded(sweep, change.stored);
}

/** A job of a build that has ended without it: whoever ended the build died before the job's turn. */
async function endWithBuild(sweep: Sweep, stored: Stored<JobRecord>, ended: BuildState): Promise<void> {
  const state = ended === 'cancelled' || ended === 'superseded' || ended === 'expired' ? ended : 'skipped';
  const change = await changeDocument({
    type: JOB,
    ref: stored.ref,
    decide: ({ data }) =>
      isTerminalJob(data.state)
        ? undefined
        : { ...jobTransition(data, { state, reason: `its build ended as ${ended}` }), heldUntilMs: null },
  });
  sweep.metrics.reaped('build-ended');
  sweep.events.job(change.stored);
}

/** A job that failed and waited for uploads fails for good when its time is over. */
async function endHeld(sweep: Sweep, stored: Stored<JobRecord>): Promise<void> {
  const over = ({ data, readTime }: Stored<JobRecord>): boolean =>
    data.state === 'pending' && data.heldUntilMs !== null && readTime.toMillis() >= data.heldUntilMs;
  const change = await changeDocument({
    type: JOB,
    ref: stored.ref,
    known: stored,
    decide: (now) =>
      over(now)
        ? {
            ...jobTransition(now.data, { state: 'failed', error: now.data.error ?? undefined }),
            heldUntilMs: null,
          }
        : undefined,
  });
  if (!change.changed) return;
  sweep.metrics.reaped('held');
  await afterJobEnded(sweep, change.stored);
}

/** A job that others still wait for although it has ended. */
async function releaseEnded(sweep: Sweep, key: JobKey): Promise<void> {
  const ref = jobRef(sweep.firestore, key);
  const dependency = await once(sweep.dependencies, ref.path, () => readDocument(JOB, ref));
  if (dependency === undefined || !isTerminalJob(dependency.data.state)) return;
  if (sweep.released.has(ref.path)) return;
  sweep.released.add(ref.path);
  sweep.metrics.reaped('dependents');
  await afterJobEnded(sweep, dependency);
}

async function once<T>(known: Map<string, Promise<T>>, key: string, read: () => Promise<T>): Promise<T> {
  const found = known.get(key) ?? read();
  known.set(key, found);
  return found;
}

/** Events whose process died between the change of state and its publication. */
async function overdueEvents(sweep: Sweep): Promise<void> {
  await repairEach(sweep, jobsWith(sweep, 'eventsWaiting', true), (stored) => {
    if (!eventsOverdue(stored)) return;
    sweep.metrics.reaped('events');
    sweep.events.job(stored);
  });
  await repairEach(sweep, buildsWith(sweep, 'eventsWaiting', true), (stored) => {
    if (!eventsOverdue(stored)) return;
    sweep.metrics.reaped('events');
    sweep.events.build(stored);
  });
}

function eventsOverdue(stored: Stored<Outbox>): boolean {
  return Object.values(stored.data.outbox).some(
    (event) => elapsedMs(event.at, stored.readTime) > EVENT_OVERDUE_MS,
  );
}

/** Packages whose runner died between success and publication. */
async function unpublishedPackages(sweep: Sweep): Promise<void> {
  await repairEach(sweep, jobsWith(sweep, 'repository', 'pending'), (stored) => {
    sweep.metrics.reaped('repository');
    sweep.repository.add(stored);
  });
}

/** Builds that nobody has planned: the message was lost, or their uploads have not come. */
async function unplannedBuilds(sweep: Sweep): Promise<void> {
  await repairEach(sweep, buildsWith(sweep, 'state', 'pending'), async (stored) => {
    if (elapsedMs(stored.data.createdAt, stored.readTime) < sweep.intervalMs) return;
    sweep.metrics.reaped('plan');
    await sweep.topics.requestPlan(asBuildId(stored.ref.id));
  });
}

/** Builds whose last job ended with its runner. */
async function unsettledBuilds(sweep: Sweep): Promise<void> {
  await repairEach(sweep, buildsWith(sweep, 'state', 'running'), (stored) =>
    settleBuild(sweep, asBuildId(stored.ref.id)),
  );
}
