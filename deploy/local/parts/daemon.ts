/** A program that runs until it is told to stop, with its output in a log file. */
import { spawn } from 'node:child_process';
import { open, readFile, rename } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { PipelineError } from '../../../shared/errors.ts';
import { waitFor } from './wait-for.ts';

export interface DaemonOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** The log of the run before is kept beside it, with `.old` at the end. */
  readonly logFile: string;
}

export interface Daemon {
  readonly name: string;
  readonly pid: number;
  /** Settles when the process has ended: `exit code N` or `signal NAME`. */
  readonly ended: Promise<string>;
  /** SIGTERM, and SIGKILL after `graceMs`. */
  stop(graceMs: number): Promise<void>;
  /** The end of its log. */
  logTail(): Promise<string>;
}

/**
 * Starts the program in a session of its own, so that a Ctrl-C at the terminal reaches whoever started it, who then
 * stops the parts in order.
 *
 * @throws PipelineError `process-failed` where it cannot be started.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { name, logFile } = options;
  await rename(logFile, `${logFile}.old`).catch(() => undefined);
  const log = await open(logFile, 'w');
  const { promise: ended, resolve } = Promise.withResolvers<string>();
  const started = Promise.withResolvers<number>();
  try {
    const child = spawn(options.command, options.args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    child.once('spawn', () => started.resolve(child.pid ?? 0));
    child.once('error', (cause) => {
      started.reject(
        new PipelineError({
          code: 'process-failed',
          kind: 'infra',
          message: `${name} cannot be started: ${cause.message}`,
          cause,
        }),
      );
    });
    child.once('exit', (code, killedBy) => {
      resolve(killedBy === null ? `exit code ${code}` : `signal ${killedBy}`);
    });
    const pid = await started.promise;
    return {
      name,
      pid,
      ended,
      async stop(graceMs) {
        child.kill('SIGTERM');
        const patience = new AbortController();
        await Promise.race([
          ended,
          delay(graceMs, undefined, { signal: patience.signal }).catch(() => undefined),
        ]);
        patience.abort();
        child.kill('SIGKILL');
        await ended;
      },
      async logTail() {
        const text = await readFile(logFile, 'utf8').catch(() => '');
        return text.trimEnd().split('\n').slice(-15).join('\n').slice(-3000);
      },
    };
  } finally {
    await log.close();
  }
}

/** A part that has started. */
export interface Lifetime {
  /** Settles when the part is gone: undefined after `close()`, an error when a program of it ended by itself. */
  readonly ended: Promise<PipelineError | undefined>;
  /** Stops the part and removes what it leaves. To be called also after `ended`; then another start may follow. */
  readonly close: () => Promise<void>;
}

/** The lifetime of a part made of `daemons`; `stop` runs once, however often `close()` is called. */
export function lifetime(daemons: readonly Daemon[], stop: () => Promise<void>): Lifetime {
  const closed = Promise.withResolvers<undefined>();
  let closing: Promise<void> | undefined;
  return {
    ended: Promise.race([closed.promise, ...daemons.map(deathOf)]),
    close() {
      closed.resolve(undefined);
      closing ??= stop();
      return closing;
    },
  };
}

export interface ReadyOptions {
  readonly limitMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Waits for the first answer of `probe` that is not undefined.
 *
 * @throws PipelineError `prerequisite-missing`, with the end of its log, where the daemon ends first or takes longer
 *   than `limitMs`; `cancelled` when the signal fires.
 */
export async function untilReady<T>(
  daemon: Daemon,
  probe: () => Promise<T | undefined>,
  options: ReadyOptions,
): Promise<T> {
  let ending: string | undefined;
  void daemon.ended.then((how) => {
    ending = how;
  });
  const deadline = performance.now() + options.limitMs;
  return waitFor(
    async () => {
      const answer = await probe();
      if (answer !== undefined && ending === undefined) return answer;
      if (ending === undefined && performance.now() < deadline) return undefined;
      const what = ending === undefined ? 'does not answer' : `ended with ${ending}`;
      throw new PipelineError({
        code: 'prerequisite-missing',
        kind: 'infra',
        message: `${daemon.name} ${what} at its start; the end of its log:\n${await daemon.logTail()}`,
        hint: 'the log tells what the machine lacks; where it names damaged data, remove that folder: it holds caches only',
      });
    },
    { intervalMs: 20, ...(options.signal ? { signal: options.signal } : {}) },
  );
}

async function deathOf(daemon: Daemon): Promise<PipelineError> {
  const how = await daemon.ended;
  return new PipelineError({
    code: 'process-failed',
    kind: 'infra',
    message: `${daemon.name} ended with ${how}; the end of its log:\n${await daemon.logTail()}`,
  });
}
