/** Fragments, commands and patches, run for real: lines of the section pkg/build. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  checkShell,
  compileBuildFile,
  formatDiagnostic,
  shellQuote,
  stepCommand,
} from '../../../../../shared/build-file/index.ts';
import { compiled, noPipelines, parsed, scripts, withPackage } from '../language.ts';
import { fails, succeeds, type Workspace, workspace } from '../workspace.ts';
import { conforms } from './lines.ts';

const fragments: readonly (readonly [string, string, string])[] = [
  ['nothing', '', ''],
  ['blank lines', '\n\n', ''],
  ['only a comment', '# nothing here', ''],
  ['only a shebang', '#!/bin/sh', ''],
  ['a shebang, a comment and a command', '#!/usr/bin/env python3\n# say it\necho said\n', 'said\n'],
  ['a comment behind a command', 'echo one # two', 'one\n'],
  ['a hash that is no comment', 'echo a#b \'#c\' "#d" ${X:-#e}', 'a#b #c #d #e\n'],
  ['a hash in a here-document', 'cat <<END\n# kept\nEND', '# kept\n'],
  ['a comment that ends the fragment without a line end', 'echo x\n# end', 'x\n'],
  ['a comment between continued lines', 'echo a \\\n  b\n# c\necho d', 'a b\nd\n'],
];

conforms(
  '† (both) comment stripping table (empty, only comment, shebang, mixed) and syntax error message with position and caret.',
  [
    ...fragments.map(([name, fragment, output]) => ({
      name: `ours: ${name} is kept as written, and does what it does without comments`,
      check: (context: TestContext) => {
        const plan = compiled(withPackage(`pipeline: ${JSON.stringify([{ runs: fragment }])}\n`));
        assert.deepEqual(scripts(plan), fragment === '' ? [] : [fragment]);
        const result = workspace(context).build(plan);
        succeeds(result);
        assert.equal(result.stdout, output);
      },
    })),
    ...(
      [
        ['a quote that is not closed', 'echo one\necho "two\n', 7, 'echo "two', 5],
        ['a word out of place', 'echo one\ndone\n', 7, 'done', 0],
        ['a list that is not closed', 'if true; then\n  echo one\n', 6, 'if true; then', 0],
        ['a parenthesis out of place', 'echo one\necho two )\n', 7, 'echo two )', 9],
      ] as const
    ).map(([name, fragment, line, written, before]) => ({
      name: `${name} is an error with its position and a caret below it`,
      check: async () => {
        const text = withPackage(`pipeline:\n  - runs: |\n${fragment.replaceAll(/^(?=.)/gm, '      ')}`);
        const { fragments } = compileBuildFile(parsed(text), { arch: 'x86_64', lookup: noPipelines });
        const [[problem, ...others] = []] = await checkShell([fragments]);
        assert.ok(problem);
        assert.deepEqual([problem.code, problem.position.line, others], ['shell-syntax', line, []]);
        const [, source, marker] = formatDiagnostic(problem, text).split('\n');
        assert.equal(source, `        ${written}`);
        assert.match(marker ?? '', new RegExp(`^ {${8 + before}}\\^+$`));
      },
    })),
  ],
);

const hello = '--- a/hello.txt\n+++ b/hello.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n';
const deep = '--- x/y/z/hello.txt\n+++ x/y/z/hello.txt\n@@ -1,3 +1,3 @@\n one\n-TWO\n+2\n three\n';
const distant = '--- a/hello.txt\n+++ b/hello.txt\n@@ -1,3 +1,3 @@\n uno\n-two\n+TWO\n three\n';

interface Patching {
  readonly name: string;
  readonly with: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  /** The text of hello.txt afterwards, or what the step says when it fails. */
  readonly gives: string | RegExp;
}

const patched = 'one\nTWO\nthree\n';
const patchFiles = { 'hello.txt': 'one\ntwo\nthree\n', 'one.patch': hello };

