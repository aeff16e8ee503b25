/**
 * A failed build of an upload is judged only when its uploads have come to rest: clients send the files of a directory
 * concurrently and in any order, so a build file may be there before its sources.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BUILD, buildRef } from '../../shared/firestore/build-record.ts';
import { readDocument } from '../../shared/firestore/documents.ts';
import type { JobKey } from '../../shared/firestore/job-record.ts';
import { UPLOAD_SETTLE_MS, UPLOAD_WAIT_MS } from '../../shared/limits.ts';
import { sourcePrefix } from '../../shared/object-names.ts';
import { listObjects, statObject } from '../../shared/storage/objects.ts';
import type { HeldJob } from '../jobs/lease.ts';
import { listingFingerprint } from '../planner/inputs.ts';
import type { WorkerContext } from './handle-job.ts';

export type UploadOutlook =
  /** The inputs are complete: the failure stands. */
  | { readonly kind: 'settled' }
  /** The uploads are not those that were built: plan again. */
  | { readonly kind: 'changed' }
  /** Nothing but the build file is there yet; its sources may come until then (ms since 1970). */
  | { readonly kind: 'awaited'; readonly untilMs: number };

/** Looks at the uploads of a job that has failed; waits a few seconds where the last of them is very recent. */
export async function lookAtUploads(
  context: WorkerContext,
  held: HeldJob,
  key: JobKey,
): Promise<UploadOutlook> {
  const build = await readDocument(BUILD, buildRef(context.firestore, key.build));
  if (build?.data.source.kind !== 'upload') return { kind: 'settled' };
  const { bucket: name, object } = build.data.source;
  const bucket = context.engine.storage.bucket(name);
  const file = await statObject(bucket, object);
  if (file === undefined) return { kind: 'settled' };
  const { inputs, fetchesSources } = held.current.data;
  const nowMs = build.readTime.toMillis();
  let source = await listObjects(bucket, sourcePrefix(object));
  if (listingFingerprint(source) !== inputs.listing) return { kind: 'changed' };
  if (source.length === 0) {
    const untilMs = file.createdMs + UPLOAD_WAIT_MS;
    return fetchesSources || nowMs >= untilMs ? { kind: 'settled' } : { kind: 'awaited', untilMs };
  }
  const restMs = Math.max(...source.map((one) => one.createdMs)) + UPLOAD_SETTLE_MS - nowMs;
  if (restMs <= 0) return { kind: 'settled' };
  await sleep(Math.min(restMs, UPLOAD_SETTLE_MS), undefined, { signal: held.signal });
  source = await listObjects(bucket, sourcePrefix(object));
  return { kind: listingFingerprint(source) === inputs.listing ? 'settled' : 'changed' };
}
