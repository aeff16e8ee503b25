/** What a run does with its files, in this thread or in another. */
import { isBuildFile, type SourceText } from '../shared/build-file/index.ts';
import { type CheckedFile, type CompiledFile, checkFiles, compileFile } from './check-file.ts';
import { compiledDocuments, compiledPlans } from './compile.ts';
import { diagnosticText } from './diagnostic-output.ts';
import type { FileResult, FileTask, InputFile } from './file-task.ts';
import { createPipelineFolders } from './pipeline-folders.ts';
import { fileSystemReason, readText } from './read-text.ts';
import { failureReport, validationReport } from './validate.ts';

/** Gives a result for each of some files. What cannot be read is a result too. */
export type FileProcessor = (inputs: readonly InputFile[]) => Promise<FileResult[]>;

const IGNORED: FileResult = {
  file: '',
  outcome: 'ignored',
  documents: [],
  plans: [],
  messages: '',
  errors: 0,
  warnings: 0,
};

/** What is made of a checked file. */
const REPORTS = { validate: validationReport, compile: compiledDocuments, lock: compiledPlans } as const;

/** The processor for the files of a run. It keeps the pipelines that it has read. */
export function createFileProcessor(task: FileTask): FileProcessor {
  const folders = createPipelineFolders(task.pipelineFolders);

  const compile = (input: InputFile): CompiledFile | FileResult => {
    try {
      const source: SourceText = { file: input.name, text: input.text ?? readText(input.name) };
      // Most files that are none do not even have the word, and need not be parsed.
      if (input.origin === 'found' && !source.text.includes('package')) return IGNORED;
      const folder = input.text === undefined ? input.name : '';
      const compiled = compileFile(source, task, folders.lookupFor(folder));
      // Only a file with errors can be something else, and to find out means to parse it once more.
      const isDoubtful = input.origin === 'found' && compiled.diagnostics.length > 0;
      return isDoubtful && !isBuildFile(source.text) ? IGNORED : compiled;
    } catch (thrown) {
      return failure(input.name, thrown);
    }
  };

  const present = (checked: CheckedFile): FileResult => {
    const { source, errors, warnings, diagnostics } = checked;
    const texts = diagnostics.map((one) => {
      const given = [source, task.varsFile, ...task.environmentFiles];
      const { file } = one.position;
      const text = given.find((candidate) => candidate?.file === file)?.text ?? folders.textOf(file);
      return diagnosticText(one, text, task.style);
    });
    const outcome = errors > 0 ? 'invalid' : 'valid';
    const report = REPORTS[task.command](checked, { texts, output: task.output });
    return { file: source.file, plans: [], outcome, errors, warnings, ...report };
  };

  const failure = (name: string, thrown: unknown): FileResult => {
    const found = fileSystemReason(thrown);
    if (found !== undefined) {
      const path = found.path === '' || found.path === name ? '' : ` (${found.path})`;
      return failureReport(name, `cannot be read: ${found.reason}${path}`, task);
    }
    const detail = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    return failureReport(name, `an internal error, please report it: ${detail}`, task);
  };

  return async (inputs) => {
    const compiled = inputs.map(compile);
    const checked = await checkFiles(compiled.filter((one) => 'fragments' in one));
    const results = checked.values();
    return compiled.map((one) => {
      if (!('fragments' in one)) return one;
      const next = results.next();
      if (next.done === true) throw new Error('a file without a result');
      return present(next.value);
    });
  };
}
