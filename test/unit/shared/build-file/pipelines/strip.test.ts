import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localRun, succeeds } from './local-run.ts';

test('strip visits native programs and libraries only', (context) => {
  const root = localRun(context);
  root.files({
    'melange-out/thing/a b': '',
    'melange-out/thing/foreign': '',
    'melange-out/thing/bare': '',
  });
  const listed = [
    'EM_X86_64 NONE ./a b',
    'EM_AARCH64 NONE ./foreign',
    'EM_X86_64 STANDALONE ./bare',
    'EM_X86_64 NONE ./gone',
  ];
  root.tool('scanelf', `printf '%s\\n' ${listed.map((line) => `'${line}'`).join(' ')}`);
  root.tool('strip', 'record "$@"');
  succeeds(root.run([{ uses: 'strip', with: { opts: '-g -p' } }]));
  assert.deepEqual(root.asked(), ['strip: -g -p ./a\\ b']);
});
