/** What of a compiled step has to be checked as shell. */
import type { Place, Text } from './place.ts';
import { keyPlace } from './struct.ts';

export interface ShellFragment {
  /** As it runs; for a template, with a word in place of each variable. */
  readonly script: string;
  /** `template`: as a pipeline file has it. `use`: with the values of one use. */
  readonly kind: 'template' | 'use';
  /** What problems are reported at. */
  readonly written: Text;
  /** Added to the hint. */
  readonly note: string | undefined;
}

export interface FragmentUse {
  readonly runs: Text;
  /** With its variables replaced. */
  readonly script: string;
  readonly inputs: ReadonlyMap<string, string>;
  /** The step of the build file it belongs to. */
  readonly origin: Place;
  readonly note: string | undefined;
  /** Name of the step around it. */
  readonly pipeline: string;
}

/**
 * The fragment of a step. One of a pipeline file is checked as a template, which needs to be done only once; arguments
 * that are plain words cannot break it, and with others it is checked as it runs, on behalf of the arguments.
 */
export function shellFragments({
  runs,
  script,
  inputs,
  origin,
  note,
  pipeline,
}: FragmentUse): ShellFragment[] {
  if (runs.place.source === origin.source) return [{ script, kind: 'use', written: runs, note }];
  const template = runs.value.replace(/\$\{\{[^{}]*\}\}/g, 'word');
  const fragments: ShellFragment[] = [{ script: template, kind: 'template', written: runs, note }];
  if (template !== script && [...inputs.values()].some(hasShell)) {
    const place = keyPlace({ place: origin }, 'with');
    const where = `with these arguments the pipeline ${pipeline} is no shell`;
    fragments.push({ script, kind: 'use', written: { value: '', place }, note: where });
  }
  return fragments;
}

function hasShell(value: string): boolean {
  return /['"`$\\(){};&|<>]/.test(value);
}
