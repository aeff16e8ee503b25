/** Threads that hash, compress and sign, so that the main thread stays free for leases and health checks. */
import { Worker } from 'node:worker_threads';
import { PipelineError } from '../../shared/errors.ts';
import type { MadePackage, PackagingTask } from './package-output.ts';
import type { PackagingAnswer } from './packaging-thread.ts';

export interface PackagingPool extends AsyncDisposable {
  /** Makes the packages of one build; waits for a free thread. A cancelled task ends with its thread. */
  run(task: PackagingTask, signal: AbortSignal): Promise<readonly MadePackage[]>;
}

interface Waiting {
  readonly task: PackagingTask;
  readonly signal: AbortSignal;
  readonly resolve: (packages: readonly MadePackage[]) => void;
  readonly reject: (error: Error) => void;
}

/** Starts `threads` threads, which live until the pool is disposed. */
export function createPackagingPool(threads: number): PackagingPool {
  const idle: Worker[] = Array.from({ length: threads }, startThread);
  const all = new Set(idle);
  const waiting: Waiting[] = [];

  const next = (): void => {
    while (idle.length > 0 && waiting.length > 0) {
      const worker = idle.pop();
      const job = waiting.shift();
      if (worker !== undefined && job !== undefined) assign(worker, job);
    }
  };

  const assign = (worker: Worker, job: Waiting): void => {
    const settle = (): void => {
      job.signal.removeEventListener('abort', onAbort);
      worker.off('message', onMessage);
      worker.off('error', onError);
    };
    const replace = (): void => {
      settle();
      all.delete(worker);
      void worker.terminate();
      const fresh = startThread();
      all.add(fresh);
      idle.push(fresh);
      next();
    };
    const onAbort = (): void => {
      replace();
      job.reject(cancelled(job.signal));
    };
    const onMessage = (answer: PackagingAnswer): void => {
      settle();
      idle.push(worker);
      next();
      if ('packages' in answer) job.resolve(answer.packages);
      else job.reject(new PipelineError({ ...answer.error, cause: new Error(answer.stack) }));
    };
    const onError = (cause: unknown): void => {
      replace();
      const detail = cause instanceof Error ? cause.message : String(cause);
      job.reject(
        new PipelineError({
          code: 'internal',
          kind: 'bug',
          message: `a packaging thread died: ${detail}`,
          cause,
        }),
      );
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
    job.signal.addEventListener('abort', onAbort, { once: true });
    worker.postMessage(job.task);
  };

  return {
    async run(task, signal) {
      if (signal.aborted) throw cancelled(signal);
      const { promise, resolve, reject } = Promise.withResolvers<readonly MadePackage[]>();
      waiting.push({ task, signal, resolve, reject });
      next();
      return promise;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...all].map((worker) => worker.terminate()));
    },
  };
}

function startThread(): Worker {
  const worker = new Worker(new URL('./packaging-thread.ts', import.meta.url));
  worker.unref();
  return worker;
}

function cancelled(signal: AbortSignal): PipelineError {
  return new PipelineError({
    code: 'cancelled',
    kind: 'cancelled',
    message: 'packaging was cancelled',
    cause: signal.reason,
  });
}
