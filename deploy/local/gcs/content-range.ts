/** `Content-Range` of resumable uploads and `Range` of downloads. */
import { Refusal } from './refusal.ts';

/** What a PUT to a resumable session carries. */
export type UploadRange =
  | { readonly kind: 'query'; readonly totalBytes: number | undefined }
  | {
      readonly kind: 'data';
      /** Offset of the body's first byte. */
      readonly start: number;
      /** Bytes the body should have; undefined: the object ends where the body ends. */
      readonly bytes: number | undefined;
      readonly totalBytes: number | undefined;
    };

/**
 * Reads `bytes 0-99/*`, `bytes 0-*\/*`, `bytes 100-199/200`, `bytes *\/200` and their like; no header at all means the
 * whole object. An empty last chunk comes as `bytes 0--1/0`.
 *
 * @throws Refusal 400.
 */
export function parseUploadRange(header: string | undefined): UploadRange {
  if (header === undefined) return { kind: 'data', start: 0, bytes: undefined, totalBytes: undefined };
  const match = /^bytes (?:\*|(\d+)-(\*|-1|\d+))\/(\*|\d+)$/.exec(header.trim());
  if (match === null) throw new Refusal(400, `Invalid Content-Range: ${header}`);
  const totalBytes = match[3] === '*' ? undefined : Number(match[3]);
  if (match[1] === undefined) return { kind: 'query', totalBytes };
  const start = Number(match[1]);
  const bytes = match[2] === '*' ? undefined : Number(match[2]) + 1 - start;
  if (bytes !== undefined && (bytes < 0 || (totalBytes !== undefined && start + bytes > totalBytes))) {
    throw new Refusal(400, `Invalid Content-Range: ${header}`);
  }
  return { kind: 'data', start, bytes, totalBytes };
}

/** Bytes `first` to `last`, both included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * The stretch of an object that a `Range` header asks for; undefined where it is to be ignored (absent, several ranges,
 * not understood: RFC 9110 section 14.2).
 *
 * @throws Refusal 416 where it begins past the end.
 */
export function parseByteRange(header: string | undefined, size: number): ByteRange | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  const range =
    match[1] === ''
      ? { first: Math.max(0, size - Number(match[2])), last: size - 1 }
      : { first: Number(match[1]), last: match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1) };
  if (match[1] !== '' && match[2] !== '' && Number(match[2]) < Number(match[1])) return undefined;
  if (range.first >= size) throw new Refusal(416, 'The requested range cannot be satisfied.');
  return range;
}
