/** The build-file language: parse, validate, compile. Other folders import from here. */
export { ARCHITECTURE_NAMES, type Architecture, type LibcFlavor, parseArchitecture } from './architecture.ts';
export type { BuildFile, Subpackage } from './build-file.ts';
export { builtinPipeline, builtinPipelineNames } from './builtin-pipelines.ts';
export { type CompileOptions, type CompileResult, compileBuildFile } from './compile.ts';
export { type Diagnostic, diagnosticsError, formatDiagnostic, inOrder } from './diagnostic.ts';
export { type ParseOptions, type ParseResult, parseBuildFile } from './parse.ts';
export { type PipelineLookup, type PipelineNames, pipelineNames } from './pipeline-files.ts';
export type * from './plan.ts';
export { isBuildFile } from './recognise.ts';
export { compiledYaml, type LockedEnvironment, melangeYaml } from './recorded-form.ts';
export { type StepCommandOptions, shellQuote, stepCommand } from './shell.ts';
export type { ShellFragment } from './shell-fragments.ts';
export { checkShell } from './shell-syntax.ts';
export type { SourceText } from './source.ts';
export { FILE_CAPABILITIES } from './validate.ts';
