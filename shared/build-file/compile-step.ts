/** Compiles steps: loads what they use, replaces variables, evaluates conditions. */
import { posix } from 'node:path';
import { compileCondition } from './compile-condition.ts';
import type { Reporter } from './diagnostic.ts';
import { resolveInputs } from './inputs.ts';
import { EXPANDED_ENTRY_CHARACTERS, MAX_STEP_DEPTH, MAX_STEPS } from './limits.ts';
import type { PipelineLookup } from './pipeline-files.ts';
import type { Place, Text } from './place.ts';
import type { Step } from './schema.ts';
import type { TextMap } from './shape.ts';
import { type ShellFragment, shellFragment } from './shell-fragments.ts';
import { keyPlace } from './struct.ts';
import { loadUsedPipeline, mergePipelineFile, noteFor, type UseContext } from './used-pipeline.ts';
import { createScope, type ExpansionBudget, type Scope, substituteText } from './variables.ts';

export const WORKSPACE = '/home/build';

export interface CompileContext {
  readonly lookup: PipelineLookup;
  readonly reporter: Reporter;
  readonly budget: ExpansionBudget;
  /** Steps compiled so far, against `MAX_STEPS`. */
  steps: number;
  /** Gathered for `checkShell`. */
  readonly fragments: ShellFragment[];
}

/** What a step sees of its surroundings. */
export interface StepScope extends UseContext {
  /** Every variable but `inputs.*`. */
  readonly globals: Scope;
  /** Further variables that only conditions see: those that were replaced elsewhere at parse time. */
  readonly conditionOnly: Scope;
  readonly inputs: ReadonlyMap<string, string>;
  /** Absolute. */
  readonly workingDirectory: string;
  readonly environment: TextMap;
  /** False inside a step whose condition is false. */
  readonly applies: boolean;
  readonly name: string;
  /** Steps around this one. */
  readonly depth: number;
}

export interface CompiledStep {
  /** As it is recorded in packages. */
  readonly recorded: Step;
  /** Its condition and those around it are true. */
  readonly applies: boolean;
  readonly name: string;
  readonly uses: string;
  readonly inputs: ReadonlyMap<string, string>;
  readonly script: string;
  readonly workingDirectory: string;
  readonly setsWorkingDirectory: boolean;
  readonly environment: TextMap;
  readonly needs: readonly string[];
  /** Children that must run; 0 is any number. */
  readonly requiredSteps: number;
  readonly assertionsPlace: Place;
  readonly place: Place;
  readonly origin: Place;
  readonly children: readonly CompiledStep[];
}

/** Compiles a list of steps. Problems go to the reporter; a step with problems is compiled as far as possible. */
export function compileSteps(
  steps: readonly Step[] | undefined,
  scope: StepScope,
  context: CompileContext,
): CompiledStep[] {
  return (steps ?? []).flatMap((step) => {
    context.steps += 1;
    const tooMany = context.steps > MAX_STEPS || scope.depth > MAX_STEP_DEPTH;
    if (tooMany || context.budget.remaining < 0) {
      context.reporter.report(scope.origin ?? step.place, {
        code: 'build-file-too-large',
        message: 'the pipelines used make too many or too large steps',
      });
      return [];
    }
    return [compileStep(step, scope, context)];
  });
}