const patching: readonly Patching[] = [
  { name: 'patches', with: { patches: 'one.patch' }, gives: patched },
  {
    name: 'patches on several lines, in order',
    with: { patches: '\n  one.patch\n\tdir/deep.patch \n' },
    files: { 'dir/deep.patch': deep.replaceAll('x/y/z', 'a') },
    gives: 'one\n2\nthree\n',
  },
  { name: 'a series', with: { series: 'series' }, files: { series: 'one.patch\n' }, gives: patched },
  {
    name: 'a series with remarks and empty lines, without a line end',
    with: { series: ' series\n' },
    files: { series: '# first\n\none.patch' },
    gives: patched,
  },
  {
    name: 'a series, which wins over patches',
    with: { series: 'series', patches: 'absent.patch' },
    files: { series: 'one.patch\n' },
    gives: patched,
  },
  {
    name: 'ordinary names with dots, dashes and digits',
    with: { patches: 'CVE-2026-0001_v1.2+x~y.patch' },
    files: { 'CVE-2026-0001_v1.2+x~y.patch': hello },
    gives: patched,
  },
  {
    name: 'a strip level too small for one of the patches',
    with: { patches: 'one.patch deep.patch', 'strip-components': '1' },
    files: { 'deep.patch': deep },
    gives: /can't find file|FAILED|No file to patch/i,
  },
  {
    name: 'a large strip level',
    with: { patches: 'deep.patch', 'strip-components': '3' },
    files: { 'hello.txt': 'one\nTWO\nthree\n', 'deep.patch': deep },
    gives: 'one\n2\nthree\n',
  },
  {
    name: 'a very large strip level, which leaves the name of the file',
    with: { patches: 'deep.patch', 'strip-components': '99' },
    files: { 'hello.txt': 'one\nTWO\nthree\n', 'deep.patch': deep },
    gives: /can't find file|No file to patch/i,
  },
  { name: 'no fuzz where all fits', with: { patches: 'one.patch', fuzz: '0' }, gives: patched },
  {
    name: 'no fuzz where a line differs',
    with: { patches: 'one.patch', fuzz: '0' },
    files: { 'one.patch': distant },
    gives: /./,
  },
  {
    name: 'the fuzz of the default, two lines',
    with: { patches: 'one.patch' },
    files: { 'one.patch': distant },
    gives: patched,
  },
  { name: 'neither patches nor series', with: {}, gives: /give patches or a series/ },
  { name: 'a series that is not there', with: { series: 'absent' }, gives: /absent does not exist/ },
  {
    name: 'a series without a patch',
    with: { series: 's' },
    files: { s: '# none\n' },
    gives: /names no patch/,
  },
  { name: 'a patch that is not there', with: { patches: 'absent.patch' }, gives: /absent\.patch/ },
  ...[
    "a'b",
    '$(touch injected)',
    '`touch injected`',
    'a;touch injected',
    'a|touch injected',
    'a&touch injected',
    '${HOME}',
    'a>injected',
    'a<b',
    "'; touch injected; '",
  ].flatMap((evil) => [
    { name: `the series ${evil}`, with: { series: evil }, gives: /must not contain/ },
    {
      name: `a series that names ${evil}`,
      with: { series: 'series' },
      files: { series: `one.patch\n${evil}\n` },
      gives: /must not contain/,
    },
  ]),
  ...['many', '1.5', '0x1', '1 2', '-1', '$(touch injected)', '1;touch injected'].flatMap((wrong) =>
    ['fuzz', 'strip-components'].map((input) => ({
      name: `${input} ${wrong}`,
      with: { patches: 'one.patch', [input]: wrong },
      gives: new RegExp(`${input} must be a whole number`),
    })),
  ),
];

function applyPatches(one: Patching, context: TestContext): Workspace {
  const root = workspace(context);
  root.files({ ...patchFiles, ...one.files });
  const plan = compiled(withPackage(`pipeline: ${JSON.stringify([{ uses: 'patch', with: one.with }])}\n`));
  const result = root.build(plan);
  if (typeof one.gives === 'string') {
    succeeds(result);
    assert.equal(root.read('hello.txt'), one.gives);
  } else {
    fails({ ...result, stderr: result.stdout + result.stderr }, one.gives);
  }
  return root;
}

conforms(
  '† U patch pipeline: compiles with patches / series / defaults; rejects quotes, command substitution, backquotes, semicolons, pipes, expansions in series; non-numeric fuzz or strip; negative strip; end-to-end application; names inside a series validated; POSIX shell compatibility; ordinary names, dots, dashes, large strip and zero fuzz accepted.',
  [
    ...patching.map((one) => ({
      name: typeof one.gives === 'string' ? `${one.name}: is applied` : `${one.name}: is refused`,
      check: (context: TestContext) => {
        if (spawnSync('patch', ['--version']).status !== 0) {
          context.skip('no patch on this machine');
          return;
        }
        const root = applyPatches(one, context);
        assert.equal(existsSync(join(root.folder, 'injected')), false);
        assert.equal(existsSync(join(process.cwd(), 'injected')), false);
      },
    })),
    ...(
      [
        ['patches', { patches: 'a.patch' }],
        ['a series', { series: 's' }],
        ['every input', { patches: 'a', series: 's', fuzz: '3', 'strip-components': '2' }],
        ['defaults', {}],
      ] as const
    ).map(([name, arguments_]) => ({
      name: `with ${name} it compiles to what a POSIX shell accepts`,
      check: () => {
        const [script] = scripts(
          compiled(withPackage(`pipeline: ${JSON.stringify([{ uses: 'patch', with: arguments_ }])}\n`)),
        );
        const checked = spawnSync('sh', ['-n', '-c', script ?? ''], { encoding: 'utf8' });
        assert.equal(checked.status, 0, checked.stderr);
      },
    })),
  ],
);

