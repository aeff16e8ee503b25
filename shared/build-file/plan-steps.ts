/** Compiled steps in the order they run. */
import { posix } from 'node:path';
import { type CompiledStep, WORKSPACE } from './compile-step.ts';
import { positionOf } from './place.ts';
import type { PlannedStep, RequiredFile } from './plan.ts';
import { sortedRecord } from './plan-environment.ts';

/** The fragments to run: a step's own before those of its children, steps with false conditions left out. */
export function planSteps(steps: readonly CompiledStep[]): PlannedStep[] {
  return steps.flatMap((step) => {
    if (!step.applies) return [];
    const children = planSteps(step.children);
    // A step without a fragment still makes the directory it names.
    const makesDirectory =
      step.setsWorkingDirectory &&
      !children.some((child) => child.workingDirectory === step.workingDirectory);
    return step.script === '' && !makesDirectory ? children : [planStep(step), ...children];
  });
}

function planStep(step: CompiledStep): PlannedStep {
  return {
    name: step.name,
    script: step.script,
    workingDirectory: step.workingDirectory,
    environment: sortedRecord([...step.environment].map(([name, { value }]) => [name, value] as const)),
    position: positionOf(step.place),
    origin: positionOf(step.origin),
  };
}

/**
 * Patches and series files that steps apply. Whether each is to be uploaded or comes out of the sources is not known
 * here: a step before may have made it.
 */
export function requiredFiles(steps: readonly CompiledStep[]): RequiredFile[] {
  return steps.flatMap((step) => {
    if (!step.applies) return [];
    if (step.uses !== 'patch') return requiredFiles(step.children);
    const series = step.inputs.get('inputs.series')?.trim() ?? '';
    const patches = (step.inputs.get('inputs.patches') ?? '').split(/\s+/).filter(Boolean);
    return (series === '' ? patches : [series]).flatMap((file) => {
      const path = posix.relative(WORKSPACE, posix.resolve(step.workingDirectory, file));
      return path === '' || path.startsWith('..') ? [] : [{ path, position: positionOf(step.origin) }];
    });
  });
}
