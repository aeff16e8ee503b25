/** npm/install with Debian's Node.js and npm, from a registry of our own; pnpm, which Debian lacks, is a stand-in. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type BuildResult, skipReason, startToolchain, type Toolchain } from '../toolchain.ts';
import { type NpmRegistry, startNpmRegistry } from './npm-registry.ts';

const versionOnly = { 'index.js': 'module.exports = require("./package.json").version;\n' };
const PACKAGES = [
  {
    name: 'greet',
    version: '1.0.0',
    fields: {
      bin: { greet: 'bin/greet.js' },
      dependencies: { words: '^1.0.0', '@marks/end': '^1.0.0' },
    },
    files: {
      'bin/greet.js':
        '#!/usr/bin/env node\nconsole.log("words " + require("words") + " marks " + require("@marks/end"));\n',
    },
  },
  { name: 'words', version: '1.0.0', files: versionOnly },
  { name: 'words', version: '1.5.0', files: versionOnly },
  { name: '@marks/end', version: '1.0.0', files: versionOnly },
  { name: '@marks/end', version: '1.5.0', files: versionOnly },
  { name: '@marks/end', version: '2.0.0', fields: { bin: { end: 'index.js' } }, files: versionOnly },
];

/** Prints each call with where it runs, and leaves what pnpm would: a global project, or one with its programs. */
const PNPM = `#!/bin/sh
printf 'pnpm in %s home %s:' "$PWD" "$PNPM_HOME"
printf ' <%s>' "$@"
echo
case "$1 $2" in
  "install --global")
    mkdir -p "$4/5/node_modules"
    touch "$4/5/pnpm-lock.yaml" "$6/greet"
    ;;
  "install --store-dir")
    cat package.json
    ls -a
    mkdir -p node_modules/.bin node_modules/greet
    echo '#!/bin/sh' > node_modules/greet/greet.js
    ln -s ../greet/greet.js node_modules/.bin/greet
    touch pnpm-lock.yaml
    ;;
esac
`;

