/** Diagnostics as a terminal, a pipe and a program want them. */
import { type Diagnostic, formatDiagnostic } from '../shared/build-file/index.ts';
import { type ErrorCode, formatPosition } from '../shared/errors.ts';
import type { Style } from './file-task.ts';

/** SGR parameters (ECMA-48, 8.3.117). */
const BOLD = 1;
const RED = 31;
const YELLOW = 33;
const CYAN = 36;

/** A line with more characters is not shown: it would fill the screen, and its mark be lost in it. */
const MAX_LINE = 300;

/** The diagnostic as text, its line underlined where the file's text is known. Ends its line. */
export function diagnosticText(diagnostic: Diagnostic, text: string | undefined, style: Style): string {
  const line = text?.split(/\r\n|\r|\n/)[diagnostic.position.line - 1] ?? '';
  const plain = visible(
    formatDiagnostic(diagnostic, line === '' || line.length > MAX_LINE ? undefined : text),
  );
  return `${style === 'plain' ? plain : colour(plain, diagnostic)}\n`;
}

/**
 * Shows control characters as their pictures (Unicode, block 2400), one for one, and marks those that turn the
 * direction of the text: what a stranger wrote into a build file must not steer the terminal.
 */
export function visible(text: string): string {
  return text.replace(/[^\P{Cc}\t\n]|\p{Bidi_Control}/gu, (one) => {
    const code = one.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : '\uFFFD';
  });
}

/** Paints the position bold, the mark red or yellow, and the word "hint". */
function colour(plain: string, { position, severity }: Diagnostic): string {
  const mark = severity === 'warning' ? YELLOW : RED;
  const place = visible(`${formatPosition(position)}:`);
  return `${paint(place, BOLD)}${plain.slice(place.length)}`
    .replace(/(?<=: )warning:/, (label) => paint(label, mark))
    .replace(/^([ \t]+)(\^+)$/m, (_, blanks: string, marks: string) => `${blanks}${paint(marks, mark)}`)
    .replace(/(?<=\n {2})hint:(?=[^\n]*$)/, (label) => paint(label, CYAN));
}

function paint(text: string, parameter: number): string {
  return `\u001B[${parameter}m${text}\u001B[0m`;
}

/** A diagnostic as `--output json` prints it. Every key is always there; what is not known is null. */
export interface DiagnosticJson {
  readonly code: ErrorCode;
  readonly severity: 'error' | 'warning';
  readonly message: string;
  readonly hint: string | null;
  readonly file: string;
  readonly line: number | null;
  readonly column: number | null;
  readonly length: number | null;
}

/** Keys in the documented order. */
export function diagnosticJson(diagnostic: Diagnostic): DiagnosticJson {
  const { code, severity, message, hint, position, length } = diagnostic;
  const { file, line, column } = position;
  return { code, severity, message, hint: hint ?? null, file, line, column, length: length ?? null };
}

/** For a file that could not be read: a diagnostic without a place. */
export function failureJson(file: string, message: string): DiagnosticJson {
  const nowhere = { line: null, column: null, length: null };
  return { code: 'source-missing', severity: 'error', message, hint: null, file, ...nowhere };
}
