/** Asks again and again until there is an answer. */
import { setTimeout as delay } from 'node:timers/promises';
import { PipelineError } from '../../../shared/errors.ts';

export interface WaitOptions {
  readonly intervalMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Gives the first answer of `ask` that is not undefined. What it throws ends the waiting.
 *
 * @throws PipelineError `cancelled` when the signal fires.
 */
export async function waitFor<T>(ask: () => Promise<T | undefined>, options: WaitOptions): Promise<T> {
  for (;;) {
    throwIfCancelled(options.signal);
    const answer = await ask();
    if (answer !== undefined) return answer;
    await delay(options.intervalMs);
  }
}

/** @throws PipelineError `cancelled` when the signal has fired. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new PipelineError({
    code: 'cancelled',
    kind: 'cancelled',
    message: 'the start of a local part was cancelled',
    cause: signal.reason,
  });
}
