/** Answers with the bytes of an object: whole, a range, or inflated for a client that takes no gzip. */
import type { FileHandle } from 'node:fs/promises';
import { type IncomingMessage, type ServerResponse, validateHeaderValue } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type ByteRange, parseByteRange } from './content-range.ts';
import { etagOf, type ObjectRecord } from './resources.ts';

export interface Download {
  readonly record: ObjectRecord;
  readonly file: FileHandle;
  /** `response-content-*` parameters of public and signed URLs. */
  readonly query: URLSearchParams;
}

/** Objects up to this size are read in one go. */
const SMALL_BYTES = 256 * 1024;
const READ_BYTES = 512 * 1024;

/**
 * Sends the object. The caller closes the file.
 *
 * @throws Refusal 416.
 */
export async function sendObject(
  request: IncomingMessage,
  response: ServerResponse,
  download: Download,
): Promise<void> {
  const { record, file } = download;
  const range = parseByteRange(request.headers.range, record.size);
  setObjectHeaders(response, download);
  if (range === undefined && inflates(request, record)) {
    response.writeHead(200);
    if (request.method === 'HEAD') response.end();
    else await pipeline(file.createReadStream({ autoClose: false }), createGunzip(), response);
    return;
  }
  setIfValid(response, 'Content-Encoding', record.settings.contentEncoding);
  response.setHeader('x-goog-hash', hashHeader(record));
  const sent: ByteRange = range ?? { first: 0, last: record.size - 1 };
  const length = sent.last - sent.first + 1;
  response.setHeader('Content-Length', length);
  if (range === undefined) {
    response.statusCode = 200;
  } else {
    response.statusCode = 206;
    response.setHeader('Content-Range', `bytes ${sent.first}-${sent.last}/${record.size}`);
  }
  if (request.method === 'HEAD' || length === 0) {
    response.end();
  } else if (length <= SMALL_BYTES) {
    const bytes = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await file.read(bytes, done, length - done, sent.first + done);
      if (bytesRead === 0)
        throw new Error(`the content of ${record.bucket}/${record.name} is shorter than its record`);
      done += bytesRead;
    }
    response.end(bytes);
  } else {
    const options = { start: sent.first, end: sent.last, autoClose: false, highWaterMark: READ_BYTES };
    await pipeline(file.createReadStream(options), response);
  }
}

/** The real service inflates gzip-encoded objects for clients that do not accept gzip (decompressive transcoding). */
function inflates(request: IncomingMessage, record: ObjectRecord): boolean {
  const { contentEncoding, cacheControl } = record.settings;
  const accepted = [request.headers['accept-encoding'] ?? []].flat().join(',');
  return (
    contentEncoding === 'gzip' && !/\bgzip\b/.test(accepted) && !/\bno-transform\b/.test(cacheControl ?? '')
  );
}

function setObjectHeaders(response: ServerResponse, download: Download): void {
  const { record, query } = download;
  const { settings } = record;
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('ETag', `"${etagOf(record)}"`);
  response.setHeader('Last-Modified', new Date(record.updated).toUTCString());
  response.setHeader('x-goog-generation', record.generation);
  response.setHeader('x-goog-metageneration', record.metageneration);
  response.setHeader('x-goog-stored-content-length', record.size);
  setIfValid(response, 'x-goog-stored-content-encoding', settings.contentEncoding ?? 'identity');
  setIfValid(response, 'x-goog-storage-class', settings.storageClass ?? 'STANDARD');
  const contentType = query.get('response-content-type') ?? settings.contentType;
  setIfValid(response, 'Content-Type', contentType ?? 'application/octet-stream');
  const disposition = query.get('response-content-disposition') ?? settings.contentDisposition;
  setIfValid(response, 'Content-Disposition', disposition);
  setIfValid(response, 'Content-Language', settings.contentLanguage);
  setIfValid(response, 'Cache-Control', settings.cacheControl);
}

/** Leaves out what a client stored but HTTP cannot carry. */
function setIfValid(response: ServerResponse, name: string, value: string | undefined): void {
  if (value === undefined) return;
  try {
    validateHeaderValue(name, value);
  } catch {
    return;
  }
  response.setHeader(name, value);
}

function hashHeader(record: ObjectRecord): string {
  const crc32c = `crc32c=${record.crc32c}`;
  return record.md5Hash === undefined ? crc32c : `${crc32c},md5=${record.md5Hash}`;
}
