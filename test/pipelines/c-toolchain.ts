/** What the tests of C builds and those of stripping and splitting share: one repository, and readers of results. */
import assert from 'node:assert/strict';
import type { BuildResult, ToolchainOptions } from './toolchain.ts';

/** A C compiler with three build systems. */
export const C_TOOLCHAIN: ToolchainOptions = {
  name: 'c',
  debian: [
    ...['autoconf', 'automake', 'binutils', 'cmake', 'findutils', 'gcc', 'grep', 'libc6-dev', 'libtool'],
    ...['make', 'meson', 'ninja-build', 'pax-utils', 'sed', 'tar'],
  ],
  own: [{ name: 'ninja', depends: ['ninja-build'] }],
};

/** The links of a result and their targets. */
export function links(files: BuildResult['files']): Record<string, string> {
  return Object.fromEntries(
    [...files].flatMap(([path, file]) => (file.type === 'symlink' ? [[path, file.target]] : [])),
  );
}

/** The bytes of a file, one character each. */
export function bytesOf(files: BuildResult['files'], path: string): string {
  return files.get(path)?.content.toString('latin1') ?? assert.fail(`no ${path}`);
}
