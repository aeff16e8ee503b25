/** What R/build asks R; that it installs packages is tested in test/pipelines/large/r.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localRun, OUT, succeeds } from './local-run.ts';

test('R/build installs the source into the library of the output directory, which it makes', (context) => {
  const root = localRun(context);
  root.tool('R', 'record "$@"\ntouch "${3#--library=}/installed"');
  succeeds(root.run([{ uses: 'R/build', with: { package: 'wk', version: '1.0' } }]));
  succeeds(root.run([{ uses: 'R/build', with: { package: 'wk', version: '1.0', path: 'a b' } }]));
  const library = `/home/build/${OUT}/usr/lib/R/library`;
  assert.deepEqual(root.asked(), [
    `R: CMD INSTALL --library=${library} .`,
    `R: CMD INSTALL --library=${library} a\\ b`,
  ]);
  assert.deepEqual(root.list(OUT), ['usr/lib/R/library/installed']);
});
