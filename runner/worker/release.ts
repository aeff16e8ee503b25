/** What follows from the end of a job: its dependents start or are skipped, and its build may be done. */
import type { Firestore } from '@google-cloud/firestore';
import { BUILD, type BuildRecord, buildRef, buildTransition } from '../../shared/firestore/build-record.ts';
import {
  changeDocument,
  elapsedMs,
  readDocument,
  type Stored,
  withDeadline,
} from '../../shared/firestore/documents.ts';
import { JOB, type JobRecord, jobKeyOf, jobs, jobTransition } from '../../shared/firestore/job-record.ts';
import type { BuildId } from '../../shared/identity.ts';
import { COUNTS_INTERVAL_MS } from '../../shared/limits.ts';
import type { Topics } from '../../shared/pubsub/topics.ts';
import {
  buildStateOf,
  isTerminalBuild,
  isTerminalJob,
  JOB_STATES,
  type JobState,
} from '../../shared/states.ts';
import type { EventPublisher } from '../events/event-publisher.ts';
import { inParallel } from '../jobs/in-parallel.ts';
import { queueJob } from '../jobs/queue-job.ts';

export interface ReleaseContext {
  readonly firestore: Firestore;
  readonly topics: Topics;
  readonly events: EventPublisher;
}

/** Publishes the end of a job and lets go what waited for it. May be repeated: the reaper does. */
export async function afterJobEnded(context: ReleaseContext, stored: Stored<JobRecord>): Promise<void> {
  context.events.job(stored);
  await releaseDependents(context, stored);
  await settleBuild(context, jobKeyOf(stored.ref).build);
}

async function releaseDependents(context: ReleaseContext, ended: Stored<JobRecord>): Promise<void> {
  const { build, job } = jobKeyOf(ended.ref);
  const query = jobs(context.firestore, build).where('waitsFor', 'array-contains', job);
  const waiting = await withDeadline('finding dependents', query.get());
  await inParallel(waiting.docs, async ({ ref }) => {
    const change = await changeDocument({
      type: JOB,
      ref,
      decide: ({ data }) => {
        if (isTerminalJob(data.state) || !data.waitsFor.includes(job)) return undefined;
        if (ended.data.state === 'success') {
          return { waitsFor: data.waitsFor.filter((one) => one !== job) };
        }
        const reason = `${ended.data.package} ended as ${ended.data.state}`;
        return jobTransition(data, { state: 'skipped', reason });
      },
    });
    if (!change.changed) return;
    if (isTerminalJob(change.stored.data.state)) await afterJobEnded(context, change.stored);
    else context.events.job(await queueJob(context.firestore, context.topics, jobKeyOf(ref)));
  });
}

/** States that a job can leave. */
const OPEN_STATES = JOB_STATES.filter((state) => !isTerminalJob(state));

/**
 * Ends a build when all its jobs have ended; until then counts them, at most once in `COUNTS_INTERVAL_MS`, so that a
 * build of thousands does not count thousands of jobs at the end of each.
 */
export async function settleBuild(context: ReleaseContext, build: BuildId): Promise<void> {
  const known = await readDocument(BUILD, buildRef(context.firestore, build));
  if (known === undefined || isTerminalBuild(known.data.state) || known.data.plannedAt === null) return;
  const open = jobs(context.firestore, build).where('state', 'in', OPEN_STATES).limit(1);
  const running = !(await withDeadline('looking for open jobs', open.get())).empty;
  if (running && elapsedMs(known.updateTime, known.readTime) < COUNTS_INTERVAL_MS) return;
  const snapshot = await withDeadline(
    'counting jobs',
    jobs(context.firestore, build).select('state', 'error').get(),
  );
  const counts: Partial<Record<JobState, number>> = {};
  for (const document of snapshot.docs) {
    const state: JobState = document.get('state');
    counts[state] = (counts[state] ?? 0) + 1;
  }
  const firstError: BuildRecord['error'] = snapshot.docs
    .map((one) => one.get('error'))
    .find((one) => one !== null);
  const change = await changeDocument({
    type: BUILD,
    ref: known.ref,
    known,
    decide: ({ data }) => {
      if (isTerminalBuild(data.state)) return undefined;
      const state = buildStateOf(counts);
      if (state === undefined) return sameCounts(data.counts, counts) ? undefined : { counts };
      const error = state === 'success' ? undefined : (firstError ?? undefined);
      return { ...buildTransition(data, { state, error }), counts };
    },
  });
  context.events.build(change.stored);
}

function sameCounts(a: BuildRecord['counts'], b: BuildRecord['counts']): boolean {
  return JOB_STATES.every((state) => (a[state] ?? 0) === (b[state] ?? 0));
}
