/**
 * The log of an attempt, readable while it runs: create-only chunks, joined into one object at the end. A chunk is
 * written once a second or when it is large, so a reader is never more than that behind.
 */
import type { Bucket } from '@google-cloud/storage';
import { asPipelineError, type PipelineError } from '../../shared/errors.ts';
import { COMPOSE_MAX, LOG_CHUNK_BYTES, LOG_CHUNK_MS } from '../../shared/limits.ts';
import { type AttemptNames, attemptFolder, logChunkObject, logObject } from '../../shared/object-names.ts';
import { createObject, httpStatus, storageError } from '../../shared/storage/objects.ts';

export interface LogWriter extends AsyncDisposable {
  readonly object: string;
  write(text: string | Uint8Array): void;
  /** Writes what is left and joins the chunks; the name of the whole log. */
  close(): Promise<string>;
}

const TYPE = 'text/plain; charset=utf-8';

export function openLog(bucket: Bucket, attempt: AttemptNames): LogWriter {
  const object = logObject(attempt);
  const written: string[] = [];
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let writing: Promise<void> = Promise.resolve();
  let failure: PipelineError | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed: Promise<string> | undefined;

  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (waitingBytes === 0) return;
    const bytes = Buffer.concat(waiting);
    waiting = [];
    waitingBytes = 0;
    const name = logChunkObject(attempt, written.length + 1);
    written.push(name);
    writing = writing
      .then(() => createObject(bucket, name, { bytes, type: TYPE }))
      .catch((error: unknown) => {
        failure ??= asPipelineError(error);
      });
  };

  const finish = async (): Promise<string> => {
    clearTimeout(timer);
    if (written.length === 0) {
      await createObject(bucket, object, { bytes: Buffer.concat(waiting), type: TYPE });
      return object;
    }
    flush();
    await writing;
    if (failure !== undefined) throw failure;
    await composeAll(bucket, { parts: written, object, folder: attemptFolder(attempt) });
    return object;
  };

  return {
    object,
    write(text) {
      const bytes = Buffer.from(text);
      waiting.push(bytes);
      waitingBytes += bytes.length;
      if (waitingBytes >= LOG_CHUNK_BYTES) flush();
      else timer ??= setTimeout(flush, LOG_CHUNK_MS);
    },
    close() {
      closed ??= finish();
      return closed;
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(timer);
      if (closed === undefined) flush();
      await writing;
    },
  };
}

/** Joins the parts into one object, by rounds of as many as can be joined at once, and removes them. */
async function composeAll(
  bucket: Bucket,
  what: { readonly parts: readonly string[]; readonly object: string; readonly folder: string },
): Promise<void> {
  const used: string[] = [...what.parts];
  let parts = [...what.parts];
  for (let round = 1; parts.length > COMPOSE_MAX; round += 1) {
    const joined: string[] = [];
    for (let start = 0; start < parts.length; start += COMPOSE_MAX) {
      const name = `${what.folder}log/joined-${round}-${String(start).padStart(6, '0')}`;
      await compose(bucket, parts.slice(start, start + COMPOSE_MAX), name);
      joined.push(name);
    }
    used.push(...joined);
    parts = joined;
  }
  await compose(bucket, parts, what.object);
  await Promise.all(used.map((name) => remove(bucket, name)));
}

async function compose(bucket: Bucket, parts: readonly string[], name: string): Promise<void> {
  try {
    const target = bucket.file(name);
    target.metadata.contentType = TYPE;
    await bucket.combine([...parts], target, { ifGenerationMatch: 0 });
  } catch (error) {
    // An earlier try of this call has made it.
    if (httpStatus(error) !== 412) throw storageError(`joining ${name}`, error);
  }
}

async function remove(bucket: Bucket, name: string): Promise<void> {
  try {
    const [metadata] = await bucket.file(name).getMetadata();
    await bucket.file(name).delete({ ifGenerationMatch: Number(metadata.generation) });
  } catch (error) {
    if (httpStatus(error) !== 404) throw storageError(`removing ${name}`, error);
  }
}