describe('npm', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  let registry: NpmRegistry;
  before(async () => {
    registry = await startNpmRegistry(PACKAGES);
    toolchain = await startToolchain({
      name: 'npm',
      debian: ['nodejs', 'npm'],
      own: [{ name: 'pnpm', programs: { 'usr/bin/pnpm': PNPM } }],
    });
  });
  after(async () => {
    await toolchain?.[Symbol.asyncDispose]();
    await registry?.[Symbol.asyncDispose]();
  });

  const install = (inputs: string, ...more: readonly string[]): string =>
    `package: {name: thing, version: 1.0.0, epoch: 0}
environment:
  contents: {packages: [busybox-static]}
  environment: {npm_config_registry: "${registry.url}"}
pipeline:
  - uses: npm/install
    with: {${inputs}}
${more.map((step) => `  - runs: |\n      ${step}\n`).join('')}`;

  test('a package is installed with its dependencies and a link to its program', async () => {
    const { files, log } = await toolchain.build(
      install('package: greet, version: 1.0.0', '"${{targets.destdir}}/usr/bin/greet"'),
    );
    assert.match(log, /^words 1\.5\.0 marks 1\.5\.0$/m);
    assert.equal(files.get('thing/usr/bin/greet')?.target, '../lib/node_modules/greet/bin/greet.js');
    assert.deepEqual(installed(files), [
      'greet',
      'greet/node_modules/@marks/end',
      'greet/node_modules/words',
    ]);
  });

  test('overrides hold dependencies to versions, and leave no trace of the project they need', async () => {
    const overrides = String.raw`overrides: "words@1.0.0,@marks/end@~1.0.0 # why: \"old\"\n# x@9\n"`;
    const { files, log } = await toolchain.build(
      install(
        `package: greet, version: 1.0.0, prefix: "\${{targets.contextdir}}/opt/a b", ${overrides}`,
        '"${{targets.destdir}}/opt/a b/bin/greet"',
      ),
    );
    assert.match(log, /^words 1\.0\.0 marks 1\.0\.0$/m);
    assert.deepEqual(
      [...files.keys()].filter((name) => !name.includes('/lib/node_modules/greet/')),
      ['thing/opt/a b/bin/greet', 'thing/opt/a b/lib/node_modules/.bin/greet'],
    );
  });

  test('a scoped package is installed by its name', async () => {
    const { log } = await toolchain.build(
      install(
        'package: "@marks/end", version: 2.0.0, overrides: words@1.0.0',
        'node -p "require(\'${{targets.destdir}}/usr/lib/node_modules/@marks/end\')"',
      ),
    );
    assert.match(log, /^2\.0\.0$/m);
  });

  test('an unknown version, a malformed override and another package manager end the step', async () => {
    const unknown = await toolchain.fail(install('package: greet, version: 9.0.0'));
    assert.match(unknown.log, /greet@9\.0\.0/);
    const malformed = await toolchain.fail(
      install('package: greet, version: 1.0.0, overrides: "words@1.0.0 @marks/end"'),
    );
    assert.match(malformed.log, /npm\/install: an override is written name@range/);
    const manager = await toolchain.fail(
      install('package: greet, version: 1.0.0, npm-package: busybox-static'),
    );
    assert.match(manager.log, /npm\/install: npm-package must be npm or pnpm, not 'busybox-static'/);
  });

  test('pnpm installs globally below the prefix', async () => {
    const { files, log } = await toolchain.build(
      install('package: greet, version: 1.0.0, npm-package: pnpm', 'ls -d "$HOME/.pnpm/store"'),
    );
    const out = '/home/build/melange-out/thing/usr/';
    assert.deepEqual(calls(log), [
      'pnpm in /home/build home /home/build/.pnpm: <setup> <--force>',
      `pnpm in /home/build home /home/build/.pnpm: <install> <--global> <--global-dir> <${out}/lib> ` +
        `<--global-bin-dir> <${out}/bin> <--store-dir> </home/build/.pnpm/store> <greet@1.0.0>`,
    ]);
    assert.deepEqual([...files.keys()].sort(), ['thing/usr/bin/greet', 'thing/usr/lib/5/pnpm-lock.yaml']);
  });

  test('pnpm with overrides installs again, in a project that replaces the global one', async () => {
    const { files, log } = await toolchain.build(
      install('package: greet, version: 1.0.0, npm-package: pnpm, overrides: "words@1.0.0 @marks/end@<2"'),
    );
    assert.equal(
      calls(log)[2],
      'pnpm in /home/build/melange-out/thing/usr/lib home /home/build/.pnpm: <install> <--store-dir> ' +
        '</home/build/.pnpm/store> <--config.node-linker=hoisted> <--config.prefer-symlinked-executables=true>',
    );
    const project = /^\{\n.*?^\}\n/ms.exec(log)?.[0] ?? assert.fail(log);
    assert.deepEqual(JSON.parse(project), {
      dependencies: { greet: '1.0.0' },
      overrides: { words: '1.0.0', '@marks/end': '<2' },
      pnpm: { overrides: { words: '1.0.0', '@marks/end': '<2' } },
    });
    assert.match(log, /^\}\n\.\n\.\.\npackage\.json\n<==/m);
    assert.deepEqual([...files.keys()].sort(), [
      'thing/usr/bin/greet',
      'thing/usr/lib/node_modules/.bin/greet',
      'thing/usr/lib/node_modules/greet/greet.js',
    ]);
    assert.equal(files.get('thing/usr/bin/greet')?.target, '../lib/node_modules/.bin/greet');
  });
});

/** Packages below `lib/node_modules`. */
function installed(files: BuildResult['files']): string[] {
  return [...files.keys()]
    .flatMap((name) => /\/lib\/node_modules\/(.*)\/package\.json$/.exec(name)?.[1] ?? [])
    .sort();
}

function calls(log: string): string[] {
  return log.match(/^pnpm in .*$/gm) ?? [];
}
