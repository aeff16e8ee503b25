/** Records of jobs for attempts that no queue has brought about. */
import { Timestamp } from '@google-cloud/firestore';
import type { Architecture } from '../../../shared/build-file/architecture.ts';
import { NOW } from '../../../shared/firestore/documents.ts';
import { JOB, type JobRecord, newJob } from '../../../shared/firestore/job-record.ts';

/** The job `greeting` as it stands when its attempt begins, with this document. */
export function recordOf(document: JobRecord['inputs']['document'], arch: Architecture): JobRecord {
  const fields = newJob({
    package: 'greeting',
    arch,
    version: '1.0-r0',
    dependencies: [],
    inputs: { document, source: null, listing: '' },
    fetchesSources: false,
    selector: {},
  });
  return JOB.schema.parse(written(fields));
}

/** Fields as they read after they were written. */
function written(value: unknown): unknown {
  if (value === NOW) return Timestamp.now();
  if (Array.isArray(value)) return value.map(written);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, written(one)]));
}
