/** Keeps the parts of the local cloud alive: starts them in order, starts again what dies, stops them in reverse. */
import { asPipelineError } from '../../../shared/errors.ts';
import type { Lifetime } from './daemon.ts';
import type { PartLog } from './part-log.ts';

export interface Part {
  readonly name: string;
  readonly start: (signal: AbortSignal) => Promise<StartedPart>;
}

export interface StartedPart extends Lifetime {
  /** Process ids, the main one first; none where the part is not ours. */
  readonly pids: readonly number[];
}

export interface Supervised {
  readonly name: string;
  /** Process ids of the part as it runs now. */
  pids(): readonly number[];
  /** How often it had to be started again. */
  restarts(): number;
  close(): Promise<void>;
}

/** Pause before a part that died is started again; doubles with each death in a row, up to the second number. */
const RESTART_MS = [200, 10_000] as const;
/** A part that ran this long has not died in a row. */
const STEADY_MS = 10_000;

/**
 * Starts a part and keeps it running until closed.
 *
 * @throws what the first start throws; later failures are logged and tried again.
 */
export async function supervise(part: Part, log: PartLog, signal: AbortSignal): Promise<Supervised> {
  const stop = new AbortController();
  let current: StartedPart | undefined = await part.start(signal);
  let restarts = 0;

  const watch = async (): Promise<void> => {
    let pauseMs: number = RESTART_MS[0];
    while (!stop.signal.aborted) {
      const startedMs = performance.now();
      const death = await current?.ended;
      if (stop.signal.aborted) return;
      if (performance.now() - startedMs > STEADY_MS) pauseMs = RESTART_MS[0];
      log('a part died and is started again', { part: part.name, why: death?.message, pauseMs });
      restarts += 1;
      await current
        ?.close()
        .catch((error: unknown) => log('closing a dead part failed', { part: part.name, error }));
      current = undefined;
      await pause(pauseMs, stop.signal);
      pauseMs = Math.min(pauseMs * 2, RESTART_MS[1]);
      while (current === undefined && !stop.signal.aborted) {
        try {
          current = await part.start(stop.signal);
        } catch (thrown) {
          if (stop.signal.aborted) return;
          const why = asPipelineError(thrown).message;
          log('a part could not be started again', { part: part.name, why, pauseMs });
          await pause(pauseMs, stop.signal);
          pauseMs = Math.min(pauseMs * 2, RESTART_MS[1]);
        }
      }
    }
  };
  const watching = watch();

  return {
    name: part.name,
    pids: () => current?.pids ?? [],
    restarts: () => restarts,
    async close() {
      stop.abort();
      await current?.close();
      await watching;
      // A start that was under way when the part was told to stop may have come to its end.
      await current?.close();
    },
  };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const wake = (): void => resolve();
  signal.addEventListener('abort', wake, { once: true });
  await promise;
  clearTimeout(timer);
  signal.removeEventListener('abort', wake);
}
