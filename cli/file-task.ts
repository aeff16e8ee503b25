/** What is to be done with each file, and what came of one. Plain data, since threads exchange it. */
import type { Architecture, BuildPlan, LibcFlavor, SourceText } from '../shared/build-file/index.ts';

/** The same for all files of a run. */
export interface FileTask {
  readonly command: 'validate' | 'compile' | 'lock';
  readonly architectures: readonly Architecture[];
  /** Folders of local pipelines, looked in before `pipelines/` beside the build file. */
  readonly pipelineFolders: readonly string[];
  readonly buildOptions: readonly string[];
  readonly varsFile: SourceText | undefined;
  readonly environmentFiles: readonly SourceText[];
  readonly commit: string | undefined;
  readonly libcFlavor: LibcFlavor;
  readonly output: OutputFormat;
  /** How diagnostics are printed, where they are printed as text. */
  readonly style: Style;
}

export type OutputFormat = 'text' | 'json' | 'yaml' | 'apkindex';

export type Style = 'plain' | 'coloured';

export interface InputFile {
  /** Name for messages: the path as given, or `<stdin>`. */
  readonly name: string;
  /** Content that has been read already, from standard input. */
  readonly text?: string;
  /** A file named on the command line must be a build file; one found in a folder is passed over if it is none. */
  readonly origin: 'named' | 'found';
}

export interface FileResult {
  readonly file: string;
  /** `failed`: could not be read, so nothing is known about it. `ignored`: no build file. */
  readonly outcome: 'valid' | 'invalid' | 'failed' | 'ignored';
  /** For standard output: the documents of a compiled file, or the report on a validated one. Each ends its line. */
  readonly documents: readonly string[];
  /** What `lock` goes on with. */
  readonly plans: readonly BuildPlan[];
  /** For standard error; empty or whole lines. */
  readonly messages: string;
  readonly errors: number;
  readonly warnings: number;
}
