/** The environment of the command: only how a terminal likes its output. */

/** True when the user wants no colours (https://no-color.org), or has a terminal without any. */
export function wantsNoColour(): boolean {
  return (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb';
}
