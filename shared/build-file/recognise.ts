/** Tells build files from the other YAML files of a bucket. */
import { createReporter } from './diagnostic.ts';
import { MAX_SOURCE_CHARACTERS } from './limits.ts';
import { parseSource } from './source.ts';

/**
 * True when the text has a top-level key `package`, however broken the rest: a broken build file deserves an error,
 * any other file silence. A text that is no YAML counts when a line begins with `package:`.
 */
export function isBuildFile(text: string): boolean {
  if (!text.includes('package')) return false;
  if (text.length <= MAX_SOURCE_CHARACTERS) {
    const reporter = createReporter();
    const root = parseSource({ file: '', text }, reporter);
    if (reporter.errors === 0) {
      return root?.kind === 'mapping' && root.entries.some((entry) => entry.key.value === 'package');
    }
  }
  return /^(?:package|"package"|'package')[ \t]*:/m.test(text.replace(/^\uFEFF/, ''));
}
