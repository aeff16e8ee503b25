/** Finds and decodes the pipeline files that `uses` names. */
import type { BuildFile } from './build-file.ts';
import { builtinPipeline, builtinPipelineNames } from './builtin-pipelines.ts';
import { createReporter, type Diagnostic } from './diagnostic.ts';
import { createSource, type Text } from './place.ts';
import { type Step, stepShape } from './schema.ts';
import { type Node, parseSource, type SourceText } from './source.ts';

/** Finds local pipeline files. */
export interface PipelineLookup {
  /** Text of the file by the name that `uses` gives it, without `.yaml`; undefined where there is none. */
  (name: string): SourceText | undefined;
  /** All names it knows, to propose one for a name that it does not. */
  names?(): Iterable<string>;
}

export interface PipelineFile {
  readonly text: string;
  /** Undefined where the file has errors. */
  readonly step: Step | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/** Decoded files by the lookup they came from; an entry counts as long as the text is the same. */
const decoded = new WeakMap<PipelineLookup, Map<string, PipelineFile>>();

/** The pipeline file of that name, local ones shadowing built-in ones. The name must be well formed. */
export function loadPipeline(name: string, lookup: PipelineLookup): PipelineFile | undefined {
  const local = lookup(name);
  if (local !== undefined) return decodeOnce(name, local, lookup);
  const builtin = builtinPipeline(name);
  return builtin === undefined ? undefined : decodeOnce(name, builtin, builtinPipeline);
}

/** A name is a relative path that stays where it is. */
export function isPipelineName(name: string): boolean {
  return name !== '' && !name.startsWith('/') && !name.includes('..') && !/[\\\0]/.test(name);
}

function decodeOnce(name: string, source: SourceText, lookup: PipelineLookup): PipelineFile {
  let files = decoded.get(lookup);
  if (files === undefined) {
    files = new Map();
    decoded.set(lookup, files);
  }
  const known = files.get(name);
  if (known !== undefined && known.text === source.text) return known;
  const file = decodePipeline(source);
  files.set(name, file);
  return file;
}

/** Decodes a pipeline file; unknown keys are ignored, and an empty file does nothing. */
function decodePipeline(source: SourceText): PipelineFile {
  const reporter = createReporter();
  const root = parseSource(source, reporter) ?? emptyNode(source);
  const step = reporter.errors > 0 ? undefined : stepShape.decode(root, { reporter, unknownKeys: 'ignore' });
  const { diagnostics } = reporter;
  return { text: source.text, step: reporter.errors > 0 ? undefined : step, diagnostics };
}

function emptyNode({ file, text }: SourceText): Node {
  return { kind: 'scalar', source: createSource(file, text), start: 0, end: 0, value: '', plain: true };
}

export interface PipelineNames {
  /** Everything that is used, directly or by another pipeline, sorted. */
  readonly names: readonly string[];
  /** Those of them that neither the lookup nor the built-in pipelines have. */
  readonly unresolved: readonly string[];
}

/**
 * The pipelines a build file needs, for a caller that has to fetch local files first: fetch the local versions of
 * `names`, then ask again, until no new names appear.
 */
export function pipelineNames(buildFile: BuildFile, lookup: PipelineLookup): PipelineNames {
  const names = new Set<string>();
  const unresolved = new Set<string>();
  const pending = allSteps(buildFile);
  const follow = (steps: readonly Step[] | undefined): void => {
    for (const one of steps ?? []) pending.push(one);
  };
  for (let step = pending.pop(); step !== undefined; step = pending.pop()) {
    follow(step.pipeline);
    const name = usedPipeline(step)?.value;
    if (name === undefined || names.has(name)) continue;
    names.add(name);
    const file = isPipelineName(name) ? loadPipeline(name, lookup) : undefined;
    if (file === undefined) unresolved.add(name);
    else follow(file.step?.pipeline);
  }
  return { names: [...names].sort(), unresolved: [...unresolved].sort() };
}

/** The name in `uses`, unless the step brings its own pipeline (which is what a compiled build file looks like). */
export function usedPipeline(step: Step): Text | undefined {
  return step.uses === undefined || step.uses.value === '' || (step.pipeline?.length ?? 0) > 0
    ? undefined
    : step.uses;
}

/** The names a misspelled `uses` may have meant. */
export function knownPipelineNames(lookup: PipelineLookup): string[] {
  return [...new Set([...builtinPipelineNames(), ...(lookup.names?.() ?? [])])];
}

function allSteps({ document, subpackages }: BuildFile): Step[] {
  return [
    ...(document.pipeline ?? []),
    ...(document.test?.pipeline ?? []),
    ...subpackages.flatMap(({ section }) => [...(section.pipeline ?? []), ...(section.test?.pipeline ?? [])]),
  ];
}
