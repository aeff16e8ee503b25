/** Reads the endpoint's folder at start and clears away what a killed process left half done. */
import { readdir, readFile, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Layout } from './layout.ts';
import type { EndpointLog } from './log.ts';
import { type BucketRecord, type ObjectRecord, parseObjectRecord } from './resources.ts';

export interface RecoveredFolder {
  readonly buckets: readonly { readonly record: BucketRecord; readonly objects: readonly ObjectRecord[] }[];
  /** Higher than or equal to every generation ever shown to a client. */
  readonly lastGeneration: number;
}

const bucketSchema = z.object({ name: z.string(), timeCreated: z.string() });
const READS_AT_ONCE = 64;

/** Gives all buckets and objects. Content files that neither an object nor an open upload names are removed. */
export async function recoverFolder(layout: Layout, log: EndpointLog): Promise<RecoveredFolder> {
  await dropUncommitted(layout);
  const buckets = [];
  for (const name of await readdir(layout.buckets)) {
    const recovered = await readBucket(layout, name, log);
    if (recovered !== undefined) buckets.push(recovered);
  }

  const uploads = (await readdir(layout.uploads)).map((file) => file.replace(/\.json$/, ''));
  const wanted = new Set(uploads);
  let lastGeneration = Number(await readFile(layout.lastGeneration, 'utf8').catch(() => '0')) || 0;
  for (const { objects } of buckets) {
    for (const record of objects) {
      wanted.add(record.content);
      lastGeneration = Math.max(lastGeneration, record.generation);
    }
  }
  for (const file of await readdir(layout.outbox)) {
    lastGeneration = Math.max(lastGeneration, Number.parseInt(file, 10) || 0);
  }
  const strays = (await readdir(layout.content)).filter((file) => !wanted.has(file));
  await inBatches(strays, (file) => rm(join(layout.content, file), { force: true }));
  if (strays.length > 0) log.info({ files: strays.length }, 'removed the content of unfinished uploads');
  return { buckets, lastGeneration };
}

/** A record still in `staging` was not committed: its event goes first, so that a second death changes nothing. */
async function dropUncommitted(layout: Layout): Promise<void> {
  for (const file of await readdir(layout.staging)) {
    if (/^\d+\.json$/.test(file)) await rm(join(layout.outbox, file), { force: true });
    await rm(join(layout.staging, file), { force: true });
  }
}

async function readBucket(
  layout: Layout,
  name: string,
  log: EndpointLog,
): Promise<RecoveredFolder['buckets'][number] | undefined> {
  const folder = join(layout.buckets, name);
  const files = await readdir(folder);
  if (!files.includes('bucket.json')) {
    // Death between making the folder and its bucket, or between the two steps of removing an empty bucket.
    await rmdir(folder).catch((error: unknown) => {
      log.error({ bucket: name, error }, 'a bucket folder without bucket.json was left out');
    });
    return undefined;
  }
  const record = bucketSchema.parse(JSON.parse(await readFile(join(folder, 'bucket.json'), 'utf8')));
  const objects: ObjectRecord[] = [];
  await inBatches(
    files.filter((file) => file !== 'bucket.json'),
    async (file) => {
      const object = parseObjectRecord(await readFile(join(folder, file), 'utf8'));
      const bytes = object === undefined ? undefined : await sizeOf(layout.contentFile(object.content));
      if (object !== undefined && bytes === object.size) objects.push(object);
      else log.error({ bucket: name, object: object?.name, file, bytes }, 'a damaged object was left out');
    },
  );
  return { record, objects };
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (found) => found.size,
    () => undefined,
  );
}

async function inBatches<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < all.length; at += READS_AT_ONCE) {
    await Promise.all(all.slice(at, at + READS_AT_ONCE).map(work));
  }
}
