/**
 * Buckets and objects on disk, with all records in memory.
 *
 * A commit is one rename: the content file is complete, the record is written to `staging/{generation}.json`, linked to
 * `outbox/{generation}.json` where its bucket has a listener, and renamed over the object's record. A record left in
 * `staging` therefore says that its commit did not happen, and the outbox file beside it goes with it. Survives the
 * death of the process at any moment; files are not synced, so a power cut may cost the last seconds: a record
 * whose content is not there in full is then left out with a line in the log.
 */
import { randomUUID } from 'node:crypto';
import { type FileHandle, link, mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ContentFacts } from './content.ts';
import { createKeyedLock } from './keyed-lock.ts';
import { type Layout, writeAtomically } from './layout.ts';
import type { EndpointLog } from './log.ts';
import { createObjectIndex, type ListPage, type ListQuery, type ObjectIndex } from './object-index.ts';
import { checkPreconditions, checkReadPreconditions, type Preconditions } from './preconditions.ts';
import { recoverFolder } from './recovery.ts';
import { Refusal } from './refusal.ts';
import type { BucketRecord, ObjectRecord, ObjectSettings } from './resources.ts';

export interface ObjectStore {
  /** In byte order of the names. */
  buckets(): BucketRecord[];
  /** @throws Refusal 404. */
  bucket(name: string): BucketRecord;
  /** @throws Refusal 409 where it exists. */
  createBucket(name: string): Promise<BucketRecord>;
  /** @throws Refusal 404, 409 where it holds objects. */
  deleteBucket(name: string): Promise<void>;
  /** @throws Refusal 404 for the bucket. */
  list(bucket: string, query: ListQuery): ListPage;
  /** @throws Refusal 404, 412 or 304. */
  find(target: ReadTarget): ObjectRecord;
  /** The record with its bytes, which stay readable whatever is written meanwhile. The caller closes the file. */
  openContent(target: ReadTarget): Promise<{ readonly record: ObjectRecord; readonly file: FileHandle }>;
  /** The record with a second id for its bytes, to commit under another name. */
  shareContent(target: ReadTarget): Promise<{ readonly record: ObjectRecord; readonly content: string }>;
  /** A new empty content file; the caller closes it, and commits or discards its id. */
  createContent(): Promise<{ readonly content: string; readonly file: FileHandle }>;
  discardContent(content: string): Promise<void>;
  /** Makes a content the newest generation of a name. On any error nothing has changed. @throws Refusal 404, 412. */
  commit(target: WriteTarget, object: NewObject): Promise<ObjectRecord>;
  /** Changes settings: metageneration + 1. @throws Refusal 404, 412. */
  update(target: WriteTarget, change: (settings: ObjectSettings) => ObjectSettings): Promise<ObjectRecord>;
  /** @throws Refusal 404, 412. */
  remove(target: WriteTarget): Promise<void>;
  /** The live object with these bytes, if any: what became of a finished upload. */
  findByContent(bucket: string, content: string): ObjectRecord | undefined;
}

export interface WriteTarget {
  readonly bucket: string;
  readonly name: string;
  /** Only this generation; default the live one, whatever it is. */
  readonly generation?: number | undefined;
  readonly conditions: Preconditions;
}

export type ReadTarget = WriteTarget;

export interface NewObject {
  readonly content: string;
  readonly facts: Omit<ContentFacts, 'md5Hash'> & { readonly md5Hash?: string | undefined };
  readonly settings: ObjectSettings;
  readonly componentCount?: number | undefined;
}

export interface ObjectStoreOptions {
  readonly layout: Layout;
  /** Whether finalize events of the bucket go to anyone. */
  readonly hasListener: (bucket: string) => boolean;
  /** Called after the commit, once per generation. */
  readonly onFinalized: (generation: number) => void;
  readonly log: EndpointLog;
}

interface Bucket {
  readonly record: BucketRecord;
  readonly objects: ObjectIndex;
  /** Commits under way: a bucket with any cannot go. */
  writers: number;
}

