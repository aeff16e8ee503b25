/** Keeps the exact packages of an attempt's environment, to look them up, or to build with just them again. */
import { createHash } from 'node:crypto';
import type { Bucket } from '@google-cloud/storage';
import type { BuildPlan } from '../../shared/build-file/plan.ts';
import type { StoredObject } from '../../shared/firestore/job-record.ts';
import { type AttemptNames, lockObject } from '../../shared/object-names.ts';
import { createObject } from '../../shared/storage/objects.ts';
import type { LockedPackage } from '../environment/lock.ts';
import { lockDocumentOf } from '../environment/lock-document.ts';

export interface LockToKeep {
  readonly names: AttemptNames;
  readonly plan: BuildPlan;
  readonly locked: readonly LockedPackage[];
  /** From 1: one more for each time that the environment of the attempt changed. */
  readonly number: number;
}

/** Writes the lock document into the attempt's folder, create-only. */
export async function keepLock(builds: Bucket, lock: LockToKeep): Promise<StoredObject> {
  const { arch, environment } = lock.plan;
  const document = lockDocumentOf(lock.locked, { arch, world: environment.packages });
  const bytes = Buffer.from(`${JSON.stringify(document)}\n`);
  const object = lockObject(lock.names, lock.number);
  await createObject(builds, object, { bytes, type: 'application/json' });
  return { object, sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
}
