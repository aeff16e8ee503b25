/**
 * Several steps in one exec. An exec costs 50 to 100 ms, more than most steps of subpackages; the marks that the
 * script prints keep the steps' names, logs and timings apart.
 */
import { shellQuote, stepCommand } from '../../shared/build-file/shell.ts';

export interface FusedStep {
  readonly script: string;
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string>>;
}

export type FusedEvent =
  | { readonly type: 'start'; readonly step: number }
  | { readonly type: 'end'; readonly step: number; readonly exitCode: number }
  /** Output of the step that runs, or of none. */
  | { readonly type: 'output'; readonly bytes: Buffer };

/** ASCII's record separator begins a mark; it has no place in a build log. */
const MARK = '\x1e';

/** A script that runs each step in a shell of its own and ends with the exit code of the first that fails. */
export function fusedScript(steps: readonly FusedStep[], trace: boolean): string {
  const lines = steps.flatMap((step, index) => {
    const environment = Object.entries(step.environment).map(([key, value]) => shellQuote(`${key}=${value}`));
    const prefix = environment.length === 0 ? '' : `env ${environment.join(' ')} `;
    const command = stepCommand(step, trace ? { trace: 'commands' } : {});
    return [
      `printf '\\036step %s start\\n' ${index}`,
      'code=0',
      `${prefix}/bin/sh -c ${shellQuote(command)} || code=$?`,
      `printf '\\036step %s end %s\\n' ${index} "$code"`,
      '[ "$code" = 0 ] || exit "$code"',
    ];
  });
  return lines.join('\n');
}

/** Splits the standard output of such a script into its steps. Keeps at most one unfinished mark. */
export function createFusedReader(emit: (event: FusedEvent) => void): (bytes: Buffer) => void {
  let rest: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  return (bytes) => {
    let buffer = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    for (;;) {
      const first = buffer.indexOf(MARK);
      const end = first === -1 ? -1 : buffer.indexOf('\n', first);
      if (end === -1) {
        const plain = first === -1 ? buffer : buffer.subarray(0, first);
        if (plain.length > 0) emit({ type: 'output', bytes: plain });
        rest = first === -1 ? Buffer.alloc(0) : Buffer.from(buffer.subarray(first));
        return;
      }
      // A step may print the separator itself: the mark is what follows the last one of the line.
      const start = buffer.lastIndexOf(MARK, end);
      if (start > 0) emit({ type: 'output', bytes: buffer.subarray(0, start) });
      const mark = parseMark(buffer.subarray(start + 1, end).toString());
      if (mark === undefined) emit({ type: 'output', bytes: buffer.subarray(start, end + 1) });
      else emit(mark);
      buffer = buffer.subarray(end + 1);
    }
  };
}

function parseMark(text: string): FusedEvent | undefined {
  const match = /^step (\d+) (?:start|end (\d+))$/.exec(text);
  if (match === null) return undefined;
  const step = Number(match[1]);
  return match[2] === undefined ? { type: 'start', step } : { type: 'end', step, exitCode: Number(match[2]) };
}
