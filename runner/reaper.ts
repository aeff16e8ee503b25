/**
 * Takes up what a dead process left undone. Every runner does it; each repair is a compare-and-set or a doorbell, so
 * that two of them at once do no harm.
 */
import type { Firestore, QueryDocumentSnapshot } from '@google-cloud/firestore';
import { BUILD, builds } from '../shared/firestore/build-record.ts';
import {
  changeDocument,
  type DocumentType,
  decodeDocument,
  elapsedMs,
  readDocument,
  type Stored,
  withDeadline,
} from '../shared/firestore/documents.ts';
import { JOB, type JobRecord, jobKeyOf, jobRef, jobTransition } from '../shared/firestore/job-record.ts';
import type { Outbox } from '../shared/firestore/outbox.ts';
import { asBuildId, asJobId } from '../shared/identity.ts';
import { EVENT_OVERDUE_MS, REPUBLISH_AFTER_MS } from '../shared/limits.ts';
import type { Log } from '../shared/log.ts';
import type { Topics } from '../shared/pubsub/topics.ts';
import { isTerminalJob, type JobState } from '../shared/states.ts';
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

/** Documents looked at per query and round; the next round takes the rest. */
const BATCH = 500;

/** Starts sweeping, the first time at once: this process may be the one that replaces a dead one. */
export function startReaper(options: ReaperOptions): Reaper {
  let running: Promise<void> = Promise.resolve();
  const sweep = (): Promise<void> => {
    running = running.then(() => sweepAll(options));
    return running;
  };
  const timer = setInterval(() => void sweep(), options.intervalMs);
  void sweep();
  return {
    sweep,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await running;
    },
  };
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
  for (const repair of REPAIRS) {
    try {
      await repair(options);
    } catch (error) {
      options.log.error({ repair: repair.name, error }, 'repair failed');
    }
  }
}

async function jobsIn(options: ReaperOptions, state: JobState): Promise<Stored<JobRecord>[]> {
  const query = options.firestore.collectionGroup('jobs').where('state', '==', state).limit(BATCH);
  return storedOf(JOB, (await withDeadline(`finding ${state} jobs`, query.get())).docs);
}

function storedOf<T>(type: DocumentType<T>, docs: readonly QueryDocumentSnapshot[]): Stored<T>[] {
  return docs.map((one) => ({
    ref: one.ref,
    data: decodeDocument(type, one.ref.path, one.data()),
    updateTime: one.updateTime,
    readTime: one.readTime,
  }));
}

/** A runner died with the job: ring, and whoever claims it goes on. */
async function expiredLeases(options: ReaperOptions): Promise<void> {
  for (const stored of await jobsIn(options, 'running')) {
    if (!leaseExpired(stored, options.leaseMs) || rungWithin(stored, options.leaseMs / 2)) continue;
    options.metrics.reaped('lease');
    options.log.warn({ job: stored.ref.path, owner: stored.data.lease?.owner }, 'lease expired');
    await ringAgain(options.topics, stored);
  }
}

/** The message of a queued job was lost, or consumed by a runner that then died. */
async function forgottenQueue(options: ReaperOptions): Promise<void> {
  for (const stored of await jobsIn(options, 'queued')) {
    const { notBefore } = stored.data;
    const due = notBefore === null || elapsedMs(notBefore, stored.readTime) > options.leaseMs / 2;
    if (!due || rungWithin(stored, Math.min(REPUBLISH_AFTER_MS, options.leaseMs * 2))) continue;
    options.metrics.reaped('queue');
    await ringAgain(options.topics, stored);
  }
}

function rungWithin(stored: Stored<JobRecord>, ms: number): boolean {
  const { rungAt } = stored.data;
  return rungAt !== null && elapsedMs(rungAt, stored.readTime) < ms;
}

/** A pending job whose dependencies have ended, or whose uploads never came. */
async function forgottenPending(options: ReaperOptions): Promise<void> {
  for (const state of ['pending', 'blocked'] as const) {
    for (const stored of await jobsIn(options, state)) await wakePending(options, stored);
  }
}

async function wakePending(options: ReaperOptions, stored: Stored<JobRecord>): Promise<void> {
  const key = jobKeyOf(stored.ref);
  const { data, readTime } = stored;
  if (data.heldUntilMs !== null) {
    if (readTime.toMillis() < data.heldUntilMs) return;
    const change = await changeDocument({
      type: JOB,
      ref: stored.ref,
      decide: (now) =>
        now.data.state === 'pending' && now.data.heldUntilMs !== null
          ? {
              ...jobTransition(now.data, { state: 'failed', error: now.data.error ?? undefined }),
              heldUntilMs: null,
            }
          : undefined,
    });
    if (change.changed) await afterJobEnded(options, change.stored);
    return;
  }
  for (const name of data.waitsFor) {
    const dependency = await readDocument(
      JOB,
      jobRef(options.firestore, { build: key.build, job: asJobId(name) }),
    );
    if (dependency !== undefined && isTerminalJob(dependency.data.state)) {
      options.metrics.reaped('dependents');
      await afterJobEnded(options, dependency);
    }
  }
  if (data.waitsFor.length === 0) options.events.job(await queueJob(options.firestore, options.topics, key));
}

/** Events whose process died between the change of state and its publication. */
async function overdueEvents(options: ReaperOptions): Promise<void> {
  const jobQuery = options.firestore.collectionGroup('jobs').where('eventsWaiting', '==', true).limit(BATCH);
  const jobDocuments = await withDeadline('finding events of jobs', jobQuery.get());
  for (const stored of storedOf(JOB, jobDocuments.docs)) {
    if (!eventsOverdue(stored)) continue;
    options.metrics.reaped('events');
    options.events.job(stored);
  }
  const buildQuery = builds(options.firestore).where('eventsWaiting', '==', true).limit(BATCH);
  const buildDocuments = await withDeadline('finding events of builds', buildQuery.get());
  for (const stored of storedOf(BUILD, buildDocuments.docs)) {
    if (!eventsOverdue(stored)) continue;
    options.metrics.reaped('events');
    options.events.build(stored);
  }
}

function eventsOverdue(stored: Stored<Outbox>): boolean {
  return Object.values(stored.data.outbox).some(
    (event) => elapsedMs(event.at, stored.readTime) > EVENT_OVERDUE_MS,
  );
}

/** Packages whose runner died between success and publication. */
async function unpublishedPackages(options: ReaperOptions): Promise<void> {
  const query = options.firestore.collectionGroup('jobs').where('repository', '==', 'pending').limit(BATCH);
  for (const stored of storedOf(JOB, (await withDeadline('finding packages', query.get())).docs)) {
    options.metrics.reaped('repository');
    options.repository.add(stored);
  }
}

/** Builds that nobody has planned: the message was lost, or their uploads have not come. */
async function unplannedBuilds(options: ReaperOptions): Promise<void> {
  const query = builds(options.firestore).where('state', '==', 'pending').limit(BATCH);
  for (const stored of storedOf(BUILD, (await withDeadline('finding builds', query.get())).docs)) {
    if (elapsedMs(stored.data.createdAt, stored.readTime) < options.intervalMs) continue;
    options.metrics.reaped('plan');
    await options.topics.requestPlan(asBuildId(stored.ref.id));
  }
}

/** Builds whose last job ended with its runner. */
async function unsettledBuilds(options: ReaperOptions): Promise<void> {
  const query = builds(options.firestore).where('state', '==', 'running').limit(BATCH);
  for (const document of (await withDeadline('finding builds', query.get())).docs) {
    await settleBuild(options, asBuildId(document.id));
  }
}
