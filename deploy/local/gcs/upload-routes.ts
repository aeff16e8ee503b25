/** The three ways to upload: bytes alone, multipart, resumable. */
import {
  appendContent,
  checkHashes,
  type ExpectedHashes,
  factsOf,
  hashesOfHeaders,
  startSum,
} from './content.ts';
import { parseUploadRange } from './content-range.ts';
import { bodyOf, type Exchange, headerText, parseJson, readJson, sendEmpty, sendJson } from './exchange.ts';
import { boundaryOf, readMultipart } from './multipart.ts';
import { readPreconditions } from './preconditions.ts';
import { Refusal } from './refusal.ts';
import {
  applyPatch,
  checkObjectName,
  type ObjectPatch,
  type ObjectSettings,
  objectResource,
  parseObjectPatch,
} from './resources.ts';
import type { UploadProgress } from './uploads.ts';

/** POST on `/upload/storage/v1/b/{bucket}/o`. */
export async function startUpload(exchange: Exchange, bucket: string): Promise<void> {
  const kind = exchange.query.get('uploadType');
  exchange.store.bucket(bucket);
  if (kind === 'media') await uploadMedia(exchange, bucket);
  else if (kind === 'multipart') await uploadMultipart(exchange, bucket);
  else if (kind === 'resumable') await openSession(exchange, bucket);
  else throw new Refusal(400, `Invalid uploadType: ${kind}`);
}

/** PUT on the `Location` of a session. */
export async function continueUpload(exchange: Exchange): Promise<void> {
  const { request, uploads } = exchange;
  const range = parseUploadRange(headerText(request, 'content-range'));
  const progress = await uploads.put(sessionId(exchange), range, {
    bytes: bodyOf(request),
    expected: hashesOfHeaders(request.headers),
    interrupt: () => request.destroy(),
  });
  sendProgress(exchange, progress);
}

/** DELETE on the `Location` of a session. */
export async function cancelUpload(exchange: Exchange): Promise<void> {
  await exchange.uploads.cancel(sessionId(exchange));
  throw new Refusal(499, 'The upload was cancelled.');
}

async function uploadMedia(exchange: Exchange, bucket: string): Promise<void> {
  const { request } = exchange;
  await storeObject(exchange, {
    bucket,
    name: objectName(exchange, {}),
    source: bodyOf(request),
    settings: settingsOf(exchange, {}, headerText(request, 'content-type')),
    expected: hashesOfHeaders(request.headers),
  });
}

async function uploadMultipart(exchange: Exchange, bucket: string): Promise<void> {
  const { request } = exchange;
  const boundary = boundaryOf(headerText(request, 'content-type') ?? '');
  const parts = await readMultipart(bodyOf(request), boundary);
  const patch = parseObjectPatch(parseJson(parts.metadata));
  const headers = hashesOfHeaders(request.headers);
  await storeObject(exchange, {
    bucket,
    name: objectName(exchange, patch),
    source: parts.content,
    settings: settingsOf(exchange, patch, parts.contentType),
    expected: {
      crc32c: patch.crc32c ?? headers.crc32c,
      md5Hash: patch.md5Hash ?? headers.md5Hash,
    },
  });
}

async function openSession(exchange: Exchange, bucket: string): Promise<void> {
  const { request, uploads, path, baseUrl, query } = exchange;
  const patch = parseObjectPatch(await readJson(request));
  const declared = headerText(request, 'x-upload-content-length');
  const id = await uploads.create({
    bucket,
    name: objectName(exchange, patch),
    settings: settingsOf(exchange, patch, headerText(request, 'x-upload-content-type')),
    conditions: readPreconditions(query),
    expected: { crc32c: patch.crc32c ?? undefined, md5Hash: patch.md5Hash ?? undefined },
    declaredBytes: declared === undefined || !/^\d+$/.test(declared) ? undefined : Number(declared),
  });
  const route = path.map(encodeURIComponent).join('/');
  const location = `${baseUrl}/${route}?uploadType=resumable&upload_id=${id}`;
  sendEmpty(exchange, 200, { Location: location, 'X-GUploader-UploadID': id });
}

async function storeObject(
  exchange: Exchange,
  upload: {
    readonly bucket: string;
    readonly name: string;
    readonly source: AsyncIterable<Buffer>;
    readonly settings: ObjectSettings;
    readonly expected: ExpectedHashes;
  },
): Promise<void> {
  const { store, baseUrl, query } = exchange;
  const { bucket, name, settings } = upload;
  const conditions = readPreconditions(query);
  const { content, file } = await store.createContent();
  try {
    const sum = startSum();
    try {
      await appendContent(upload.source, file, sum);
    } finally {
      await file.close();
    }
    const facts = factsOf(sum);
    checkHashes(facts, upload.expected);
    const record = await store.commit({ bucket, name, conditions }, { content, facts, settings });
    sendJson(exchange, 200, objectResource(record, baseUrl));
  } catch (error) {
    await store.discardContent(content);
    throw error;
  }
}

/** The name in the query (Node client) or in the resource (`gcloud`). */
function objectName(exchange: Exchange, patch: ObjectPatch | Record<string, never>): string {
  const name = exchange.query.get('name') ?? patch.name ?? '';
  checkObjectName(name);
  return name;
}

/** What the resource says; a content type beside it counts where the resource has none. */
function settingsOf(
  exchange: Exchange,
  patch: ObjectPatch | Record<string, never>,
  contentType: string | undefined,
): ObjectSettings {
  const settings = applyPatch({}, patch);
  const encoding = exchange.query.get('contentEncoding');
  return {
    ...(contentType === undefined ? {} : { contentType }),
    ...(encoding === null ? {} : { contentEncoding: encoding }),
    ...settings,
  };
}

function sessionId(exchange: Exchange): string {
  return exchange.query.get('upload_id') ?? '';
}

function sendProgress(exchange: Exchange, progress: UploadProgress): void {
  if (progress.state === 'finished') {
    sendJson(exchange, 200, objectResource(progress.record, exchange.baseUrl));
  } else {
    sendEmpty(exchange, 308, progress.bytes === 0 ? {} : { Range: `bytes=0-${progress.bytes - 1}` });
  }
}
