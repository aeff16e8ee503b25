import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fails, localRun, succeeds } from './local-run.ts';

const PATCH_ONE = '--- a/hello.txt\n+++ b/hello.txt\n@@ -1 +1 @@\n-hello\n+hello world\n';
const PATCH_TWO = '--- hello.txt\n+++ hello.txt\n@@ -1 +1 @@\n-hello world\n+hello moon\n';

describe('patch', {
  skip: spawnSync('patch', ['--version']).status === 0 ? false : 'no patch on this machine',
}, () => {
  test('applies a list in order', (context) => {
    const root = localRun(context);
    root.files({
      'hello.txt': 'hello\n',
      'one.patch': PATCH_ONE,
      'p/two-2.0.patch': PATCH_TWO.replaceAll(' hello.txt', ' a/hello.txt'),
    });
    succeeds(root.run('[{uses: patch, with: {patches: "one.patch\\n  p/two-2.0.patch\\n"}}]'));
    assert.equal(root.read('hello.txt'), 'hello moon\n');
  });

  test('applies a series with remarks and empty lines, with another strip level and no fuzz', (context) => {
    const root = localRun(context);
    root.files({
      'hello.txt': 'hello world\n',
      'two.patch': PATCH_TWO,
      series: '# first\n\ntwo.patch',
    });
    succeeds(root.run('[{uses: patch, with: {series: series, strip-components: "0", fuzz: "0"}}]'));
    assert.equal(root.read('hello.txt'), 'hello moon\n');
  });

  test('refuses shell in names, numbers that are none, and having nothing to do', (context) => {
    const root = localRun(context);
    root.files({ 'evil-series': '$(touch injected)\n', empty: '# nothing\n', 'one.patch': PATCH_ONE });
    for (const evil of ["'", '`x`', '$(touch injected)', '${x}', ';x', '|x', '&x', '>x', '<x']) {
      fails(root.run(JSON.stringify([{ uses: 'patch', with: { series: evil } }])), /must not contain/);
    }
    fails(root.run('[{uses: patch, with: {series: evil-series}}]'), /must not contain/);
    fails(root.run('[{uses: patch, with: {patches: "a;b"}}]'), /must not contain/);
    fails(root.run('[{uses: patch, with: {series: absent}}]'), /does not exist/);
    fails(root.run('[{uses: patch, with: {series: empty}}]'), /names no patch/);
    fails(root.run('[{uses: patch}]'), /give patches or a series/);
    fails(root.run('[{uses: patch, with: {patches: one.patch, fuzz: many}}]'), /fuzz must be a whole number/);
    fails(
      root.run('[{uses: patch, with: {patches: one.patch, strip-components: "-1"}}]'),
      /strip-components must be/,
    );
    assert.equal(existsSync(join(root.folder, 'injected')), false);
  });

  test('stops at the first patch that does not apply', (context) => {
    const root = localRun(context);
    root.files({ 'hello.txt': 'bye\n', 'one.patch': PATCH_ONE, 'two.patch': PATCH_TWO });
    assert.notEqual(root.run('[{uses: patch, with: {patches: one.patch two.patch}}]').status, 0);
    assert.equal(root.read('hello.txt'), 'bye\n');
  });
});
