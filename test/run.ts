/**
 * Runs the test suite with node's own runner and ends with the line `N passed, N failed`.
 * Arguments name files or folders (default: `test` without what needs large downloads); `--grep TEXT` filters by
 * name.
 */
import { glob, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** These start a whole cloud each and watch the clock, so they run one at a time and after all others. */
const ALONE = ['test/cloud', 'test/faults'];
/** Downloads whole toolchains: run only when it is asked for. */
const ON_REQUEST = join('test', 'pipelines', 'large');

const { values, positionals } = parseArgs({ allowPositionals: true, options: { grep: { type: 'string' } } });
const files =
  positionals.length > 0
    ? await testFiles(positionals)
    : (await testFiles(['test'])).filter((file) => !file.startsWith(join(root, ON_REQUEST) + sep));
if (files.length === 0) {
  console.error('no test files found');
  process.exit(2);
}

const started = performance.now();
const counts = { passed: 0, failed: 0, skipped: 0 };
const isAlone = (file: string): boolean => ALONE.some((folder) => file.startsWith(join(root, folder) + sep));
await runFiles(
  files.filter((file) => !isAlone(file)),
  availableParallelism(),
);
await runFiles(files.filter(isAlone), 1);
const seconds = ((performance.now() - started) / 1000).toFixed(0);
console.log(`ran ${files.length} files in ${seconds} s`);
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0);

async function runFiles(some: string[], concurrency: number): Promise<void> {
  if (some.length === 0) return;
  const stream = run({
    files: some,
    concurrency,
    timeout: 20 * 60_000,
    ...(values.grep === undefined ? {} : { testNamePatterns: [values.grep] }),
  });
  stream.on('test:pass', (event) => {
    if (event.details.type === 'suite') return;
    if (event.skip !== undefined && event.skip !== false) counts.skipped += 1;
    else counts.passed += 1;
  });
  stream.on('test:fail', (event) => {
    // A suite fails because a test in it failed, which is counted; unless its own hooks did.
    if (event.details.type === 'suite' && !(event.details.error.cause instanceof Error)) return;
    counts.failed += 1;
  });
  const ended = Promise.withResolvers<void>();
  const report = stream.compose(spec);
  report.pipe(process.stdout, { end: false });
  report.once('end', ended.resolve);
  report.once('error', ended.reject);
  await ended.promise;
}

async function testFiles(wanted: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const entry of wanted) {
    const path = join(root, entry);
    if ((await stat(path)).isFile()) {
      found.add(path);
      continue;
    }
    for await (const file of glob('**/*.test.ts', { cwd: path })) found.add(join(path, file));
  }
  return [...found].sort((a, b) => relative(root, a).localeCompare(relative(root, b)));
}
