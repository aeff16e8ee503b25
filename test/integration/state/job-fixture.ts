/** Builds and jobs as documents, made the way the planner makes them. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { DocumentReference, Firestore } from '@google-cloud/firestore';
import {
  BUILD,
  type BuildRecord,
  buildRef,
  buildTransition,
  newBuild,
} from '../../../shared/firestore/build-record.ts';
import {
  changeDocument,
  createDocument,
  NOW,
  type Patch,
  readDocument,
  type Stored,
} from '../../../shared/firestore/documents.ts';
import {
  JOB,
  type JobKey,
  type JobRecord,
  jobRef,
  jobTransition,
  newJob,
} from '../../../shared/firestore/job-record.ts';
import { type BuildId, buildIdOfRequest, jobId } from '../../../shared/identity.ts';
import { buildOptions } from '../../../shared/messages.ts';
import type { JobState } from '../../../shared/states.ts';
import { ARCH } from './emulators-fixture.ts';

/** Dependencies of each package by its name. */
export type Packages = Readonly<Record<string, readonly string[]>>;

/** A planned build, which runs, with its jobs pending. */
export async function plannedBuild(firestore: Firestore, packages: Packages): Promise<BuildId> {
  const build = await pendingBuild(firestore);
  for (const [name, dependencies] of Object.entries(packages)) {
    await createDocument(jobRef(firestore, { build, job: jobId(name, ARCH) }), jobFields(name, dependencies));
  }
  await changeDocument({
    type: BUILD,
    ref: buildRef(firestore, build),
    decide: ({ data }) => ({
      ...buildTransition(data, { state: 'running' }),
      packages: Object.keys(packages),
      plannedAt: NOW,
    }),
  });
  return build;
}

/** A build that nobody has planned yet. */
export async function pendingBuild(firestore: Firestore): Promise<BuildId> {
  const requestId = randomUUID();
  const build = buildIdOfRequest(requestId);
  const source = { kind: 'request', requestId, object: `builds/${build}/request.json` } as const;
  await createDocument(buildRef(firestore, build), newBuild({ source, options: buildOptions.parse({}) }));
  return build;
}

export function jobFields(name: string, dependencies: readonly string[] = []): Patch {
  return newJob({
    package: name,
    arch: ARCH,
    version: '1.0-r0',
    dependencies: dependencies.map((one) => jobId(one, ARCH)),
    inputs: { document: { object: 'inputs.json', sha256: '00', bytes: 2 }, source: null, listing: '' },
    fetchesSources: false,
    selector: {},
  });
}

/** A job of a build of its own, in one of the open states. */
export async function jobIn(firestore: Firestore, state: 'pending' | 'queued'): Promise<DocumentReference> {
  const build = await plannedBuild(firestore, { hello: [] });
  const ref = jobRef(firestore, { build, job: jobId('hello', ARCH) });
  if (state === 'queued') await setState(ref, 'queued', { rungAt: NOW });
  return ref;
}

/** Changes the state of a job by the table, with other fields. */
export async function setState(
  ref: DocumentReference,
  state: JobState,
  fields: Patch = {},
): Promise<Stored<JobRecord>> {
  const change = await changeDocument({
    type: JOB,
    ref,
    decide: ({ data }) => ({ ...jobTransition(data, { state }), ...fields }),
  });
  return change.stored;
}

export async function readJob(ref: DocumentReference): Promise<Stored<JobRecord>> {
  const stored = await readDocument(JOB, ref);
  assert.ok(stored, `there is no ${ref.path}`);
  return stored;
}

export async function readBuild(firestore: Firestore, build: BuildId): Promise<BuildRecord> {
  const stored = await readDocument(BUILD, buildRef(firestore, build));
  assert.ok(stored, `there is no build ${build}`);
  return stored.data;
}

export function keyOf(build: BuildId, name: string): JobKey {
  return { build, job: jobId(name, ARCH) };
}
