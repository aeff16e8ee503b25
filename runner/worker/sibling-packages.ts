/** Packages that other jobs of the same build have just made: offered to the solver ahead of any index. */

import type { IndexEntry } from '../../shared/apk/package-index.ts';
import { parseIndex } from '../../shared/apk/package-index.ts';
import { readDocument } from '../../shared/firestore/documents.ts';
import { JOB, type JobKey, type JobRecord, jobRef } from '../../shared/firestore/job-record.ts';
import { asJobId } from '../../shared/identity.ts';
import type { Repository, RepositoryIndex } from '../environment/repository.ts';
import type { WorkerContext } from './handle-job.ts';

/**
 * A repository of what the job's dependencies made, straight from their records; none where it has no dependencies.
 * Their index may not be written yet.
 */
export async function siblingPackages(
  context: Pick<WorkerContext, 'firestore' | 'ownRepository'>,
  key: JobKey,
  record: JobRecord,
): Promise<RepositoryIndex[]> {
  if (record.dependencies.length === 0) return [];
  const urls = new Map<IndexEntry, string>();
  const own = context.ownRepository;
  for (const job of record.dependencies) {
    const stored = await readDocument(
      JOB,
      jobRef(context.firestore, { build: key.build, job: asJobId(job) }),
    );
    for (const artifact of stored?.data.artifacts ?? []) {
      const [entry] = parseIndex(artifact.index);
      if (entry !== undefined) urls.set(entry, `${own.bucketUrl}/${artifact.object}`);
    }
  }
  const repository: Repository = {
    ...own.repository,
    location: `${own.repository.location}#${key.build}`,
    packageUrls: urls,
  };
  return [
    { repository, entries: [...urls.keys()], version: `${key.build} ${record.dependencies.join(' ')}` },
  ];
}
