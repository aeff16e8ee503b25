/** A packaging thread: takes one task after another from its parent. */
import { parentPort } from 'node:worker_threads';
import { asPipelineError, type ErrorRecord, toErrorRecord } from '../../shared/errors.ts';
import { type MadePackage, type PackagingTask, packageOutput } from './package-output.ts';

export type PackagingAnswer =
  | { readonly packages: readonly MadePackage[] }
  | { readonly error: ErrorRecord; readonly stack: string };

parentPort?.on('message', (task: PackagingTask) => {
  packageOutput(task).then(
    (packages) => answer({ packages }),
    (thrown: unknown) => {
      const error = asPipelineError(thrown);
      answer({ error: toErrorRecord(error), stack: error.stack ?? '' });
    },
  );
});

function answer(message: PackagingAnswer): void {
  parentPort?.postMessage(message);
}
