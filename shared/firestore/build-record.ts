/** `builds/{buildId}`: one upload or request, and what became of it. */
import type { CollectionReference, DocumentReference, Firestore } from '@google-cloud/firestore';
import { z } from 'zod';
import type { ErrorRecord } from '../errors.ts';
import type { BuildId } from '../identity.ts';
import { type BuildOptions, buildOptions } from '../messages.ts';
import {
  BUILD_STATES,
  type BuildState,
  checkBuildTransition,
  isTerminalBuild,
  JOB_STATES,
} from '../states.ts';
import { type DocumentType, NOW, type Patch } from './documents.ts';
import { type Announcement, errorRecord, firstEvent, nextEvent, outboxFields, timestamp } from './outbox.ts';

const buildSource = z.discriminatedUnion('kind', [
  /** A build file uploaded to a specs bucket. */
  z.object({ kind: z.literal('upload'), bucket: z.string(), object: z.string(), generation: z.string() }),
  /** A request of another system, kept as it came in `object` of the builds bucket. */
  z.object({ kind: z.literal('request'), requestId: z.string(), object: z.string() }),
]);

export type BuildSource = z.infer<typeof buildSource>;

const diagnosticRecord = errorRecord.extend({ kind: errorRecord.shape.kind.default('user') });

const buildRecord = z.object({
  source: buildSource,
  options: buildOptions,
  state: z.enum(BUILD_STATES),
  /** Why it waits, in a sentence; null when it does not. */
  reason: z.string().nullable(),
  /** What is wrong with a rejected build file, each with position and hint. */
  diagnostics: z.array(diagnosticRecord),
  error: errorRecord.nullable(),
  /** Names in build order; empty until planned. */
  packages: z.array(z.string()),
  /** Number of jobs in each state. */
  counts: z.partialRecord(z.enum(JOB_STATES), z.number()),
  createdAt: timestamp,
  /** When its jobs were made. */
  plannedAt: timestamp.nullable(),
  finishedAt: timestamp.nullable(),
  ...outboxFields,
});

export type BuildRecord = z.infer<typeof buildRecord>;

export const BUILD: DocumentType<BuildRecord> = { name: 'build', schema: buildRecord };

export function builds(firestore: Firestore): CollectionReference {
  return firestore.collection('builds');
}

export function buildRef(firestore: Firestore, id: BuildId): DocumentReference {
  return builds(firestore).doc(id);
}

export interface NewBuild {
  readonly source: BuildSource;
  readonly options: BuildOptions;
  /** A build whose file is invalid is born `rejected`. */
  readonly rejection?: { readonly error: ErrorRecord; readonly diagnostics: readonly ErrorRecord[] };
}

/** Fields of a new build: `pending`, or `rejected` with what is wrong. */
export function newBuild(build: NewBuild): Patch {
  const state = build.rejection === undefined ? 'pending' : 'rejected';
  return {
    source: build.source,
    options: build.options,
    state,
    reason: null,
    diagnostics: build.rejection?.diagnostics ?? [],
    error: build.rejection?.error ?? null,
    packages: [],
    counts: {},
    createdAt: NOW,
    plannedAt: null,
    finishedAt: build.rejection === undefined ? null : NOW,
    ...firstEvent({ state, error: build.rejection?.error }),
  };
}

/** Fields that change a build's state, its event included. */
export function buildTransition(
  record: BuildRecord,
  announcement: Announcement & { readonly state: BuildState },
): Patch {
  checkBuildTransition(record.state, announcement.state);
  return {
    state: announcement.state,
    reason: null,
    error: announcement.error ?? null,
    ...(isTerminalBuild(announcement.state) ? { finishedAt: NOW } : {}),
    ...nextEvent(record, announcement),
  };
}
