import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createPipelineFolders } from '../../../cli/pipeline-folders.ts';
import { createTestFolder } from './files.ts';

test('given folders come first, in their order, then pipelines/ beside the build file', () => {
  using folder = createTestFolder();
  folder.write('one/a.yaml', 'name: one a');
  folder.write('two/a.yaml', 'name: two a');
  folder.write('two/deep/b.yaml', 'name: two b');
  folder.write('specs/pipelines/a.yaml', 'name: beside a');
  folder.write('specs/pipelines/deep/b.yaml', 'name: beside b');
  const c = folder.write('specs/pipelines/c.yaml', 'name: beside c');
  const given = [join(folder.path, 'one'), join(folder.path, 'two')];
  const folders = createPipelineFolders(given);
  const lookup = folders.lookupFor(join(folder.path, 'specs/x.yaml'));
  assert.deepEqual(
    ['a', 'deep/b', 'c', 'd'].map((name) => lookup(name)?.text),
    ['name: one a', 'name: two b', 'name: beside c', undefined],
  );
  assert.equal(lookup('c')?.file, c);
  assert.equal(folders.textOf(c), 'name: beside c');
  assert.match(folders.textOf('built-in/fetch.yaml') ?? '', /^name: /);
  assert.equal(folders.textOf('built-in/nothing.yaml'), undefined);
});

test('a pipeline file is read once, and build files of one folder share the lookup that decodes it', () => {
  using folder = createTestFolder();
  folder.write('pipelines/a.yaml', 'name: first');
  const folders = createPipelineFolders([]);
  const lookup = folders.lookupFor(join(folder.path, 'x.yaml'));
  assert.equal(lookup('a')?.text, 'name: first');
  folder.write('pipelines/a.yaml', 'name: second');
  assert.equal(folders.lookupFor(join(folder.path, 'y.yaml')), lookup);
  assert.equal(lookup('a')?.text, 'name: first');
});

test('a folder of that name is no pipeline, a link to a file is one, a file that cannot be opened is an error', () => {
  using folder = createTestFolder();
  mkdirSync(join(folder.path, 'pipelines/folder.yaml'), { recursive: true });
  const target = folder.write('elsewhere.yaml', 'name: linked');
  symlinkSync(target, join(folder.path, 'pipelines/link.yaml'));
  symlinkSync('loop.yaml', join(folder.path, 'pipelines/loop.yaml'));
  const lookup = createPipelineFolders([]).lookupFor(join(folder.path, 'x.yaml'));
  assert.equal(lookup('folder'), undefined);
  assert.equal(lookup('link')?.text, 'name: linked');
  assert.throws(() => lookup('loop'), { code: 'ELOOP' });
});
