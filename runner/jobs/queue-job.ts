/** Queues jobs: the state first, then the doorbell. A crash between the two is repaired by the reaper. */
import type { Firestore } from '@google-cloud/firestore';
import { changeDocument, NOW, type Stored } from '../../shared/firestore/documents.ts';
import {
  JOB,
  type JobKey,
  type JobRecord,
  jobKeyOf,
  jobRef,
  jobTransition,
} from '../../shared/firestore/job-record.ts';
import type { Topics } from '../../shared/pubsub/topics.ts';

/** Queues a job that waits for nothing any more. Gives the job as it stands; others may have queued it already. */
export async function queueJob(
  firestore: Firestore,
  topics: Topics,
  key: JobKey,
): Promise<Stored<JobRecord>> {
  const change = await changeDocument({
    type: JOB,
    ref: jobRef(firestore, key),
    decide: ({ data }) =>
      (data.state === 'pending' || data.state === 'blocked') &&
      data.waitsFor.length === 0 &&
      data.heldUntilMs === null
        ? { ...jobTransition(data, { state: 'queued' }), rungAt: NOW }
        : undefined,
  });
  if (change.changed) await topics.ringJob(key, change.stored.data.arch);
  return change.stored;
}

/** Rings again for a queued job, or one whose runner has died, and notes when. */
export async function ringAgain(topics: Topics, stored: Stored<JobRecord>): Promise<void> {
  await topics.ringJob(jobKeyOf(stored.ref), stored.data.arch);
  await changeDocument({
    type: JOB,
    ref: stored.ref,
    decide: ({ data }) => (data.state === 'queued' || data.state === 'running' ? { rungAt: NOW } : undefined),
  });
}