function compileStep(written: Step, parent: StepScope, context: CompileContext): CompiledStep {
  const origin = parent.origin ?? written.place;
  const used = loadUsedPipeline(written, parent, context);
  const step = used === undefined ? written : mergePipelineFile(written, used.step);
  const note = noteFor(step.place, origin);
  const { reporter, budget } = context;
  const arguments_ =
    used === undefined
      ? undefined
      : resolveInputs(written, step, {
          reporter,
          budget,
          globals: parent.globals,
          enclosing: parent.inputs,
          usedAt: keyPlace(written, 'uses'),
          note: noteFor(written.place, origin),
        });
  const inputs = arguments_?.inputs ?? parent.inputs;
  const variables = createScope(inputs, parent.globals);
  const replace = (text: Text): string => substituteText(text, { scope: variables, reporter, budget, note });

  const condition = compileCondition(step.if, createScope(inputs, parent.globals, parent.conditionOnly), {
    reporter,
    budget,
    note,
  });
  const applies = parent.applies && condition.holds;
  const ownDirectory = step.workingDirectory?.value === '' ? undefined : step.workingDirectory;
  const workingDirectory =
    ownDirectory === undefined ? parent.workingDirectory : posix.resolve(WORKSPACE, replace(ownDirectory));
  const environment: TextMap =
    step.environment === undefined
      ? parent.environment
      : new Map([...parent.environment, ...step.environment]);
  budget.remaining -= (environment.size + inputs.size) * EXPANDED_ENTRY_CHARACTERS;
  const name = written.name?.value || written.uses?.value || parent.name;
  const children = compileSteps(
    step.pipeline,
    {
      globals: parent.globals,
      conditionOnly: parent.conditionOnly,
      inputs,
      workingDirectory,
      environment,
      applies,
      name,
      depth: parent.depth + 1,
      origin,
      pipelines: used === undefined ? parent.pipelines : [...parent.pipelines, used.name],
    },
    context,
  );
  const errorsBefore = reporter.errors;
  const script = step.runs === undefined ? '' : replace(step.runs);
  // With a variable missing, what the shell would make of it helps nobody.
  if (step.runs !== undefined && reporter.errors === errorsBefore) {
    const use = { runs: step.runs, script, inputs, origin, note, pipeline: parent.name };
    context.fragments.push(shellFragment(use));
  }
  const needs = (step.needs?.packages ?? []).map(replace).filter((one) => one !== '');
  return {
    recorded: recordStep(step, {
      ...(condition.rendered === undefined ? {} : { condition: condition.rendered }),
      given: arguments_?.given,
      script,
      needs,
      workingDirectory: ownDirectory === undefined ? '' : workingDirectory,
      environment,
      children,
    }),
    applies,
    name,
    uses: written.uses?.value ?? '',
    inputs: used === undefined ? argumentsOf(written) : inputs,
    script,
    workingDirectory,
    setsWorkingDirectory: ownDirectory !== undefined,
    environment,
    needs,
    requiredSteps: step.assertions?.requiredSteps ?? 0,
    assertionsPlace: keyPlace(step, 'assertions'),
    place: step.runs === undefined ? step.place : keyPlace(step, 'runs'),
    origin,
    children,
  };
}

/**
 * Reports assertions that do not hold. Conditions are known now, so a step that would fail its assertion need not be
 * started. Only for packages that are built: what does not run cannot fail.
 */
export function checkAssertions(steps: readonly CompiledStep[], reporter: Reporter): void {
  for (const step of steps) {
    if (!step.applies) continue;
    checkAssertions(step.children, reporter);
    const running = step.children.filter((child) => child.applies).length;
    if (step.requiredSteps === 0 || step.requiredSteps === running) continue;
    reporter.report(step.assertionsPlace, {
      code: 'invalid-value',
      message: `${step.requiredSteps} of the steps below must run, but the conditions of ${running} are true`,
    });
  }
}

/** The arguments of a step that was compiled before: it brings the pipeline it uses. */
function argumentsOf(step: Step): ReadonlyMap<string, string> {
  return new Map([...(step.with ?? [])].map(([name, { value }]) => [`inputs.${name}`, value]));
}

interface Compiled {
  readonly condition?: string;
  /** Undefined for a step that brings its own pipeline. */
  readonly given: TextMap | undefined;
  readonly script: string;
  readonly needs: readonly string[];
  readonly workingDirectory: string;
  readonly environment: TextMap;
  readonly children: readonly CompiledStep[];
}

/** The step with everything replaced, which compiles again to the same. */
function recordStep(step: Step, compiled: Compiled): Step {
  const text = (value: string): Text => ({ value, place: step.place });
  // A pipeline file may run a fragment itself; a step that has both "uses" and "runs" would be refused.
  const uses = compiled.script === '' ? step.uses : undefined;
  return {
    ...step,
    name: step.name ?? (uses === undefined ? step.uses : undefined),
    uses,
    if: compiled.condition === undefined ? undefined : text(compiled.condition),
    with: uses === undefined ? undefined : (compiled.given ?? step.with),
    inputs: undefined,
    runs: text(compiled.script),
    needs: { place: step.place, packages: compiled.needs.map(text) },
    workingDirectory: text(compiled.workingDirectory),
    environment: compiled.environment,
    pipeline: compiled.children.map((child) => child.recorded),
  };
}

/** Packages that the steps whose conditions are true need. */
export function collectNeeds(steps: readonly CompiledStep[]): string[] {
  return steps
    .filter((step) => step.applies)
    .flatMap((step) => [...step.needs, ...collectNeeds(step.children)]);
}
