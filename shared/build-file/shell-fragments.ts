/** What of a compiled step has to be checked as shell. */
import type { Place, Text } from './place.ts';
import type { MappingNode } from './source.ts';

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
    const where = `it is the pipeline ${pipeline} that becomes no shell with this argument`;
    fragments.push({ script, kind: 'use', written: { value: '', place: suspect(origin) }, note: where });
  }
  return fragments;
}

/** The argument that holds shell, or the key `with`. */
function suspect(origin: Place & Partial<MappingNode>): Place {
  const given = origin.entries?.find((entry) => entry.key.value === 'with');
  const found =
    given?.value.kind === 'mapping'
      ? given.value.entries.find(({ value }) => value.kind === 'scalar' && hasShell(value.value))
      : undefined;
  return found?.key ?? given?.key ?? origin;
}

function hasShell(value: string): boolean {
  return /['"`$\\(){};&|<>]/.test(value);
}