/** Opens the store, clearing away what a killed process left half done. The folder must be locked by the caller. */
export async function openObjectStore(options: ObjectStoreOptions): Promise<ObjectStore> {
  const { layout, hasListener, onFinalized } = options;
  const recovered = await recoverFolder(layout, options.log);
  const buckets = new Map<string, Bucket>();
  for (const { record, objects } of recovered.buckets) {
    buckets.set(record.name, { record, objects: createObjectIndex(objects), writers: 0 });
  }
  const lock = createKeyedLock();
  let lastGeneration = recovered.lastGeneration;
  let savedGeneration = recovered.lastGeneration;

  const bucketOf = (name: string): Bucket => {
    const bucket = buckets.get(name);
    if (bucket === undefined) throw new Refusal(404, 'The specified bucket does not exist.');
    return bucket;
  };
  const nextGeneration = (): number => {
    lastGeneration = Math.max(lastGeneration + 1, Date.now() * 1000);
    return lastGeneration;
  };
  /** Before the highest generation vanishes with its object: it must not be given out again. */
  const saveGeneration = (vanishing: number): Promise<void> =>
    lock.run('last-generation', async () => {
      if (vanishing <= savedGeneration) return;
      const saved = lastGeneration;
      await writeAtomically(layout, 'last-generation', { path: layout.lastGeneration, text: String(saved) });
      savedGeneration = saved;
    });
  const live = (target: WriteTarget): ObjectRecord => {
    const record = bucketOf(target.bucket).objects.get(target.name);
    if (record === undefined || (target.generation ?? record.generation) !== record.generation) {
      throw new Refusal(404, `No such object: ${target.bucket}/${target.name}`);
    }
    return record;
  };
  const find = (target: ReadTarget): ObjectRecord => {
    const record = live(target);
    checkReadPreconditions(record, target.conditions);
    return record;
  };
  const discardContent = (content: string): Promise<void> => rm(layout.contentFile(content), { force: true });
  /** Runs alone among the writers of the object, in a bucket that stays. */
  const writing = <T>(target: WriteTarget, work: (objects: ObjectIndex) => Promise<T>): Promise<T> =>
    lock.run(`${target.bucket}/${target.name}`, async () => {
      const bucket = bucketOf(target.bucket);
      bucket.writers += 1;
      try {
        return await work(bucket.objects);
      } finally {
        bucket.writers -= 1;
      }
    });
  /** Uses the bytes of the live generation, trying again when a writer replaced it in between. */
  const withContent = async <T>(
    target: ReadTarget,
    use: (path: string) => Promise<T>,
  ): Promise<{ record: ObjectRecord; used: T }> => {
    for (;;) {
      const record = find(target);
      try {
        return { record, used: await use(layout.contentFile(record.content)) };
      } catch (error) {
        if (!isMissing(error) || bucketOf(target.bucket).objects.get(target.name) === record) throw error;
      }
    }
  };

  return {
    buckets: () => [...buckets.values()].map((one) => one.record).sort((a, b) => (a.name < b.name ? -1 : 1)),
    bucket: (name) => bucketOf(name).record,
    createBucket: (name) =>
      lock.run(name, async () => {
        if (buckets.has(name))
          throw new Refusal(
            409,
            'Your previous request to create the named bucket succeeded and you already own it.',
          );
        const record = { name, timeCreated: new Date().toISOString() };
        const path = layout.bucketFile(name);
        await mkdir(dirname(path), { recursive: true });
        await writeAtomically(layout, `bucket-${name}`, { path, text: JSON.stringify(record) });
        buckets.set(name, { record, objects: createObjectIndex([]), writers: 0 });
        return record;
      }),
    deleteBucket: (name) =>
      lock.run(name, async () => {
        const bucket = bucketOf(name);
        if (bucket.objects.size > 0 || bucket.writers > 0) {
          throw new Refusal(409, 'The bucket you tried to delete is not empty.');
        }
        buckets.delete(name);
        await rm(layout.bucketFile(name));
        await rm(dirname(layout.bucketFile(name)), { recursive: true });
      }),
    list: (bucket, query) => bucketOf(bucket).objects.page(query),
    find,
    async openContent(target) {
      const { record, used } = await withContent(target, (path) => open(path, 'r'));
      return { record, file: used };
    },
    async shareContent(target) {
      const content = randomUUID();
      const { record } = await withContent(target, (path) => link(path, layout.contentFile(content)));
      return { record, content };
    },
    async createContent() {
      const content = randomUUID();
      return { content, file: await open(layout.contentFile(content), 'wx+') };
    },
    discardContent,
    commit: (target, object) =>
      writing(target, async (objects) => {
        const current = objects.get(target.name);
        checkPreconditions(current, target.conditions);
        const generation = nextGeneration();
        const now = new Date().toISOString();
        const record: ObjectRecord = {
          bucket: target.bucket,
          name: target.name,
          generation,
          metageneration: 1,
          ...object.facts,
          componentCount: object.componentCount,
          timeCreated: now,
          updated: now,
          content: object.content,
          settings: object.settings,
        };
        const staged = join(layout.staging, `${generation}.json`);
        try {
          await writeFile(staged, JSON.stringify(record));
          if (hasListener(target.bucket)) await link(staged, layout.outboxFile(generation));
          await rename(staged, layout.objectFile(target.bucket, target.name));
        } catch (error) {
          await rm(layout.outboxFile(generation), { force: true });
          await rm(staged, { force: true });
          throw error;
        }
        objects.set(record);
        if (hasListener(target.bucket)) onFinalized(generation);
        if (current !== undefined) await discardContent(current.content);
        return record;
      }),
    update: (target, change) =>
      writing(target, async (objects) => {
        const current = live(target);
        checkPreconditions(current, target.conditions);
        const record: ObjectRecord = {
          ...current,
          metageneration: current.metageneration + 1,
          updated: new Date().toISOString(),
          settings: change(current.settings),
        };
        await writeAtomically(layout, `update-${record.generation}`, {
          path: layout.objectFile(target.bucket, target.name),
          text: JSON.stringify(record),
        });
        objects.set(record);
        return record;
      }),
    remove: (target) =>
      writing(target, async (objects) => {
        const current = live(target);
        checkPreconditions(current, target.conditions);
        await saveGeneration(current.generation);
        await rm(layout.objectFile(target.bucket, target.name));
        objects.delete(target.name);
        await discardContent(current.content);
      }),
    findByContent(bucket, content) {
      for (const record of bucketOf(bucket).objects.values()) {
        if (record.content === content) return record;
      }
      return undefined;
    },
  };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
