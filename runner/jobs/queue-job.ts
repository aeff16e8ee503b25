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

/** Blocks a job that no backend could run. The reaper looks for one from time to time. */
export async function blockJob(firestore: Firestore, key: JobKey): Promise<Stored<JobRecord>> {
  const change = await changeDocument({
    type: JOB,
    ref: jobRef(firestore, key),
    decide: ({ data }) => {
      if (data.state !== 'pending' || data.waitsFor.length > 0) return undefined;
      const labels = Object.entries(data.selector).map(([label, value]) => `${label}=${value}`);
      const wanted = labels.length === 0 ? data.arch : `${data.arch} with ${labels.join(', ')}`;
      return jobTransition(data, {
        state: 'blocked',
        reason: `waits for a backend of ${wanted}`,
        error: {
          code: 'no-backend',
          kind: 'infra',
          message: `there is no backend of ${wanted}`,
          hint: 'add one to the backends of the runners, or ask for another architecture or selector',
        },
      });
    },
  });
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
