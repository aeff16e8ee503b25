/** Runs a program to its end, for the short commands that prepare the local parts. */
import { spawn } from 'node:child_process';
import { PipelineError } from '../../../shared/errors.ts';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
  /** Bytes for the program's standard input; default none. */
  readonly input?: string | Uint8Array;
  /** Called with each chunk of both outputs, for a log. */
  readonly onOutput?: (chunk: Buffer) => void;
}

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `command` with `args` and gives what it printed.
 *
 * @throws PipelineError `prerequisite-missing` where there is no such program, `process-failed` where it ends with
 *   another code than 0 (the message holds the end of its error output), `cancelled` when the signal fires.
 */
export async function runProcess(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { promise, resolve, reject } = Promise.withResolvers<RunResult>();
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env,
    signal: options.signal,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout.push(chunk);
    options.onOutput?.(chunk);
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr.push(chunk);
    options.onOutput?.(chunk);
  });
  child.once('error', (cause: NodeJS.ErrnoException) => {
    if (cause.name === 'AbortError') {
      reject(
        new PipelineError({
          code: 'cancelled',
          kind: 'cancelled',
          message: `${command} was cancelled`,
          cause,
        }),
      );
    } else if (cause.code === 'ENOENT') {
      reject(
        new PipelineError({
          code: 'prerequisite-missing',
          kind: 'infra',
          message: `the program ${command} is not on this machine`,
          cause,
        }),
      );
    } else {
      reject(
        new PipelineError({
          code: 'process-failed',
          kind: 'infra',
          message: `${command}: ${cause.message}`,
          cause,
        }),
      );
    }
  });
  child.once('close', (code, killedBy) => {
    const result = { stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
    if (code === 0) {
      resolve(result);
      return;
    }
    const ending = killedBy === null ? `exit code ${code}` : `signal ${killedBy}`;
    reject(
      new PipelineError({
        code: 'process-failed',
        kind: 'infra',
        message: `${command} ${args.slice(0, 6).join(' ')} ended with ${ending}: ${result.stderr.trim().slice(-2000)}`,
      }),
    );
  });
  if (options.input !== undefined && child.stdin !== null) {
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input);
  }
  return promise;
}
