/** `uploads/{hash of bucket and object}`: the newest upload of a build file, and the build it became. */
import type { DocumentReference, Firestore } from '@google-cloud/firestore';
import { z } from 'zod';
import { asBuildId, type BuildId, type ObjectGeneration, uploadId } from '../identity.ts';
import { changeDocument, createDocument, type DocumentType, readDocument } from './documents.ts';

const uploadRecord = z.object({
  bucket: z.string(),
  object: z.string(),
  generation: z.string(),
  build: z.string(),
});

type UploadRecord = z.infer<typeof uploadRecord>;

const UPLOAD: DocumentType<UploadRecord> = { name: 'upload', schema: uploadRecord };

/** Notes an upload as the newest of its object. False where a newer one is known: this one is out of date. */
export async function noteUpload(
  firestore: Firestore,
  upload: ObjectGeneration,
  build: BuildId,
): Promise<boolean> {
  const { bucket, object, generation } = upload;
  const ref = uploadRef(firestore, bucket, object);
  if (await createDocument(ref, { bucket, object, generation, build })) return true;
  const change = await changeDocument({
    type: UPLOAD,
    ref,
    decide: ({ data }) => (BigInt(data.generation) < BigInt(generation) ? { generation, build } : undefined),
  });
  return change.stored.data.generation === generation;
}

/** The build of the newest upload of a build file, if there was one. */
export async function newestBuild(
  firestore: Firestore,
  bucket: string,
  object: string,
): Promise<BuildId | undefined> {
  const stored = await readDocument(UPLOAD, uploadRef(firestore, bucket, object));
  return stored === undefined ? undefined : asBuildId(stored.data.build);
}

function uploadRef(firestore: Firestore, bucket: string, object: string): DocumentReference {
  return firestore.collection('uploads').doc(uploadId(bucket, object));
}
