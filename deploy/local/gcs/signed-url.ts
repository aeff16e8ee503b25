/**
 * V4 signed URLs (https://cloud.google.com/storage/docs/authentication/canonical-requests): whether a request's query
 * was signed by the owner of a key, and is still good.
 */
import { createHash, createVerify, type KeyObject } from 'node:crypto';
import { Refusal } from './refusal.ts';

export interface SignedRequest {
  readonly method: string;
  /** Decoded, beginning with a slash. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: NodeJS.Dict<string | string[]>;
}

const ALGORITHM = 'GOOG4-RSA-SHA256';
const MAX_EXPIRES_S = 7 * 24 * 3600;
/** How far a signer's clock may be ahead, as in the real service. */
const CLOCK_SKEW_MS = 15 * 60_000;

export function isSigned(query: URLSearchParams): boolean {
  return query.has('X-Goog-Signature') || query.has('X-Goog-Algorithm');
}

/**
 * Checks a signed request at the time `nowMs` (milliseconds of the epoch).
 *
 * @throws Refusal 400 where it is malformed or expired, 403 where the signature is not that of the key.
 */
export function verifySignedRequest(request: SignedRequest, publicKey: KeyObject, nowMs: number): void {
  const { query } = request;
  const field = (name: string): string => {
    const value = query.get(`X-Goog-${name}`);
    if (value === null) throw new Refusal(400, `The signed URL lacks X-Goog-${name}.`);
    return value;
  };
  if (field('Algorithm') !== ALGORITHM) {
    throw new Refusal(400, `Only ${ALGORITHM} signatures are supported.`);
  }
  const date = field('Date');
  const signedAtMs = parseDate(date);
  const expiresS = Number(field('Expires'));
  if (!Number.isInteger(expiresS) || expiresS < 1 || expiresS > MAX_EXPIRES_S) {
    throw new Refusal(400, 'X-Goog-Expires must be between 1 and 604800 seconds.');
  }
  if (nowMs < signedAtMs - CLOCK_SKEW_MS) throw new Refusal(403, 'The signed URL is not valid yet.');
  if (nowMs >= signedAtMs + expiresS * 1000) throw new Refusal(400, 'The provided token has expired.');

  const [, ...scope] = field('Credential').split('/');
  if (scope.length !== 4 || scope[0] !== date.slice(0, 8)) {
    throw new Refusal(400, 'X-Goog-Credential does not match X-Goog-Date.');
  }
  const signature = Buffer.from(field('Signature'), 'hex');
  const signedHeaders = field('SignedHeaders');
  if (!signedHeaders.split(';').includes('host')) throw new Refusal(400, 'The host header must be signed.');
  const good = hostForms(request.headers).some((host) => {
    const hash = createHash('sha256')
      .update(canonicalRequest(request, signedHeaders, host))
      .digest('hex');
    const text = [ALGORITHM, date, scope.join('/'), hash].join('\n');
    return createVerify('RSA-SHA256').update(text).verify(publicKey, signature);
  });
  if (!good) throw new Refusal(403, 'The request signature does not match the one of the key.');
}

function canonicalRequest(request: SignedRequest, signedHeaders: string, host: string): string {
  const { method, path, query, headers } = request;
  const queryText = [...query]
    .filter(([key]) => key !== 'X-Goog-Signature')
    .map(([key, value]) => `${encode(key)}=${encode(value)}`)
    .sort()
    .join('&');
  const headerLines = signedHeaders.split(';').map((name) => {
    const value = name === 'host' ? host : [headers[name] ?? []].flat().join(',');
    return `${name}:${value.trim().replace(/\s{2,}/g, ' ')}\n`;
  });
  const payload = [headers['x-goog-content-sha256'] ?? 'UNSIGNED-PAYLOAD'].flat().join(',');
  const pathText = path.split('/').map(encode).join('/');
  return [method, pathText, queryText, headerLines.join(''), signedHeaders, payload].join('\n');
}

/** The Node client signs the host without its port, others with it. */
function hostForms(headers: SignedRequest['headers']): string[] {
  const host = [headers['host'] ?? ''].flat().join('');
  return [host, host.replace(/:\d+$/, '')];
}

/** RFC 3986 encoding, which leaves fewer characters alone than `encodeURIComponent`. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function parseDate(text: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) throw new Refusal(400, 'X-Goog-Date must look like 20260131T235959Z.');
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second);
}
