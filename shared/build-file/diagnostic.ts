/** Problems of a build file: what is wrong, where, and what the author can do about it. */
import { type ErrorCode, type ErrorRecord, formatPosition, PipelineError, type Position } from '../errors.ts';
import { MAX_DIAGNOSTICS } from './limits.ts';
import { type Place, positionOf } from './place.ts';

export interface Diagnostic {
  readonly code: ErrorCode;
  readonly severity: 'error' | 'warning';
  /** One sentence without a full stop. */
  readonly message: string;
  readonly hint?: string;
  readonly position: Position;
  /** Characters of the line to underline, at least 1; absent where only a point is known. */
  readonly length?: number;
}

export interface Problem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string | undefined;
  /** Default `error`. */
  readonly severity?: 'error' | 'warning';
}

/** Gathers the diagnostics of one run. */
export interface Reporter {
  readonly diagnostics: readonly Diagnostic[];
  /** Errors (not warnings) reported so far. */
  readonly errors: number;
  report(place: Place, problem: Problem): void;
}

/** The same problem at the same place is kept once, and no more than `MAX_DIAGNOSTICS` in all. */
export function createReporter(): Reporter {
  const diagnostics: Diagnostic[] = [];
  const seen = new Set<string>();
  let errors = 0;
  return {
    diagnostics,
    get errors() {
      return errors;
    },
    report(place, problem) {
      const severity = problem.severity ?? 'error';
      if (severity === 'error') errors += 1;
      const position = positionOf(place);
      const identity = `${formatPosition(position)}: ${problem.message}`;
      if (seen.has(identity) || diagnostics.length >= MAX_DIAGNOSTICS) return;
      seen.add(identity);
      diagnostics.push({
        code: problem.code,
        severity,
        message: shorten(problem.message),
        ...(problem.hint === undefined ? {} : { hint: problem.hint }),
        position,
        length: Math.max(1, place.end - place.start),
      });
    },
  };
}

/** In the order of the text: those of `file` first, then those of other files as these were met. */
export function inOrder(diagnostics: readonly Diagnostic[], file: string): Diagnostic[] {
  const files = [file, ...new Set(diagnostics.map((one) => one.position.file))];
  return diagnostics.toSorted(
    ({ position: a }, { position: b }) =>
      files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column,
  );
}

/** Messages quote what was written, which may be long. */
function shorten(message: string): string {
  return message.length > 500 ? `${message.slice(0, 500)}…` : message;
}

/**
 * The diagnostic as text for a terminal: `file:line:column: message`, then, where `text` (the content of that file) is
 * given, the line with the place underlined, then the hint.
 */
export function formatDiagnostic(diagnostic: Diagnostic, text?: string): string {
  const { position, severity, message, hint } = diagnostic;
  const label = severity === 'warning' ? 'warning: ' : '';
  const lines = [`${formatPosition(position)}: ${label}${message}`];
  const source = text?.split(/\r\n|\r|\n/)[position.line - 1];
  if (source !== undefined) {
    const before = source.slice(0, position.column - 1);
    const room = Math.max(1, source.trimEnd().length - before.length);
    lines.push(`  ${source}`);
    // Tabs stay tabs, so that the marker stands below its text however wide they are shown.
    lines.push(`  ${before.replace(/[^\t]/g, ' ')}${'^'.repeat(Math.min(diagnostic.length ?? 1, room))}`);
  }
  if (hint !== undefined) lines.push(`  hint: ${hint}`);
  return lines.join('\n');
}

/** The errors as one `PipelineError` of kind `user`: the first one's code and position, all their messages. */
export function diagnosticsError(diagnostics: readonly Diagnostic[]): PipelineError | undefined {
  const errors = diagnostics.filter((diagnostic) => diagnostic.severity === 'error');
  const [first, ...rest] = errors;
  if (first === undefined) return undefined;
  const others = rest.map((one) => `${formatPosition(one.position)}: ${one.message}`);
  return new PipelineError({
    code: first.code,
    kind: 'user',
    message: [first.message, ...others].join('\n'),
    hint: first.hint,
    position: first.position,
  });
}

/** A diagnostic as records keep it. */
export function diagnosticRecord(diagnostic: Diagnostic): ErrorRecord {
  const { code, message, hint, position } = diagnostic;
  return { code, kind: 'user', message, position, ...(hint === undefined ? {} : { hint }) };
}
