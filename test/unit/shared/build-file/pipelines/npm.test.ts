/** npm/install with stand-ins that print their arguments; with npm itself it is tested in test/pipelines/large. */
import assert from 'node:assert/strict';
import type { SpawnSyncReturns } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { localRun } from './local-run.ts';

/** Also prints the project it is called in, and makes what an installation leaves. */
const RECORDER = `printf '%s in %s:' "\${0##*/}" "$PWD"
printf ' <%s>' "$@"
echo
if [ -e package.json ]; then
  tr -d ' \\n' < package.json
  echo
  mkdir -p node_modules
  touch package-lock.json node_modules/.package-lock.json
fi
`;

test('a package is installed globally below the output directory', (context) => {
  const { output, result } = install(context, 'package: "@a/greet", version: 1.0.0');
  assert.equal(result.status, 0, result.stderr);
  assert.equal(
    result.stdout,
    `npm in /home/build: <install> <--global> <--prefix> <${OUT}/usr/> <@a/greet@1.0.0>\n`,
  );
  assert.deepEqual(readdirSync(join(output, 'usr')), ['bin', 'lib']);
});

test('overrides are read from lines with commas, blanks and remarks, and applied in a project', (context) => {
  const overrides = 'overrides: "a@1.0.0,b@^2 # c@3\\n\\n  @d/e@>=4\\n"';
  const { output, result } = install(
    context,
    `package: greet, version: 1.0.0, prefix: "${OUT}/x", ${overrides}`,
  );
  assert.equal(result.status, 0, result.stderr);
  const held = '{"a":"1.0.0","b":"^2","@d/e":">=4"}';
  assert.deepEqual(result.stdout.split('\n'), [
    `npm in /home/build: <install> <--global> <--prefix> <${OUT}/x> <greet@1.0.0>`,
    `npm in ${OUT}/x/lib: <install> <--install-strategy=shallow>`,
    `{"dependencies":{"greet":"1.0.0"},"overrides":${held},"pnpm":{"overrides":${held}}}`,
    '',
  ]);
  assert.deepEqual(readdirSync(join(output, 'x/lib'), { recursive: true }), ['node_modules']);
});

test('pnpm is set up in the home directory and given both directories of the prefix', (context) => {
  const { result } = install(context, 'package: greet, version: 1.0.0, npm-package: pnpm');
  assert.equal(result.status, 0, result.stderr);
  assert.deepEqual(result.stdout.split('\n'), [
    'pnpm in /home/build: <setup> <--force>',
    `pnpm in /home/build: <install> <--global> <--global-dir> <${OUT}/usr//lib> ` +
      `<--global-bin-dir> <${OUT}/usr//bin> <--store-dir> </home/build/.pnpm/store> <greet@1.0.0>`,
    '',
  ]);
});

test('another package manager and an override without a range are refused', (context) => {
  const manager = install(context, 'package: greet, version: 1.0.0, npm-package: yarn');
  assert.equal(manager.result.status, 1);
  assert.match(manager.result.stderr, /npm\/install: npm-package must be npm or pnpm, not 'yarn'/);
  const malformed = install(context, 'package: greet, version: 1.0.0, overrides: "a@1 @b/c"');
  assert.equal(malformed.result.status, 1);
  assert.match(malformed.result.stderr, /^@b\/c\nnpm\/install: an override is written name@range$/m);
});

const OUT = '/home/build/melange-out/thing';

/** Runs the step; the workspace is called as in a build in what is printed. */
function install(
  context: TestContext,
  inputs: string,
): { readonly output: string; readonly result: SpawnSyncReturns<string> } {
  const root = localRun(context);
  for (const name of ['npm', 'pnpm']) root.tool(name, RECORDER);
  // The step itself runs a few lines with node.
  root.tool('node', `exec '${process.execPath}' "$@"`);
  const result = root.run(`[{uses: npm/install, with: {${inputs}}}]`);
  const stdout = result.stdout.replaceAll(root.folder, '/home/build');
  return { output: join(root.folder, 'melange-out/thing'), result: { ...result, stdout } };
}
