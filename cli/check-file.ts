/** Parses a build file, compiles it for the wanted architectures, and checks its shell. */
import {
  type Architecture,
  type BuildPlan,
  checkShell,
  compileBuildFile,
  type Diagnostic,
  inOrder,
  type PipelineLookup,
  parseBuildFile,
  type ShellFragment,
  type SourceText,
} from '../shared/build-file/index.ts';
import type { FileTask } from './file-task.ts';

/** A build file whose shell is still to be checked. */
export interface CompiledFile {
  readonly source: SourceText;
  readonly diagnostics: readonly Diagnostic[];
  /** One for each architecture that compiled. */
  readonly plans: readonly BuildPlan[];
  readonly skipped: readonly { readonly arch: Architecture; readonly reason: string }[];
  readonly fragments: readonly ShellFragment[];
}

export interface CheckedFile extends Omit<CompiledFile, 'fragments'> {
  /** Those in the build file by their place, then those in other files. No problem is named twice. */
  readonly diagnostics: readonly Diagnostic[];
  readonly errors: number;
  readonly warnings: number;
}

/** Compiles one file; `lookup` finds its local pipelines. Throws only what the lookup throws. */
export function compileFile(source: SourceText, task: FileTask, lookup: PipelineLookup): CompiledFile {
  const { varsFile, environmentFiles, buildOptions, libcFlavor, commit } = task;
  const { buildFile, diagnostics } = parseBuildFile({ ...source, varsFile, environmentFiles });
  if (buildFile === undefined) return { source, diagnostics, plans: [], skipped: [], fragments: [] };
  const options = { lookup, buildOptions, libcFlavor, ...(commit === undefined ? {} : { commit }) };
  const results = task.architectures.map((arch) => ({
    arch,
    ...compileBuildFile(buildFile, { ...options, arch }),
  }));
  return {
    source,
    diagnostics: [...diagnostics, ...results.flatMap((one) => one.diagnostics)],
    plans: results.flatMap((one) => one.plan ?? []),
    skipped: results.flatMap(({ arch, skipped }) =>
      skipped === undefined ? [] : { arch, reason: skipped.reason },
    ),
    fragments: results.flatMap((one) => one.fragments),
  };
}

/** Checks the shell of some files together, which is quicker than one by one. */
export async function checkFiles(files: readonly CompiledFile[]): Promise<CheckedFile[]> {
  const shell = await checkShell(files.map((one) => one.fragments));
  return files.map((file, index) => {
    const diagnostics = inOrder(
      withoutRepetition([...file.diagnostics, ...(shell[index] ?? [])]),
      file.source.file,
    );
    const errors = diagnostics.filter((one) => one.severity === 'error').length;
    return { ...file, diagnostics, errors, warnings: diagnostics.length - errors };
  });
}

/** What is wrong for one architecture mostly is for another. */
function withoutRepetition(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const unique = new Map(diagnostics.map((one) => [JSON.stringify([one.position, one.message]), one]));
  return [...unique.values()];
}
