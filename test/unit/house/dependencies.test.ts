import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { CODE_FOLDERS, importsOf, readProjectFile, sourceFiles } from './sources.ts';

const manifest = z.object({ dependencies: z.record(z.string(), z.string()) });
const { dependencies } = manifest.parse(JSON.parse(await readProjectFile('package.json')));
const imported = new Set((await sourceFiles(CODE_FOLDERS)).flatMap(importsOf).map(({ to }) => to));
const packages = [...imported].filter((name) => !name.endsWith('.ts') && !name.startsWith('node:'));

test('every dependency is imported by code that runs outside of tests', () => {
  assert.deepEqual(
    Object.keys(dependencies).filter((name) => !imported.has(name)),
    [],
  );
});

test('every package that such code imports is a dependency', () => {
  assert.deepEqual(
    packages.filter((name) => dependencies[name] === undefined),
    [],
  );
});
