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
  checked: CheckedFile,
  { output, texts }: ReportOptions,
): Pick<FileResult, 'documents' | 'messages'> {
  const { file } = checked.source;
  const { plans, messages } = compiledPlans(checked, { output, texts });
  const documents = plans.map((plan) => {
    if (output === 'yaml') return compiledYaml(plan);
    const line: CompiledJson = { file, arch: plan.arch, plan };
    return `${JSON.stringify(line)}\n`;
  });
  return { documents, messages };
}

/** The plans themselves, for who goes on with them; none of a file with errors. */
export function compiledPlans(
  { source: { file }, errors, plans, skipped }: CheckedFile,
  { texts }: ReportOptions,
): Pick<FileResult, 'documents' | 'messages' | 'plans'> {
  const notices = skipped.map(({ reason }) => `${visible(`${file}: skipped: ${reason}`)}\n`);
  return { documents: [], messages: [...texts, ...notices].join(''), plans: errors > 0 ? [] : plans };
}
