/** Which failures of a web server may pass by themselves. */

/** https://www.rfc-editor.org/rfc/rfc9110#section-15, and RFC 6585 for 429. */
const PASSING_STATUSES: readonly number[] = [429, 500, 502, 503, 504];

/** Of connections (https://nodejs.org/api/errors.html#common-system-errors), and of `fetch` for the same. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_SOCKET',
]);

export function isPassingStatus(status: number): boolean {
  return PASSING_STATUSES.includes(status);
}

/** Whether an error, or one of its causes, is that of a connection that could not be made or broke. */
export function isPassingFailure(thrown: unknown): boolean {
  for (let error: unknown = thrown; error instanceof Error; error = error.cause) {
    if ('code' in error && typeof error.code === 'string' && PASSING_CODES.has(error.code)) return true;
  }
  return false;
}

/**
 * What a `Retry-After` header asks for, in milliseconds: seconds or a date (RFC 9110, section 10.2.3). 0 for nothing,
 * for the past, and for what is neither.
 */
export function retryAfterMs(header: string, nowMs: number): number {
  const value = header.trim();
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const dateMs = /[a-z]/i.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(dateMs) ? 0 : Math.max(0, dateMs - nowMs);
}
