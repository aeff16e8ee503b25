/**
 * The one error type of the pipeline. Codes are stable, listed here and in `docs/errors.md` (a test keeps the two
 * equal); the kind is decided where the error is raised, never read out of a message.
 */

/** Who has to act: the package's author, the operator, nobody (a limit was hit), or us. */
export type ErrorKind = 'user' | 'infra' | 'timeout' | 'cancelled' | 'superseded' | 'bug';

/** A place in a text a user wrote. `line` and `column` count from 1; `column` counts UTF-16 code units. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Every code a `PipelineError` may carry. Grouped by the part that raises it. */
export const ERROR_CODES = [
  // build file
  'yaml-syntax',
  'build-file-too-large',
  'unknown-key',
  'wrong-type',
  'invalid-value',
  'missing-value',
  'unknown-variable',
  'unknown-pipeline',
  'invalid-condition',
  'shell-syntax',
  // apk format and repositories
  'apk-malformed',
  'apk-mismatch',
  'index-malformed',
  'index-signature',
  'invalid-version',
  'invalid-constraint',
  'key-unusable',
  'tar-malformed',
  // environment
  'unsolvable',
  'file-conflict',
  'repository-unavailable',
  'repository-refused',
  // requests and state
  'message-malformed',
  'request-invalid',
  'source-missing',
  'source-refused',
  'version-exists',
  'state-transition',
  'record-missing',
  'record-contended',
  // running
  'no-backend',
  'backend-unreachable',
  'backend-lacks-feature',
  'build-step-failed',
  'build-timeout',
  'buildkit-failed',
  'lease-lost',
  'crash-loop',
  'output-too-large',
  'output-invalid',
  'shutting-down',
  // services
  'firestore-failed',
  'storage-failed',
  'storage-precondition',
  'pubsub-failed',
  // configuration and local machine
  'config-invalid',
  'prerequisite-missing',
  'process-failed',
  'cancelled',
  'internal',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export interface PipelineErrorOptions {
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  /** One sentence that reads well alone. */
  readonly message: string;
  /** What the reader can do about it. */
  readonly hint?: string | undefined;
  readonly position?: Position | undefined;
  /** Name of the pipeline step that failed. */
  readonly step?: string | undefined;
  readonly cause?: unknown;
}

export class PipelineError extends Error {
  override readonly name = 'PipelineError';
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly hint: string | undefined;
  readonly position: Position | undefined;
  readonly step: string | undefined;

  constructor(options: PipelineErrorOptions) {
    super(scrub(options.message), options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.kind = options.kind;
    this.hint = options.hint === undefined ? undefined : scrub(options.hint);
    this.position = options.position;
    this.step = options.step;
  }
}

/** The plain form that is stored in records, sent in events and answered by the API. */
export interface ErrorRecord {
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly step?: string | undefined;
  readonly position?: Position | undefined;
}

export function toErrorRecord(error: PipelineError): ErrorRecord {
  return {
    code: error.code,
    kind: error.kind,
    message: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.step === undefined ? {} : { step: error.step }),
    ...(error.position === undefined ? {} : { position: error.position }),
  };
}

/**
 * The `PipelineError` in a chain of causes, or a `bug` that wraps what was thrown: an error nobody classified is ours
 * to fix.
 */
export function asPipelineError(thrown: unknown): PipelineError {
  for (let error: unknown = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof PipelineError) return error;
  }
  return new PipelineError({
    code: 'internal',
    kind: 'bug',
    message: thrown instanceof Error ? thrown.message : String(thrown),
    cause: thrown,
  });
}

/** `file:line:column`, the form editors understand. */
export function formatPosition(position: Position): string {
  return `${position.file}:${position.line}:${position.column}`;
}

/** Takes tokens and the query of signed URLs out of a text that will be logged or stored. */
export function scrub(text: string): string {
  return text
    .replace(/([?&](?:X-Goog-[A-Za-z-]+|access_token|token|sig(?:nature)?)=)[^&\s"']+/gi, '$1[redacted]')
    .replace(/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/g, '$1 [redacted]')
    .replace(/(\/\/)[^/\s:@]+:[^/\s@]+@/g, '$1[redacted]@');
}
