/** A thread that processes files. Its data is the task; each message has some files, each answer their results. */
import { parentPort, workerData } from 'node:worker_threads';
import type { FileTask, InputFile } from './file-task.ts';
import { createFileProcessor } from './process-files.ts';

// The pool that starts the thread gives it its task.
const task: FileTask = workerData;
const processFiles = createFileProcessor(task);

parentPort?.on('message', (inputs: readonly InputFile[]) => void answer(inputs));

/** A failure is not caught: it ends the thread, and the pool hears of it. */
async function answer(inputs: readonly InputFile[]): Promise<void> {
  parentPort?.postMessage(await processFiles(inputs));
}
