/** Uploads that arrive after a build was planned: its jobs that have not ended are built from them. */
import { changeDocument, NOW, type Patch, withDeadline } from '../../shared/firestore/documents.ts';
import {
  JOB,
  type JobInputs,
  type JobRecord,
  jobs,
  jobTransition,
} from '../../shared/firestore/job-record.ts';
import { asJobId, type BuildId } from '../../shared/identity.ts';
import { isTerminalJob } from '../../shared/states.ts';
import { queueJob } from '../jobs/queue-job.ts';
import { afterJobEnded } from '../worker/release.ts';
import { type GatheredInputs, storeInputs } from './inputs.ts';
import type { PlannerContext } from './plan-build.ts';

/**
 * Gives the open jobs of a planned upload the inputs as they are now. A job that runs is queued again, which ends the
 * attempt that runs: its writes do not count any more. Files that were uploaded again as they were change nothing, and
 * a job that waits for others after it failed has failed then.
 */
export async function replanJobs(
  context: PlannerContext,
  build: BuildId,
  gathered: readonly GatheredInputs[],
): Promise<void> {
  const [only, ...others] = gathered;
  // A request carries its inputs with it; only uploads change.
  if (only === undefined || others.length > 0 || only.newestMs === 0) return;
  const inputs = await storeInputs(context.storage.bucket(context.buildsBucket), build, only);
  const refs = await withDeadline('listing jobs', jobs(context.firestore, build).listDocuments());
  for (const ref of refs) {
    const change = await changeDocument({
      type: JOB,
      ref,
      decide: ({ data }) => {
        if (isTerminalJob(data.state)) return undefined;
        if (sameContent(data.inputs, inputs)) return relisted(data, inputs);
        const fresh = { inputs, heldUntilMs: null };
        return data.state === 'running'
          ? { ...jobTransition(data, { state: 'queued' }), ...fresh, rungAt: NOW }
          : fresh;
      },
    });
    if (!change.changed) continue;
    context.log.info({ buildId: build, job: ref.id }, 'job has new inputs');
    if (isTerminalJob(change.stored.data.state)) {
      await afterJobEnded(context, change.stored);
      continue;
    }
    context.events.job(change.stored);
    const key = { build, job: asJobId(ref.id) };
    if (change.stored.data.state === 'queued') await context.topics.ringJob(key, change.stored.data.arch);
    else context.events.job(await queueJob(context.firestore, context.topics, key));
  }
}

/** What becomes of a job whose files are what they were, but were uploaded again. */
function relisted(data: JobRecord, { listing }: JobInputs): Patch | undefined {
  if (data.inputs.listing === listing || data.state === 'running') return undefined;
  if (data.heldUntilMs === null) return { 'inputs.listing': listing };
  return { ...jobTransition(data, { state: 'failed', error: data.error ?? undefined }), heldUntilMs: null };
}

function sameContent(a: JobRecord['inputs'], b: JobRecord['inputs']): boolean {
  return a.document.sha256 === b.document.sha256 && a.source?.sha256 === b.source?.sha256;
}
