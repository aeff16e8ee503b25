/** Builds and jobs as they stand in Firestore, as a table for a terminal. */
import type { Firestore } from '@google-cloud/firestore';
import { type ErrorRecord, formatPosition } from '../../shared/errors.ts';
import { BUILD, builds } from '../../shared/firestore/build-record.ts';
import { decodeDocument } from '../../shared/firestore/documents.ts';
import { JOB, jobs } from '../../shared/firestore/job-record.ts';
import { asBuildId } from '../../shared/identity.ts';

const NEWEST = 20;

/** Prints the newest builds, each with its jobs, errors with position and hint. */
export async function printStatus(firestore: Firestore, write: (line: string) => void): Promise<void> {
  const found = await builds(firestore).orderBy('createdAt', 'desc').limit(NEWEST).get();
  if (found.empty) write('no builds yet');
  for (const document of found.docs) {
    const build = decodeDocument(BUILD, document.ref.path, document.data());
    const source =
      build.source.kind === 'upload' ? `gs://${build.source.bucket}/${build.source.object}` : 'request';
    write(
      `${document.id}  ${build.state.padEnd(10)} ${source}${build.reason === null ? '' : `  (${build.reason})`}`,
    );
    const problems =
      build.diagnostics.length > 0 ? build.diagnostics : build.error === null ? [] : [build.error];
    if (build.state === 'rejected') for (const one of problems) write(`    ${describe(one)}`);
    for (const one of (await jobs(firestore, asBuildId(document.id)).get()).docs) {
      const job = decodeDocument(JOB, one.ref.path, one.data());
      const step = job.step === null ? '' : `  step ${job.step}`;
      const why = job.reason === null ? '' : `  (${job.reason})`;
      write(`    ${job.package}-${job.version} ${job.arch}  ${job.state}  epoch ${job.epoch}${step}${why}`);
      if (job.error !== null) write(`      ${describe(job.error)}`);
    }
  }
}

function describe(error: ErrorRecord): string {
  const where = error.position === undefined ? '' : `${formatPosition(error.position)}: `;
  const hint = error.hint === undefined ? '' : `  hint: ${error.hint}`;
  return `${where}${error.message}${hint}`;
}
