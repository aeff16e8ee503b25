/** `carryall validate`: the report on one file. */
import type { CheckedFile } from './check-file.ts';
import { type DiagnosticJson, diagnosticJson, failureJson, visible } from './diagnostic-output.ts';
import type { FileResult, FileTask } from './file-task.ts';

export interface ReportOptions extends Pick<FileTask, 'output'> {
  /** The diagnostics as text. */
  readonly texts: readonly string[];
}

/** A line of `--output json`. */
export interface ValidationJson {
  readonly file: string;
  readonly valid: boolean;
  readonly diagnostics: readonly DiagnosticJson[];
}

/** The diagnostics, or one line of JSON, for standard output. */
export function validationReport(
  { source, errors, diagnostics }: CheckedFile,
  { output, texts }: ReportOptions,
): Pick<FileResult, 'documents' | 'messages'> {
  if (output !== 'json') return { documents: texts.length === 0 ? [] : [texts.join('')], messages: '' };
  const line: ValidationJson = {
    file: source.file,
    valid: errors === 0,
    diagnostics: diagnostics.map(diagnosticJson),
  };
  return { documents: [`${JSON.stringify(line)}\n`], messages: '' };
}

/** The result for a file that could not be read; reported where its diagnostics would be. */
export function failureReport(
  file: string,
  message: string,
  { command, output }: Pick<FileTask, 'command' | 'output'>,
): FileResult {
  const text = `${visible(`${file}: ${message}`)}\n`;
  const counts = { file, plans: [], outcome: 'failed', errors: 0, warnings: 0 } as const;
  if (command !== 'validate') return { ...counts, documents: [], messages: text };
  if (output !== 'json') return { ...counts, documents: [text], messages: '' };
  const line: ValidationJson = { file, valid: false, diagnostics: [failureJson(file, message)] };
  return { ...counts, documents: [`${JSON.stringify(line)}\n`], messages: '' };
}
