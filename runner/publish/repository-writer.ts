/**
 * Publishes successful jobs into the repository: their packages by create-only copies, then one write of the index for
 * all that finished within a moment. The index is replaced only as the generation that was read.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bucket, Storage } from '@google-cloud/storage';
import type { KeyRing, SigningKey } from '../../shared/apk/keys.ts';
import {
  mergeIndex,
  parseIndex,
  readIndexArchive,
  writeIndexArchive,
} from '../../shared/apk/package-index.ts';
import { PipelineError } from '../../shared/errors.ts';
import { changeDocument, type Stored } from '../../shared/firestore/documents.ts';
import { type Artifact, JOB, type JobRecord } from '../../shared/firestore/job-record.ts';
import { INDEX_BATCH_MS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import { repositoryObject } from '../../shared/object-names.ts';
import { httpStatus, readObject, statObject, storageError } from '../../shared/storage/objects.ts';

export interface RepositoryWriter {
  /** Publishes a job's packages, in the background. What fails is taken up again by the reaper. */
  add(stored: Stored<JobRecord>): void;
  /** Settles when nothing waits to be published. */
  idle(): Promise<void>;
}

export interface RepositoryWriterOptions {
  readonly storage: Storage;
  readonly bucket: string;
  readonly key: SigningKey;
  /** Keys an existing index may be signed with. */
  readonly keys: KeyRing;
  readonly log: Log;
}

/** Attempts to replace the index while others write it too. */
const INDEX_ATTEMPTS = 20;
const MAX_INDEX_BYTES = 512 * 1024 * 1024;

export function createRepositoryWriter(options: RepositoryWriterOptions): RepositoryWriter {
  const { log } = options;
  const bucket = options.storage.bucket(options.bucket);
  /** Jobs by architecture that wait for the next write. */
  const waiting = new Map<string, Map<string, Stored<JobRecord>>>();
  const running = new Map<string, Promise<void>>();

  const publishWaiting = async (arch: string): Promise<void> => {
    for (;;) {
      await sleep(INDEX_BATCH_MS);
      const batch = waiting.get(arch);
      waiting.delete(arch);
      if (batch === undefined) return;
      try {
        await publishBatch(bucket, options, { arch, jobs: [...batch.values()] });
      } catch (error) {
        log.error({ arch, jobs: batch.size, error }, 'packages not published');
      }
    }
  };

  return {
    add(stored) {
      const { arch } = stored.data;
      const batch = waiting.get(arch) ?? new Map<string, Stored<JobRecord>>();
      waiting.set(arch, batch.set(stored.ref.path, stored));
      if (running.has(arch)) return;
      running.set(
        arch,
        publishWaiting(arch).finally(() => running.delete(arch)),
      );
    },
    async idle() {
      while (running.size > 0) await Promise.all(running.values());
    },
  };
}

async function publishBatch(
  bucket: Bucket,
  options: RepositoryWriterOptions,
  batch: { readonly arch: string; readonly jobs: readonly Stored<JobRecord>[] },
): Promise<void> {
  const { arch } = batch;
  const published: Stored<JobRecord>[] = [];
  for (const job of batch.jobs) {
    const outcomes = await Promise.all(job.data.artifacts.map((one) => copyPackage(bucket, arch, one)));
    const conflict = outcomes.find((outcome) => outcome !== undefined);
    if (conflict === undefined) published.push(job);
    else await mark(job, { repository: 'conflict', reason: conflict });
  }
  if (published.length === 0) return;
  const records = published.flatMap((job) => job.data.artifacts.map((one) => one.index));
  await mergeIntoIndex(bucket, options, { arch, records });
  await Promise.all(published.map((job) => mark(job, { repository: 'published' })));
  options.log.info({ arch, jobs: published.length, packages: records.length }, 'packages published');
}

/** Undefined when the repository holds exactly this package; else what is in its place. */
async function copyPackage(bucket: Bucket, arch: string, artifact: Artifact): Promise<string | undefined> {
  const target = repositoryObject(arch, artifact.file);
  try {
    await bucket
      .file(artifact.object)
      .copy(bucket.file(target), { preconditionOpts: { ifGenerationMatch: 0 } });
    return undefined;
  } catch (error) {
    if (httpStatus(error) !== 412) throw storageError(`publishing ${artifact.file}`, error);
  }
  const there = await statObject(bucket, target);
  return there?.crc32c === artifact.crc32c && there.bytes === artifact.bytes
    ? undefined
    : `${artifact.file} is published already with other content`;
}

async function mergeIntoIndex(
  bucket: Bucket,
  options: RepositoryWriterOptions,
  added: { readonly arch: string; readonly records: readonly string[] },
): Promise<void> {
  const object = repositoryObject(added.arch, 'APKINDEX.tar.gz');
  const entries = added.records.flatMap((text) => parseIndex(text));
  for (let attempt = 0; attempt < INDEX_ATTEMPTS; attempt += 1) {
    const there = await statObject(bucket, object);
    const generation = there?.generation;
    const bytes =
      generation === undefined
        ? undefined
        : await readObject(bucket, object, { generation, maxBytes: MAX_INDEX_BYTES });
    if (generation !== undefined && bytes === undefined) continue;
    const existing = bytes === undefined ? [] : (await readIndexArchive(bytes, options.keys)).entries;
    const archive = await writeIndexArchive(mergeIndex(existing, entries), { key: options.key });
    try {
      await bucket.file(object).save(archive, {
        resumable: false,
        preconditionOpts: { ifGenerationMatch: Number(generation ?? 0) },
        metadata: { contentType: 'application/gzip', cacheControl: 'no-cache' },
      });
      return;
    } catch (error) {
      // Somebody else replaced it: their records are read and ours merged again.
      if (httpStatus(error) !== 412) throw storageError(`writing ${object}`, error);
    }
  }
  throw new PipelineError({
    code: 'record-contended',
    kind: 'infra',
    message: `${object} changed during each of ${INDEX_ATTEMPTS} attempts to write it`,
  });
}

async function mark(
  job: Stored<JobRecord>,
  outcome: { readonly repository: 'published' | 'conflict'; readonly reason?: string },
): Promise<void> {
  await changeDocument({
    type: JOB,
    ref: job.ref,
    decide: ({ data }) => (data.repository === 'pending' ? { ...outcome } : undefined),
  });
}
