/** Objects and buckets: how they are kept, and how the JSON API shows them. */
import { z } from 'zod';
import { Refusal } from './refusal.ts';

const storedText = z.string().optional();

/** Settings as they stand in our own files. */
export const settingsSchema = z.object({
  contentType: storedText,
  contentEncoding: storedText,
  contentLanguage: storedText,
  contentDisposition: storedText,
  cacheControl: storedText,
  storageClass: storedText,
  customTime: storedText,
  metadata: z.record(z.string(), z.string()).optional(),
});

/** What a client may set on an object; the names are those of the JSON API. */
export type ObjectSettings = Readonly<z.infer<typeof settingsSchema>>;

const recordSchema = z.object({
  bucket: z.string(),
  name: z.string(),
  /** Microseconds of the epoch, below 2^53. */
  generation: z.int().positive(),
  metageneration: z.int().positive(),
  size: z.int().nonnegative(),
  /** Base64 of four bytes, big endian. */
  crc32c: z.string(),
  /** Base64; composed objects have none. */
  md5Hash: storedText,
  /** Of composed objects. */
  componentCount: z.int().optional(),
  /** RFC 3339 with milliseconds. */
  timeCreated: z.string(),
  updated: z.string(),
  /** File of the bytes, in the store's `content` folder. */
  content: z.string(),
  settings: settingsSchema,
});

/** An object as it is kept on disk. */
export type ObjectRecord = Readonly<z.infer<typeof recordSchema>>;

/** The record in a file's text, or undefined where it is none (a file torn by a power cut). */
export function parseObjectRecord(text: string): ObjectRecord | undefined {
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export interface BucketRecord {
  readonly name: string;
  readonly timeCreated: string;
}

const TEXT_SETTINGS = [
  'contentType',
  'contentEncoding',
  'contentLanguage',
  'contentDisposition',
  'cacheControl',
  'storageClass',
  'customTime',
] as const;

const text = z.string().nullish();
const patchSchema = z.object({
  contentType: text,
  contentEncoding: text,
  contentLanguage: text,
  contentDisposition: text,
  cacheControl: text,
  storageClass: text,
  customTime: text,
  metadata: z
    .record(
      z.string(),
      z.union([z.string(), z.number().transform(String), z.boolean().transform(String)]).nullable(),
    )
    .nullish(),
  name: text,
  md5Hash: text,
  crc32c: text,
});

/** An object resource in a request: only what may be set and checked, read-only fields dropped. */
export type ObjectPatch = z.infer<typeof patchSchema>;

/** @throws Refusal 400 where a field has the wrong type. */
export function parseObjectPatch(body: unknown): ObjectPatch {
  const parsed = patchSchema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  throw new Refusal(400, `Invalid object resource: ${z.prettifyError(parsed.error)}`);
}

/** `settings` after a PATCH: `null` removes a field or a metadata key, absent ones stay. */
export function applyPatch(settings: ObjectSettings, patch: ObjectPatch): ObjectSettings {
  const changed: { -readonly [Key in keyof ObjectSettings]: ObjectSettings[Key] } = { ...settings };
  for (const key of TEXT_SETTINGS) {
    const value = patch[key];
    if (value === null) delete changed[key];
    else if (value !== undefined) changed[key] = value;
  }
  if (patch.metadata === null) {
    delete changed.metadata;
  } else if (patch.metadata !== undefined) {
    const metadata = new Map(Object.entries(settings.metadata ?? {}));
    for (const [key, value] of Object.entries(patch.metadata)) {
      if (value === null) metadata.delete(key);
      else metadata.set(key, value);
    }
    if (metadata.size === 0) delete changed.metadata;
    else changed.metadata = Object.fromEntries(metadata);
  }
  return changed;
}

/** The object resource of the JSON API; `baseUrl` is the endpoint's, without a final slash. */
export function objectResource(record: ObjectRecord, baseUrl: string): object {
  const { bucket, name, generation, metageneration } = record;
  const path = `b/${encodeURIComponent(bucket)}/o/${encodeURIComponent(name)}`;
  return {
    kind: 'storage#object',
    id: `${bucket}/${name}/${generation}`,
    selfLink: `${baseUrl}/storage/v1/${path}`,
    mediaLink: `${baseUrl}/download/storage/v1/${path}?generation=${generation}&alt=media`,
    name,
    bucket,
    generation: String(generation),
    metageneration: String(metageneration),
    ...record.settings,
    storageClass: record.settings.storageClass ?? 'STANDARD',
    size: String(record.size),
    ...(record.md5Hash === undefined ? {} : { md5Hash: record.md5Hash }),
    crc32c: record.crc32c,
    ...(record.componentCount === undefined ? {} : { componentCount: record.componentCount }),
    etag: etagOf(record),
    timeCreated: record.timeCreated,
    updated: record.updated,
    timeStorageClassUpdated: record.timeCreated,
  };
}

/** Changes with every generation and metageneration. */
export function etagOf(record: ObjectRecord): string {
  return Buffer.from(`${record.generation}/${record.metageneration}`).toString('base64');
}

/** The bucket resource of the JSON API. */
export function bucketResource(bucket: BucketRecord, baseUrl: string): object {
  return {
    kind: 'storage#bucket',
    id: bucket.name,
    selfLink: `${baseUrl}/storage/v1/b/${encodeURIComponent(bucket.name)}`,
    name: bucket.name,
    projectNumber: '1',
    metageneration: '1',
    location: 'US',
    locationType: 'multi-region',
    storageClass: 'STANDARD',
    iamConfiguration: { uniformBucketLevelAccess: { enabled: true } },
    timeCreated: bucket.timeCreated,
    updated: bucket.timeCreated,
    etag: 'CAE=',
  };
}

/**
 * Naming rules of buckets, which also makes a name safe as a folder's name
 * (https://cloud.google.com/storage/docs/buckets#naming).
 *
 * @throws Refusal 400.
 */
export function checkBucketName(name: string): void {
  if (!/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(name) || name.includes('..')) {
    throw new Refusal(400, `Invalid bucket name: '${name}'`);
  }
}

/** @throws Refusal 400 for a name Cloud Storage does not allow (https://cloud.google.com/storage/docs/objects#naming). */
export function checkObjectName(name: string): void {
  const bytes = Buffer.byteLength(name);
  if (
    bytes < 1 ||
    bytes > 1024 ||
    /[\r\n]/.test(name) ||
    name === '.' ||
    name === '..' ||
    !name.isWellFormed()
  ) {
    throw new Refusal(400, 'Invalid object name');
  }
}
