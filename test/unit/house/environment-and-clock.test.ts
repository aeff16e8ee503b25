import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE_FOLDERS, type SourceFile, sourceFiles, withoutComments } from './sources.ts';

const ENVIRONMENT = /\bprocess\s*\.\s*env\b|\benv\b[^;]*from 'node:process'/;
const CLOCK = /\bDate\.now\b|\bnew Date\(\s*\)|\bDate\(\s*\)|\bperformance\.now\b|\bprocess\.hrtime\b/;

test('the environment is read in files named config.ts only', async () => {
  const files = await sourceFiles(CODE_FOLDERS);
  const readers = files.filter((file) => !/(^|\/)config\.ts$/.test(file.path));
  assert.deepEqual(places(readers, ENVIRONMENT), []);
});

test('shared reads no environment', async () => {
  assert.deepEqual(places(await sourceFiles(['shared']), ENVIRONMENT), []);
});

test('shared reads no clock', async () => {
  assert.deepEqual(places(await sourceFiles(['shared']), CLOCK), []);
});

test('reading the environment and the clock is recognised', () => {
  for (const code of ["process.env['X']", "import { env } from 'node:process';"])
    assert.match(code, ENVIRONMENT);
  for (const code of ['Date.now()', 'new Date()', 'performance.now()']) assert.match(code, CLOCK);
  for (const code of ['new Date(nowMs)', 'Date.parse(text)', 'toDate()']) assert.doesNotMatch(code, CLOCK);
});

function places(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.filter((file) => pattern.test(withoutComments(file.text))).map((file) => file.path);
}
