/** The files that the arguments of a command mean. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compareBytes } from '../shared/apk/byte-order.ts';
import type { InputFile } from './file-task.ts';
import { isFolder } from './pipeline-folders.ts';
import { fileSystemReason, readStream } from './read-text.ts';

/** How standard input is called in messages. */
export const STDIN_NAME = '<stdin>';

/**
 * `-` is standard input, a folder stands for the `*.yaml` directly in it, in bytewise order; anything else is a file,
 * whether it is there or not. Nothing but standard input is read.
 */
export async function expandInputs(
  paths: readonly string[],
  stdin: AsyncIterable<Buffer>,
): Promise<InputFile[]> {
  const inputs: InputFile[] = [];
  for (const path of paths) {
    if (path === '-') inputs.push({ name: STDIN_NAME, text: await readStream(stdin), origin: 'named' });
    else if (isFolder(path)) inputs.push(...readFolder(path));
    else inputs.push({ name: path, origin: 'named' });
  }
  return inputs;
}

/** The build files of a folder; one that cannot be read goes on as a file, so that its turn says why. */
function readFolder(folder: string): InputFile[] {
  try {
    return filesOf(folder);
  } catch (thrown) {
    if (fileSystemReason(thrown) === undefined) throw thrown;
    return [{ name: folder, origin: 'named' }];
  }
}

function filesOf(folder: string): InputFile[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.name.endsWith('.yaml') && (entry.isFile() || entry.isSymbolicLink()))
    .map((entry) => ({ name: join(folder, entry.name), origin: 'found' }) as const)
    .sort((a, b) => compareBytes(a.name, b.name));
}
