/** Processes files in this thread or in several, and gives the results in the order of the files. */
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { PipelineError } from '../shared/errors.ts';
import type { FileResult, FileTask, InputFile } from './file-task.ts';
import { createFileProcessor } from './process-files.ts';

/** Files that are worked on together: their shell is checked in one go. */
const BATCH = 16;

/** Batches for each thread that are under way or wait for their turn to be printed. */
const WINDOW = 4;

/**
 * One result after the other. Whoever takes them slowly slows the work down: no more than a window of files is ahead.
 * With one thread, or none, all is done here, between turns of the event loop.
 */
export async function* processInOrder(
  inputs: readonly InputFile[],
  task: FileTask,
  threads: number,
): AsyncGenerator<FileResult> {
  if (threads <= 1) {
    const processFiles = createFileProcessor(task);
    for (const batch of batches(inputs)) {
      yield* await processFiles(batch);
      await setImmediate();
    }
    return;
  }
  await using pool = createFilePool(task, threads);
  const ahead: Promise<readonly FileResult[]>[] = [];
  for (const batch of batches(inputs)) {
    ahead.push(pool.run(batch));
    const first = ahead.length < threads * WINDOW ? undefined : ahead.shift();
    if (first !== undefined) yield* await first;
  }
  for (const results of ahead) yield* await results;
}

function* batches(inputs: readonly InputFile[]): Generator<readonly InputFile[]> {
  for (let start = 0; start < inputs.length; start += BATCH) yield inputs.slice(start, start + BATCH);
}

interface FilePool extends AsyncDisposable {
  run(batch: readonly InputFile[]): Promise<readonly FileResult[]>;
}

interface Waiting extends PromiseWithResolvers<readonly FileResult[]> {
  readonly batch: readonly InputFile[];
}

function createFilePool(task: FileTask, threads: number): FilePool {
  const waiting: Waiting[] = [];
  const idle: Worker[] = [];
  const all: Worker[] = [];

  const assign = (worker: Worker): void => {
    const next = waiting.shift();
    if (next === undefined) {
      idle.push(worker);
      return;
    }
    const settle = (): void => {
      worker.off('message', onMessage);
      worker.off('error', onError);
    };
    const onMessage = (results: readonly FileResult[]): void => {
      settle();
      // First the thread gets its next files, then the results of these are looked at.
      assign(worker);
      next.resolve(results);
    };
    const onError = (cause: unknown): void => {
      settle();
      const detail = cause instanceof Error ? cause.message : String(cause);
      const message = `a thread died at ${next.batch[0]?.name} or a file after it: ${detail}`;
      next.reject(new PipelineError({ code: 'internal', kind: 'bug', message, cause }));
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.postMessage(next.batch);
  };

  return {
    run(batch) {
      const entry: Waiting = { batch, ...Promise.withResolvers<readonly FileResult[]>() };
      // It is awaited in its turn; until then a failure is nobody's, and must not end the process.
      entry.promise.catch(() => undefined);
      waiting.push(entry);
      const free = idle.pop();
      if (free !== undefined) {
        assign(free);
      } else if (all.length < threads) {
        const worker = new Worker(new URL('./file-worker.ts', import.meta.url), { workerData: task });
        all.push(worker);
        assign(worker);
      }
      return entry.promise;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(all.map((worker) => worker.terminate()));
    },
  };
}