conforms('† U exact shape of the step command (errexit, pipefail, directory creation, cd, exit 0).', [
  {
    name: 'line by line',
    check: () =>
      assert.deepEqual(
        stepCommand({ script: 'make\nmake install\n', workingDirectory: '/home/build/src' }).split('\n'),
        [
          'set -eo pipefail',
          '[ -d /home/build/src ] || mkdir -p /home/build/src',
          'cd /home/build/src',
          'make',
          'make install',
          '',
          'exit 0',
          '',
        ],
      ),
  },
  {
    name: 'with each command printed',
    check: () =>
      assert.equal(
        stepCommand({ script: 'make', workingDirectory: '/' }, { trace: 'commands' }).split('\n')[0],
        'set -exo pipefail',
      ),
  },
  ...(
    [
      ['errexit: the first failing command ends the step', 'echo a; false; echo b', 1, 'a\n'],
      ['errexit: also inside a group', '{ false; echo b; }', 1, ''],
      ['pipefail: a failing part of a pipe fails the step', 'false | cat', 1, ''],
      ['exit 0: a false list at the end does not', 'echo a; false && echo b', 0, 'a\n'],
      ['exit 0: an if without a branch does not', 'if false; then echo b; fi', 0, ''],
      ['the status of the fragment counts', 'exit 42', 42, ''],
      ['it starts in the directory', 'basename "$PWD"', 0, 'made\n'],
    ] as const
  ).map(([name, script, status, output]) => ({
    name,
    check: (context: TestContext) => {
      const workingDirectory = join(workspace(context).folder, 'to/be/made');
      const result = spawnSync('bash', ['-c', stepCommand({ script, workingDirectory })], {
        encoding: 'utf8',
      });
      assert.equal(result.status, status, result.stderr);
      assert.equal(result.stdout, output);
      assert.ok(existsSync(workingDirectory));
    },
  })),
]);

const directories = [
  "it's here",
  'say "hi"',
  '$(touch injected)',
  '`touch injected`',
  '; touch injected; true',
  "'; touch injected; '",
  '"; touch injected; "',
  '$HOME',
  'a && touch injected',
  'a | touch injected',
  'a > injected',
  'line\nbreak\ntouch injected',
  'back\\slash',
  '*',
  '~',
  '-rf',
  '#no comment',
  'grüße',
] as const;

/** What a shell that does not know pipefail understands of a step's command. */
const posix = (command: string): string => command.replace(/^set -eo pipefail$/m, 'set -e');

conforms(
  '† U shell quoting of working directories: quotes, injection attempts, empty; also for setfattr paths.',
  [
    ...directories.map((name) => ({
      name: `${JSON.stringify(name)} is made and entered, and nothing else happens (attributes of files are set without a shell)`,
      check: (context: TestContext) => {
        const root = mkdtempSync(join(tmpdir(), 'quoting-'));
        context.after(() => rmSync(root, { recursive: true }));
        const step = compiled(
          withPackage(
            `pipeline: ${JSON.stringify([{ 'working-directory': `${root}/${name}`, runs: 'echo > mark' }])}\n`,
          ),
        ).packages[0]?.steps[0];
        assert.ok(step);
        const command = posix(stepCommand(step));
        const result = spawnSync('/bin/sh', ['-c', command], {
          encoding: 'utf8',
          cwd: root,
          env: { HOME: '/home/nobody' },
        });
        assert.equal(result.status, 0, result.stderr);
        assert.deepEqual(readdirSync(root), [name]);
        assert.deepEqual(readdirSync(join(root, name)), ['mark']);
      },
    })),
    {
      name: 'an empty one is the workspace',
      check: () => {
        const step = compiled(withPackage('pipeline: [{working-directory: "", runs: x}]\n')).packages[0]
          ?.steps[0];
        assert.equal(step?.workingDirectory, '/home/build');
      },
    },
    ...['', "'", "''", "a'b'c", '"', '$x', '\\', '!', 'a\tb', ' '].map((word) => ({
      name: `the word ${JSON.stringify(word)} reads back as it was`,
      check: () => {
        const { stdout, status } = spawnSync('/bin/sh', ['-c', `printf '<%s>' ${shellQuote(word)}`], {
          encoding: 'utf8',
        });
        assert.deepEqual([stdout, status], [`<${word}>`, 0]);
      },
    })),
  ],
);
