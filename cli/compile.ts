/** `carryall compile`: the compiled form of one file. */
import { type Architecture, type BuildPlan, compiledYaml } from '../shared/build-file/index.ts';
import type { CheckedFile } from './check-file.ts';
import { visible } from './diagnostic-output.ts';
import type { FileResult } from './file-task.ts';
import type { ReportOptions } from './validate.ts';

/** A line of `--output json`. */
export interface CompiledJson {
  readonly file: string;
  readonly arch: Architecture;
  readonly plan: BuildPlan;
}

/** A document for each architecture, for standard output; nothing of a file with errors. Diagnostics are messages. */
export function compiledDocuments(
  { source: { file }, errors, plans, skipped }: CheckedFile,
  { output, texts }: ReportOptions,
): Pick<FileResult, 'documents' | 'messages'> {
  const notices = skipped.map(({ reason }) => `${visible(`${file}: skipped: ${reason}`)}\n`);
  const messages = [...texts, ...notices].join('');
  if (errors > 0) return { documents: [], messages };
  const documents = plans.map((plan) => {
    if (output === 'yaml') return compiledYaml(plan);
    const line: CompiledJson = { file, arch: plan.arch, plan };
    return `${JSON.stringify(line)}\n`;
  });
  return { documents, messages };
}
