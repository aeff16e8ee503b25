/** Runs the command as a process of its own. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));

/** The script that `npx carryall` runs. */
export const SCRIPT = fileURLToPath(new URL('../../../cli/carryall', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunSettings {
  readonly cwd?: string;
  readonly stdin?: string;
  readonly program?: string;
}

/** Starts the command; standard output and error are pipes. */
export function start(args: readonly string[], settings: RunSettings = {}): ChildProcessWithoutNullStreams {
  const { cwd, program } = settings;
  // The dashes keep Node from taking --env-file for itself.
  return program === undefined
    ? spawn(process.execPath, ['--', main, ...args], { cwd })
    : spawn(program, args, { cwd });
}

/** Runs the command to its end. */
export async function run(args: readonly string[], settings: RunSettings = {}): Promise<Finished> {
  const child = start(args, settings);
  child.stdin.end(settings.stdin ?? '');
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exitOf(child)]);
  return { code, stdout, stderr };
}

/** The exit code; null for a process that a signal ended. */
export async function exitOf(child: ChildProcessWithoutNullStreams): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  await once(child, 'exit');
  return child.exitCode;
}
