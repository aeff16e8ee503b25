/** A part that is one process with an HTTP answer. */
import { join } from 'node:path';
import { lifetime, startDaemon, untilReady } from './daemon.ts';
import type { Part } from './supervisor.ts';

export interface ProcessPartOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly logFolder: string;
  /** URL that answers, with whatever status, once the part is ready. */
  readonly readyUrl: string;
  /** How long it may take to get ready, and to end after SIGTERM. */
  readonly startLimitMs?: number;
  readonly stopGraceMs?: number;
}

export function processPart(options: ProcessPartOptions): Part {
  return {
    name: options.name,
    async start(signal) {
      const { name, command, args, env, cwd } = options;
      const logFile = join(options.logFolder, `${name}.log`);
      const daemon = await startDaemon({ name, command, args, env, cwd, logFile });
      const life = lifetime([daemon], () => daemon.stop(options.stopGraceMs ?? 10_000));
      try {
        await untilReady(daemon, () => answers(options.readyUrl), {
          limitMs: options.startLimitMs ?? 60_000,
          signal,
        });
      } catch (error) {
        await life.close();
        throw error;
      }
      return { ...life, pids: [daemon.pid] };
    },
  };
}

async function answers(url: string): Promise<true | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return true;
  } catch {
    // Not listening yet.
    return undefined;
  }
}
