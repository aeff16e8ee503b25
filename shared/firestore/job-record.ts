/** `builds/{buildId}/jobs/{package}@{arch}`: one package for one architecture. */
import type { CollectionReference, DocumentReference, Firestore } from '@google-cloud/firestore';
import { z } from 'zod';
import { ARCHITECTURE_NAMES, type Architecture } from '../build-file/architecture.ts';
import type { ErrorRecord } from '../errors.ts';
import { asBuildId, asJobId, type BuildId, type JobId } from '../identity.ts';
import { checkJobTransition, isTerminalJob, JOB_STATES, type JobState } from '../states.ts';
import { type DocumentType, NOW, type Patch } from './documents.ts';
import { type Announcement, errorRecord, firstEvent, nextEvent, outboxFields, timestamp } from './outbox.ts';

const storedObject = z.object({ object: z.string(), sha256: z.string(), bytes: z.number() });

export type StoredObject = z.infer<typeof storedObject>;

/** What a job is built from, pinned when it was planned. */
const jobInputs = z.object({
  /** JSON: build file, local pipelines. */
  document: storedObject,
  /** Tar of the source directory; null where there is none. */
  source: storedObject.nullable(),
  /** Fingerprint of the names and generations in the source directory. */
  listing: z.string(),
});

export type JobInputs = z.infer<typeof jobInputs>;

const artifact = z.object({
  /** File name in the repository. */
  file: z.string(),
  object: z.string(),
  package: z.string(),
  bytes: z.number(),
  sha256: z.string(),
  crc32c: z.string(),
  /** The record of the package in an APKINDEX. */
  index: z.string(),
});

export type Artifact = z.infer<typeof artifact>;

const jobRecord = z.object({
  package: z.string(),
  arch: z.enum(ARCHITECTURE_NAMES),
  /** Full version, `<version>-r<epoch>`. */
  version: z.string(),
  state: z.enum(JOB_STATES),
  reason: z.string().nullable(),
  /** Job ids of this build whose packages this job needs, and those of them that are not done. */
  dependencies: z.array(z.string()),
  waitsFor: z.array(z.string()),
  inputs: jobInputs,
  /** A failed job whose uploads may still arrive is not judged before this time, in ms since 1970. */
  heldUntilMs: z.number().nullable(),
  /** Whether its pipeline fetches sources from elsewhere. */
  fetchesSources: z.boolean(),
  /** Labels a backend must have, and the address of the one that failed last. */
  selector: z.record(z.string(), z.string()),
  avoidBackend: z.string().nullable(),
  /** Infrastructure failures and lost leases so far. */
  attempts: z.number().int(),
  crashes: z.number().int(),
  /** Number of the attempt; every write of an attempt checks it. */
  epoch: z.number().int(),
  lease: z.object({ owner: z.string(), renewedAt: timestamp }).nullable(),
  /** When the message of a queued job was last published; no claim before `notBefore`. */
  rungAt: timestamp.nullable(),
  notBefore: timestamp.nullable(),
  backend: z.string().nullable(),
  /** Step that runs now, for the console. */
  step: z.string().nullable(),
  log: z.string().nullable(),
  /** The exact packages of the environment of the last attempt that came that far, as a lock document. */
  lock: storedObject.nullable().default(null),
  artifacts: z.array(artifact),
  /** Whether the repository holds the artifacts. */
  repository: z.enum(['none', 'pending', 'published', 'conflict']),
  error: errorRecord.nullable(),
  /** Steps of the attempt that succeeded, in order. */
  steps: z.array(
    z.object({
      name: z.string(),
      package: z.string(),
      ms: z.number(),
      cached: z.boolean(),
      failed: z.boolean(),
    }),
  ),
  /** Milliseconds by phase of the attempt that succeeded. */
  metrics: z.record(z.string(), z.number()),
  createdAt: timestamp,
  startedAt: timestamp.nullable(),
  finishedAt: timestamp.nullable(),
  ...outboxFields,
});

export type JobRecord = z.infer<typeof jobRecord>;

export const JOB: DocumentType<JobRecord> = { name: 'job', schema: jobRecord };

export function jobs(firestore: Firestore, build: BuildId): CollectionReference {
  return firestore.collection('builds').doc(build).collection('jobs');
}

export function jobRef(firestore: Firestore, key: JobKey): DocumentReference {
  return jobs(firestore, key.build).doc(key.job);
}

export interface JobKey {
  readonly build: BuildId;
  readonly job: JobId;
}

/** The identity of a job from where its document lies. */
export function jobKeyOf(ref: DocumentReference): JobKey {
  return { build: asBuildId(ref.parent.parent?.id ?? ''), job: asJobId(ref.id) };
}

export interface NewJob {
  readonly package: string;
  readonly arch: Architecture;
  readonly version: string;
  readonly dependencies: readonly JobId[];
  readonly inputs: JobInputs;
  readonly fetchesSources: boolean;
  readonly selector: Readonly<Record<string, string>>;
}

/** Fields of a new job: `pending` until its dependencies are done. */
export function newJob(job: NewJob): Patch {
  return {
    package: job.package,
    arch: job.arch,
    version: job.version,
    state: 'pending',
    reason: job.dependencies.length === 0 ? null : 'waits for the packages it depends on',
    dependencies: [...job.dependencies],
    waitsFor: [...job.dependencies],
    inputs: job.inputs,
    heldUntilMs: null,
    fetchesSources: job.fetchesSources,
    selector: job.selector,
    avoidBackend: null,
    attempts: 0,
    crashes: 0,
    epoch: 0,
    lease: null,
    rungAt: null,
    notBefore: null,
    backend: null,
    step: null,
    log: null,
    lock: null,
    artifacts: [],
    repository: 'none',
    error: null,
    steps: [],
    metrics: {},
    createdAt: NOW,
    startedAt: null,
    finishedAt: null,
    ...firstEvent({ state: 'pending', epoch: 0 }),
  };
}

export interface JobChange {
  readonly state: JobState;
  readonly reason?: string;
  readonly error?: ErrorRecord | undefined;
}

/** Fields that change a job's state, its event included. Leaving `running` ends the lease. */
export function jobTransition(record: JobRecord, change: JobChange): Patch {
  checkJobTransition(record.state, change.state);
  const announcement: Announcement = { state: change.state, epoch: record.epoch, error: change.error };
  return {
    state: change.state,
    reason: change.reason ?? null,
    error: change.error ?? null,
    ...(change.state === 'running' ? {} : { lease: null, step: null }),
    ...(isTerminalJob(change.state) ? { finishedAt: NOW } : {}),
    ...nextEvent(record, announcement),
  };
}
