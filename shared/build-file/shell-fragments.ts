/** What of a compiled step has to be checked as shell. */
import type { Place, Text } from './place.ts';
import type { MappingNode } from './source.ts';

export interface ShellFragment {
  /** As it runs. */
  readonly script: string;
  /**
   * As its pipeline file has it, with a word in place of each variable: if that is valid, so is what runs, whose
   * arguments are plain words.
   */
  readonly template?: string;
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
 * The fragment of a step. One of a pipeline file needs to be checked only once as a template where its arguments are
 * plain words; with others it is checked as it runs, on behalf of the arguments.
 */
export function shellFragment({ runs, script, inputs, origin, note, pipeline }: FragmentUse): ShellFragment {
  if (runs.place.source === origin.source) return { script, written: runs, note };
  if (![...inputs.values()].some(hasShell)) {
    return { script, template: runs.value.replace(/\$\{\{[^{}]*\}\}/g, 'word'), written: runs, note };
  }
  const where = `it is the pipeline ${pipeline} that becomes no shell with this argument`;
  return { script, written: { value: '', place: suspect(origin) }, note: where };
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
