import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtinPipelineNames } from '../../../shared/build-file/index.ts';
import { readProjectFile, tableRows } from './sources.ts';

const rows = tableRows(await readProjectFile('docs/pipelines.md'));

test('docs/pipelines.md lists every built-in pipeline once, by name', () => {
  assert.deepEqual(
    rows.map((row) => row.name),
    builtinPipelineNames(),
  );
});

test('each pipeline is used by the test that is said to run it', async () => {
  for (const { name, cells } of rows) {
    const file = cells[1]?.replaceAll('`', '') ?? '';
    const text = await readProjectFile(file);
    assert.match(text, new RegExp(`\\b${name}\\b`), `${file} does not run ${name}`);
    assert.match(file, /^test\/pipelines\/(?:large\/)?[a-z0-9-]+\.test\.ts$/);
  }
});
