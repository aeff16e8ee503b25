/** Identities: branded so that one is never taken for another, and hashed so that they spread over key ranges. */
import { createHash } from 'node:crypto';

export type BuildId = string & { readonly __brand: 'BuildId' };
/** `<package>@<arch>`, unique within a build. */
export type JobId = string & { readonly __brand: 'JobId' };

/** An object of a bucket, pinned. */
export interface ObjectGeneration {
  readonly bucket: string;
  readonly object: string;
  /** Decimal, as Cloud Storage sends it. */
  readonly generation: string;
}

/** The build of one upload: the same event delivered twice is one build. */
export function buildIdOfUpload(upload: ObjectGeneration): BuildId {
  return buildId('upload', upload.bucket, upload.object, upload.generation);
}

/** The build of a request that names itself (attribute `requestId`, message id, or `Idempotency-Key`). */
export function buildIdOfRequest(requestId: string): BuildId {
  return buildId('request', requestId);
}

/** Takes a text that is known to be a build id: the name of a `builds` document, or a validated message. */
export function asBuildId(text: string): BuildId {
  return text as BuildId;
}

export function jobId(packageName: string, arch: string): JobId {
  return `${packageName}@${arch}` as JobId;
}

export function asJobId(text: string): JobId {
  return text as JobId;
}

/** Id of the document that remembers the newest generation of an uploaded object. */
export function uploadId(bucket: string, object: string): string {
  return hash(bucket, object).slice(0, 40);
}

/** Id of the document that remembers a verified package file, by where it lies and its control checksum `Q1…`. */
export function packageFileId(url: string, controlChecksum: string): string {
  return hash(url, controlChecksum);
}

function buildId(...parts: readonly string[]): BuildId {
  return `bld-${hash(...parts).slice(0, 26)}` as BuildId;
}

/** Hex SHA-256 of the parts, each preceded by its length so that no two lists of parts collide. */
function hash(...parts: readonly string[]): string {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(`${Buffer.byteLength(part)}:${part}`);
  return digest.digest('hex');
}
