/**
 * Resumable uploads. A session is a small file, its bytes are a content file that grows; both outlive the process, so a
 * client may go on after a restart (the bytes already there are then hashed once more).
 */
import { type FileHandle, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { z } from 'zod';
import {
  addToSum,
  appendContent,
  type ContentSum,
  checkHashes,
  type ExpectedHashes,
  factsOf,
  startSum,
} from './content.ts';
import type { UploadRange } from './content-range.ts';
import { createKeyedLock } from './keyed-lock.ts';
import { type Layout, writeAtomically } from './layout.ts';
import type { ObjectStore } from './object-store.ts';
import { Refusal } from './refusal.ts';
import { type ObjectRecord, settingsSchema } from './resources.ts';

const generation = z.int().nonnegative().exactOptional();
const requestSchema = z.object({
  bucket: z.string(),
  name: z.string(),
  settings: settingsSchema,
  conditions: z.object({
    generationMatch: generation,
    generationNotMatch: generation,
    metagenerationMatch: generation,
    metagenerationNotMatch: generation,
  }),
  expected: z.object({ crc32c: z.string().optional(), md5Hash: z.string().optional() }),
  /** Size announced at the start. */
  declaredBytes: z.int().nonnegative().optional(),
});

export type UploadRequest = Readonly<z.infer<typeof requestSchema>>;

export type UploadProgress =
  | { readonly state: 'open'; readonly bytes: number }
  | { readonly state: 'finished'; readonly record: ObjectRecord };

export interface UploadBody {
  readonly bytes: AsyncIterable<Buffer>;
  /** Checksums of the whole object, sent with its last bytes. */
  readonly expected: ExpectedHashes;
  /** Ends the transfer early: the client has started another one. */
  interrupt(): void;
}

export interface Uploads {
  /** Opens a session and gives its id. @throws Refusal 404 for the bucket. */
  create(request: UploadRequest): Promise<string>;
  /**
   * Takes what a PUT carries. Bytes that are already there are skipped. A newer PUT ends the transfer of an older one.
   *
   * @throws Refusal 404 for the session, 400 for checksums or sizes, 412 at the finish, 503 for a gap.
   */
  put(id: string, range: UploadRange, body: UploadBody): Promise<UploadProgress>;
  /** @throws Refusal 404. */
  cancel(id: string): Promise<void>;
}

interface Session {
  readonly request: UploadRequest;
  /** Undefined after a restart, until the bytes on disk have been hashed again. */
  sum: ContentSum | undefined;
  interrupt: (() => void) | undefined;
}

/** Sessions the real service forgets after a week. */
const SESSION_LIFE_MS = 7 * 24 * 3600_000;
/** Finished sessions whose answer is remembered for a client that lost it. */
const FINISHED_KEPT = 1000;

/** Opens the sessions found in the folder; those that finished or are a week old are removed. */
export async function openUploads(layout: Layout, store: ObjectStore): Promise<Uploads> {
  const sessions = new Map<string, Session>();
  const finished = new Map<string, ObjectRecord>();
  const lock = createKeyedLock();
  await loadSessions();

  return {
    async create(request) {
      store.bucket(request.bucket);
      const { content: id, file } = await store.createContent();
      await file.close();
      await writeAtomically(layout, `upload-${id}`, {
        path: layout.uploadFile(id),
        text: JSON.stringify(request),
      });
      sessions.set(id, { request, sum: startSum(), interrupt: undefined });
      return id;
    },
    async put(id, range, body) {
      if (range.kind === 'query' && range.totalBytes === undefined) return progress(id);
      sessions.get(id)?.interrupt?.();
      return lock.run(id, async () => {
        const session = sessions.get(id);
        if (session === undefined) return progress(id);
        session.interrupt = () => body.interrupt();
        try {
          return await receive(id, session, { range, body });
        } finally {
          session.interrupt = undefined;
        }
      });
    },
    async cancel(id) {
      const session = sessions.get(id);
      if (session === undefined) throw noSession();
      session.interrupt?.();
      await lock.run(id, () => drop(id));
    },
  };

  async function progress(id: string): Promise<UploadProgress> {
    if (sessions.has(id)) {
      return { state: 'open', bytes: (await stat(layout.contentFile(id))).size };
    }
    const record = finished.get(id) ?? committedRecord(id);
    if (record === undefined) throw noSession();
    return { state: 'finished', record };
  }

  /** What a session became that ended before a restart. */
  function committedRecord(id: string): ObjectRecord | undefined {
    for (const { name } of store.buckets()) {
      const record = store.findByContent(name, id);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  async function receive(
    id: string,
    session: Session,
    sent: { readonly range: UploadRange; readonly body: UploadBody },
  ): Promise<UploadProgress> {
    const { range, body } = sent;
    const file = await open(layout.contentFile(id), 'r+');
    let sum: ContentSum;
    try {
      sum = session.sum ?? (await hashFile(file));
      session.sum = sum;
      if (range.kind === 'data') {
        if (range.start > sum.bytes) {
          throw new Refusal(503, `The upload has ${sum.bytes} bytes, the request begins at ${range.start}.`);
        }
        const known = sum.bytes - range.start;
        try {
          await appendContent(window(body.bytes, known, range.bytes), file, sum);
        } catch (error) {
          // A failed write leaves the sum ahead of the file.
          if ((await file.stat()).size !== sum.bytes) session.sum = undefined;
          throw error;
        }
      }
    } finally {
      await file.close();
    }
    const { totalBytes } = range;
    if (totalBytes !== undefined && sum.bytes > totalBytes) {
      throw new Refusal(
        400,
        `The upload has ${sum.bytes} bytes, more than the ${totalBytes} of the request.`,
      );
    }
    const ends =
      totalBytes === undefined
        ? range.kind === 'data' && range.bytes === undefined
        : sum.bytes === totalBytes;
    if (!ends) return { state: 'open', bytes: sum.bytes };
    return { state: 'finished', record: await finish(id, session, { sum, expected: body.expected }) };
  }

  async function finish(
    id: string,
    session: Session,
    received: { readonly sum: ContentSum; readonly expected: ExpectedHashes },
  ): Promise<ObjectRecord> {
    const { bucket, name, settings, conditions, expected, declaredBytes } = session.request;
    const facts = factsOf(received.sum);
    try {
      checkHashes(facts, expected);
      checkHashes(facts, received.expected);
      if (declaredBytes !== undefined && declaredBytes !== facts.size) {
        throw new Refusal(400, `The upload has ${facts.size} bytes, ${declaredBytes} were announced.`);
      }
      const record = await store.commit({ bucket, name, conditions }, { content: id, facts, settings });
      sessions.delete(id);
      finished.set(id, record);
      const [oldest] = finished.keys();
      if (finished.size > FINISHED_KEPT && oldest !== undefined) finished.delete(oldest);
      await rm(layout.uploadFile(id), { force: true });
      return record;
    } catch (error) {
      if (error instanceof Refusal) await drop(id);
      throw error;
    }
  }

  async function drop(id: string): Promise<void> {
    if (!sessions.delete(id)) return;
    await rm(layout.uploadFile(id), { force: true });
    await store.discardContent(id);
  }

  async function loadSessions(): Promise<void> {
    const names = new Set(store.buckets().map((bucket) => bucket.name));
    for (const file of await readdir(layout.uploads)) {
      const id = file.replace(/\.json$/, '');
      const path = layout.uploadFile(id);
      const request = parseRequest(await readFile(path, 'utf8'));
      const content = await stat(layout.contentFile(id)).catch(() => undefined);
      const committed =
        request !== undefined &&
        names.has(request.bucket) &&
        store.findByContent(request.bucket, id) !== undefined;
      if (request === undefined || content === undefined || committed) {
        await rm(path);
        if (!committed) await store.discardContent(id);
      } else if (Date.now() - content.mtimeMs > SESSION_LIFE_MS) {
        await rm(path);
        await store.discardContent(id);
      } else {
        sessions.set(id, { request, sum: undefined, interrupt: undefined });
      }
    }
  }
}

function noSession(): Refusal {
  return new Refusal(404, 'No such upload session: start the upload again.');
}

function parseRequest(text: string): UploadRequest | undefined {
  try {
    return requestSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The bytes after the first `skip`. @throws Refusal 400 where there are more than `limit` in all. */
async function* window(
  source: AsyncIterable<Buffer>,
  skip: number,
  limit: number | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  let offset = 0;
  for await (const chunk of source) {
    const from = Math.max(0, skip - offset);
    offset += chunk.length;
    if (limit !== undefined && offset > limit) {
      throw new Refusal(400, `The body is longer than the ${limit} bytes of its Content-Range.`);
    }
    if (from < chunk.length) yield chunk.subarray(from);
  }
}

async function hashFile(file: FileHandle): Promise<ContentSum> {
  const sum = startSum();
  const buffer = Buffer.allocUnsafe(1024 * 1024);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, sum.bytes);
    if (bytesRead === 0) return sum;
    addToSum(sum, buffer.subarray(0, bytesRead));
  }
}
