/** Work that several ask for at the same time and that is done once for all of them. */

/** Does the work of a key unless it is being done already. */
export interface SharedWork<T> {
  /**
   * @param work is given a signal of its own, which fires when everybody who waits has given up.
   * @param signal ends the waiting of this caller alone.
   */
  join(key: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T>;
}

interface Running<T> {
  readonly result: Promise<T>;
  readonly abandoned: AbortController;
  waiting: number;
}

export function createSharedWork<T>(): SharedWork<T> {
  const running = new Map<string, Running<T>>();

  const start = (key: string, work: (signal: AbortSignal) => Promise<T>): Running<T> => {
    const abandoned = new AbortController();
    const forget = (): void => {
      if (running.get(key) === started) running.delete(key);
    };
    const result = work(abandoned.signal).finally(forget);
    // Its failure is told to those who wait; when nobody does, to nobody.
    result.catch(() => undefined);
    const started: Running<T> = { result, abandoned, waiting: 0 };
    running.set(key, started);
    return started;
  };

  return {
    async join(key, work, signal) {
      signal.throwIfAborted();
      const joined = running.get(key) ?? start(key, work);
      joined.waiting += 1;
      try {
        return await unlessAborted(joined.result, signal);
      } finally {
        joined.waiting -= 1;
        if (joined.waiting === 0) {
          // Whoever comes now begins anew instead of sharing the end of this.
          if (running.get(key) === joined) running.delete(key);
          joined.abandoned.abort(new Error('nobody waits for this any more'));
        }
      }
    },
  };
}

/** What came first: the result, or the signal. The work goes on for others who wait for it. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
