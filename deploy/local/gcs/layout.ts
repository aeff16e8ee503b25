/**
 * The endpoint's folder.
 *
 *     buckets/{bucket}/bucket.json      one bucket
 *     buckets/{bucket}/{sha256}.json    record of the object whose name has this hash
 *     content/{id}                      bytes of an object, or of an upload that is not finished
 *     uploads/{id}.json                 open resumable session; its bytes are content/{id}
 *     outbox/{generation}.json          record whose finalize event is not delivered
 *     staging/                          files on their way to one of the above; whatever is here at start never happened
 *     last-generation                   no lower generation is given out again
 */
import { createHash } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Layout {
  readonly folder: string;
  readonly buckets: string;
  readonly content: string;
  readonly uploads: string;
  readonly outbox: string;
  readonly staging: string;
  readonly lastGeneration: string;
  bucketFile(bucket: string): string;
  objectFile(bucket: string, name: string): string;
  contentFile(id: string): string;
  uploadFile(id: string): string;
  outboxFile(generation: number): string;
}

/** Makes the folders where they are missing. */
export async function openLayout(folder: string): Promise<Layout> {
  const within = (name: string): string => join(folder, name);
  const layout: Layout = {
    folder,
    buckets: within('buckets'),
    content: within('content'),
    uploads: within('uploads'),
    outbox: within('outbox'),
    staging: within('staging'),
    lastGeneration: within('last-generation'),
    bucketFile: (bucket) => join(folder, 'buckets', bucket, 'bucket.json'),
    objectFile: (bucket, name) =>
      join(folder, 'buckets', bucket, `${createHash('sha256').update(name).digest('hex')}.json`),
    contentFile: (id) => join(folder, 'content', id),
    uploadFile: (id) => join(folder, 'uploads', `${id}.json`),
    outboxFile: (generation) => join(folder, 'outbox', `${generation}.json`),
  };
  const { buckets, content, uploads, outbox, staging } = layout;
  for (const path of [buckets, content, uploads, outbox, staging]) await mkdir(path, { recursive: true });
  return layout;
}

/** Replaces a file in one step; `stagedName` must be used by nobody else at the time. */
export async function writeAtomically(
  layout: Layout,
  stagedName: string,
  target: { readonly path: string; readonly text: string },
): Promise<void> {
  const staged = join(layout.staging, stagedName);
  await writeFile(staged, target.text);
  try {
    await rename(staged, target.path);
  } catch (error) {
    await rm(staged, { force: true });
    throw error;
  }
}
