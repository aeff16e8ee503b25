/** One writer at a time per key, in the order of the calls. */
export interface KeyedLock {
  /** Runs `work` once every earlier call with this key has settled. */
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

export function createKeyedLock(): KeyedLock {
  const tails = new Map<string, Promise<void>>();
  return {
    async run(key, work) {
      const before = tails.get(key);
      const { promise: mine, resolve: release } = Promise.withResolvers<void>();
      tails.set(key, mine);
      try {
        await before;
        return await work();
      } finally {
        if (tails.get(key) === mine) tails.delete(key);
        release();
      }
    },
  };
}
