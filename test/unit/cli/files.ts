/** What the tests of the command line share: build files in a folder of their own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { FileTask } from '../../../cli/file-task.ts';

export interface TestFolder extends Disposable {
  readonly path: string;
  /** Writes a file, and gives its path. */
  write(name: string, text: string): string;
}

export function createTestFolder(): TestFolder {
  const path = mkdtempSync(join(tmpdir(), 'carryall-cli-'));
  return {
    path,
    write(name, text) {
      const file = join(path, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      return file;
    },
    [Symbol.dispose]() {
      rmSync(path, { recursive: true });
    },
  };
}

/** A build file with one step. */
export function buildFile(name: string, step: string): string {
  return `package:\n  name: ${name}\n  version: 1.2.3\npipeline:\n  - ${step}\n`;
}

export const validation: FileTask = {
  command: 'validate',
  architectures: ['x86_64', 'aarch64'],
  pipelineFolders: [],
  buildOptions: [],
  varsFile: undefined,
  environmentFiles: [],
  commit: undefined,
  libcFlavor: 'gnu',
  output: 'text',
  style: 'plain',
};
