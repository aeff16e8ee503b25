/** The shell text that runs one step. */

/** `text` as one word of a POSIX shell. */
export function shellQuote(text: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export interface StepCommandOptions {
  /** Print each command before it runs. Default: only the step's own output. */
  readonly trace?: 'commands';
}

/**
 * What `/bin/sh -c` is given for a step: errexit and pipefail are on, the working directory is made when missing and
 * entered, and the trailing `exit 0` keeps a fragment that ends with a false `&&` list from failing the step.
 */
export function stepCommand(
  step: { readonly script: string; readonly workingDirectory: string },
  options: StepCommandOptions = {},
): string {
  const directory = shellQuote(step.workingDirectory);
  return [
    options.trace === 'commands' ? 'set -exo pipefail' : 'set -eo pipefail',
    `[ -d ${directory} ] || mkdir -p ${directory}`,
    `cd ${directory}`,
    step.script.endsWith('\n') ? step.script.slice(0, -1) : step.script,
    // A fragment may end with a backslash, which would join its last line with what follows.
    '',
    'exit 0',
    '',
  ].join('\n');
}
