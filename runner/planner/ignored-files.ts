/** `.melangeignore` of a source directory: files that do not go into the workspace. */
import ignore from 'ignore';
import type { SourceFile } from './inputs.ts';

const IGNORE_FILE = '.melangeignore';

/** The files that no pattern (syntax of gitignore(5)) of the directory's own `.melangeignore` matches. */
export function withoutIgnored(files: readonly SourceFile[]): readonly SourceFile[] {
  const patterns = files.find((file) => file.path === IGNORE_FILE);
  if (patterns === undefined) return files;
  const matcher = ignore().add(patterns.bytes.toString());
  return files.filter(({ path }) => !ignore.isPathValid(path) || !matcher.ignores(path));
}
