import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutIgnored } from '../../../../runner/planner/ignored-files.ts';
import { gatherInline } from '../../../../runner/planner/inputs.ts';

function remaining(patterns: string, ...paths: string[]): string[] {
  const files = ['.melangeignore', ...paths].map((path) => ({
    path,
    bytes: Buffer.from(path === '.melangeignore' ? patterns : ''),
  }));
  return withoutIgnored(files).map((file) => file.path);
}

test('files that .melangeignore matches stay out of the workspace', () => {
  assert.deepEqual(
    remaining(
      '# remark\n\n*.log\n/build/\n!keep.log\ndocs/**/draft-?.md\n',
      'a.log',
      'sub/b.log',
      'keep.log',
      'build/x',
      'sub/build/x',
      'docs/a/draft-1.md',
      'docs/a/final.md',
    ),
    ['.melangeignore', 'keep.log', 'sub/build/x', 'docs/a/final.md'],
  );
});

test('without that file everything goes in, and it may name itself', () => {
  assert.deepEqual(withoutIgnored([{ path: 'a.log', bytes: Buffer.from('*.log') }]).length, 1);
  assert.deepEqual(remaining('.melangeignore\n', 'a'), ['a']);
});

test('a path that is no plain relative one is left for others to judge', () => {
  assert.deepEqual(remaining('*\n', '../x', './y'), ['../x', './y']);
});

test('the source files of a request are filtered too', () => {
  const gathered = gatherInline({
    file: 'request.yaml',
    text: 'package: {name: a, version: 1}\n',
    pipelines: {},
    sourceFiles: { '.melangeignore': 'secret\n', secret: 'x', open: 'y' },
  });
  assert.deepEqual(
    gathered.source.map((file) => file.path),
    ['.melangeignore', 'open'],
  );
});
