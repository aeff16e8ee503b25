/** Does the same for many documents, a few at a time, so that each call stays within its deadline. */

/** Calls under way at the same time. */
const WIDTH = 32;

/** Handles every item; the first failure ends it once the items under way are done, and is thrown. */
export async function inParallel<T>(items: readonly T[], handle: (item: T) => Promise<void>): Promise<void> {
  const open = items[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (const item of open) await handle(item);
  };
  const outcomes = await Promise.allSettled(Array.from({ length: Math.min(WIDTH, items.length) }, work));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
