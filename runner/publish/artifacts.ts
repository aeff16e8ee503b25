/** Uploads of one attempt's packages, create-only, into the attempt's own folder. */

import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Bucket } from '@google-cloud/storage';
import type { Artifact } from '../../shared/firestore/job-record.ts';
import { httpStatus, statObject, storageError } from '../../shared/storage/objects.ts';

export interface FileToUpload {
  readonly name: string;
  readonly file: string;
  readonly object: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly index: string;
  readonly open: () => Readable;
}

/** Above this size an upload is worth the extra request that makes it resumable. */
const RESUMABLE_BYTES = 8 * 1024 * 1024;
const CONCURRENCY = 4;

/** Uploads the files and gives what the job's record says of them, in the same order. */
export async function uploadArtifacts(bucket: Bucket, files: readonly FileToUpload[]): Promise<Artifact[]> {
  const artifacts: Artifact[] = [];
  const open = [...files.entries()];
  const work = async (): Promise<void> => {
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const [index, file] = next;
      artifacts[index] = await uploadOne(bucket, file);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return artifacts;
}

async function uploadOne(bucket: Bucket, upload: FileToUpload): Promise<Artifact> {
  const { object, bytes, sha256 } = upload;
  try {
    await pipeline(
      upload.open(),
      bucket.file(object).createWriteStream({
        resumable: bytes > RESUMABLE_BYTES,
        preconditionOpts: { ifGenerationMatch: 0 },
        metadata: { contentType: 'application/vnd.android.package-archive', metadata: { sha256 } },
      }),
    );
  } catch (error) {
    // 412: an earlier try of this very upload was complete.
    if (httpStatus(error) !== 412) throw storageError(`uploading ${object}`, error);
  }
  const there = await statObject(bucket, object);
  if (there === undefined || there.bytes !== bytes || there.metadata['sha256'] !== sha256) {
    throw storageError(`uploading ${object}`, new Error('the object is not what was uploaded'));
  }
  return {
    file: upload.file,
    package: upload.name,
    object,
    bytes,
    sha256,
    crc32c: there.crc32c,
    index: upload.index,
  };
}
