/** Objects of Cloud Storage, each write with a precondition. The border between its errors and ours. */
import { type Bucket, CRC32C, type File } from '@google-cloud/storage';
import { PipelineError } from '../errors.ts';

/** An object as a listing shows it. */
export interface ListedObject {
  readonly name: string;
  readonly generation: string;
  readonly bytes: number;
  readonly crc32c: string;
  /** Milliseconds since 1970, the server's clock. */
  readonly createdMs: number;
  /** Custom metadata the uploader gave. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ReadObjectOptions {
  /** Reads this generation only. */
  readonly generation?: string;
  /** A larger object is an error. */
  readonly maxBytes: number;
}

/**
 * Reads a whole object; undefined where it, or its generation, does not exist.
 *
 * @throws PipelineError `storage-failed` (`infra`), `build-file-too-large` (`user`) above `maxBytes`.
 */
export async function readObject(
  bucket: Bucket,
  name: string,
  options: ReadObjectOptions,
): Promise<Buffer | undefined> {
  const { generation, maxBytes } = options;
  const file = bucket.file(name, generation === undefined ? {} : { generation });
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of file.createReadStream()) {
      chunks.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes > maxBytes) throw tooLarge(name, maxBytes);
    }
  } catch (error) {
    if (httpStatus(error) === 404) return undefined;
    throw storageError(`reading ${name}`, error);
  }
  return Buffer.concat(chunks);
}

/** What the service knows of an object; undefined where there is none. */
export async function statObject(bucket: Bucket, name: string): Promise<ListedObject | undefined> {
  try {
    const [metadata] = await bucket.file(name).getMetadata();
    return listed(name, metadata);
  } catch (error) {
    if (httpStatus(error) === 404) return undefined;
    throw storageError(`looking at ${name}`, error);
  }
}

/** All objects below a prefix, in byte order of their names. */
export async function listObjects(bucket: Bucket, prefix: string): Promise<ListedObject[]> {
  try {
    const [files] = await bucket.getFiles({ prefix, autoPaginate: true });
    return files.map((file) => listed(file.name, file.metadata));
  } catch (error) {
    throw storageError(`listing ${prefix}`, error);
  }
}

/**
 * Writes an object that must not exist with other content. An object of equal size and checksum counts as written:
 * it is an earlier try of the same write.
 *
 * @throws PipelineError `storage-precondition` (`infra`) where another content is there, `storage-failed` (`infra`).
 */
export async function createObject(
  bucket: Bucket,
  name: string,
  content: { readonly bytes: Buffer; readonly type: string },
): Promise<void> {
  try {
    await bucket.file(name).save(content.bytes, {
      resumable: false,
      preconditionOpts: { ifGenerationMatch: 0 },
      metadata: { contentType: content.type },
    });
  } catch (error) {
    if (httpStatus(error) !== 412) throw storageError(`writing ${name}`, error);
    const there = await statObject(bucket, name);
    const crc32c = new CRC32C();
    crc32c.update(content.bytes);
    if (there?.bytes === content.bytes.length && there.crc32c === crc32c.toString()) return;
    throw new PipelineError({
      code: 'storage-precondition',
      kind: 'infra',
      message: `${name} exists with other content`,
      cause: error,
    });
  }
}

/** A failure of the client library as ours. */
export function storageError(what: string, error: unknown): PipelineError {
  if (error instanceof PipelineError) return error;
  return new PipelineError({
    code: httpStatus(error) === 412 ? 'storage-precondition' : 'storage-failed',
    kind: 'infra',
    message: `Cloud Storage: ${what}: ${error instanceof Error ? error.message : String(error)}`,
    cause: error,
  });
}

/** The HTTP status the service answered, where the error is such an answer. */
export function httpStatus(error: unknown): number | undefined {
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    if ('code' in one && typeof one.code === 'number') return one.code;
  }
  return undefined;
}

function listed(name: string, metadata: File['metadata']): ListedObject {
  const custom: Record<string, string> = {};
  for (const [key, value] of Object.entries(metadata.metadata ?? {})) {
    if (value !== null) custom[key] = String(value);
  }
  return {
    name,
    generation: String(metadata.generation ?? ''),
    bytes: Number(metadata.size ?? 0),
    crc32c: metadata.crc32c ?? '',
    createdMs: Date.parse(metadata.timeCreated ?? ''),
    metadata: custom,
  };
}

function tooLarge(name: string, maxBytes: number): PipelineError {
  return new PipelineError({
    code: 'build-file-too-large',
    kind: 'user',
    message: `${name} is larger than ${maxBytes} bytes`,
  });
}
