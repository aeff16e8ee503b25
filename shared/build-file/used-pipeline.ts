/** The pipeline that a step uses. */
import { formatPosition } from '../errors.ts';
import type { Reporter } from './diagnostic.ts';
import {
  isPipelineName,
  knownPipelineNames,
  loadPipeline,
  type PipelineLookup,
  usedPipeline,
} from './pipeline-files.ts';
import { type Place, positionOf } from './place.ts';
import type { Step } from './schema.ts';
import { didYouMean } from './spelling.ts';

/** Where in a build file a step stands. */
export interface UseContext {
  /** The step of the build file; undefined for that step itself. */
  readonly origin: Place | undefined;
  /** Names of the pipelines in between. */
  readonly pipelines: readonly string[];
}

export interface UsedPipeline {
  readonly name: string;
  readonly step: Step;
}

/** The pipeline file of a step's `uses`; undefined without one, or where it cannot be used (reported). */
export function loadUsedPipeline(
  step: Step,
  parent: UseContext,
  context: { readonly lookup: PipelineLookup; readonly reporter: Reporter },
): UsedPipeline | undefined {
  const uses = usedPipeline(step);
  if (uses === undefined) return undefined;
  const name = uses.value;
  const report = (message: string, hint?: string): undefined => {
    const hints = [hint, noteFor(step.place, parent.origin ?? step.place)].filter((one) => one !== undefined);
    context.reporter.report(uses.place, {
      code: 'unknown-pipeline',
      message,
      hint: hints.length === 0 ? undefined : hints.join('; '),
    });
  };
  if (!isPipelineName(name)) return report(`"${name}" cannot be the name of a pipeline`);
  if (parent.pipelines.includes(name)) {
    return report(`pipelines use each other: ${[...parent.pipelines, name].join(' → ')}`);
  }
  const file = loadPipeline(name, context.lookup);
  if (file === undefined) {
    const hint = didYouMean(name, knownPipelineNames(context.lookup));
    return report(`there is no pipeline named "${name}"`, hint);
  }
  if (file.step === undefined) {
    const first = file.diagnostics[0];
    const where = first === undefined ? '' : ` (${formatPosition(first.position)}: ${first.message})`;
    return report(`the pipeline "${name}" has errors${where}`);
  }
  return { name, step: file.step };
}

/** A pipeline file is laid over the step that uses it: what the file has wins, mappings and needs are joined. */
export function mergePipelineFile(step: Step, file: Step): Step {
  return {
    ...file,
    name: step.name,
    uses: step.uses,
    if: file.if ?? step.if,
    runs: file.runs ?? step.runs,
    label: file.label ?? step.label,
    inputs: new Map([...(step.inputs ?? []), ...(file.inputs ?? [])]),
    assertions: file.assertions ?? step.assertions,
    workingDirectory: file.workingDirectory ?? step.workingDirectory,
    environment: new Map([...(step.environment ?? []), ...(file.environment ?? [])]),
    needs: {
      place: step.place,
      packages: [...(step.needs?.packages ?? []), ...(file.needs?.packages ?? [])],
    },
  };
}

/** Tells, for a problem inside a pipeline file, which step of the build file used it. */
export function noteFor(place: Place, origin: Place): string | undefined {
  return place.source === origin.source ? undefined : `used at ${formatPosition(positionOf(origin))}`;
}
