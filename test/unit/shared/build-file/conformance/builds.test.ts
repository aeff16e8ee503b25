/** Small whole builds of M2, their steps run in order with a local shell in one workspace. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type BuildPlan, compileBuildFile } from '../../../../../shared/build-file/index.ts';
import { compiled, parsed, withPackage } from '../language.ts';
import { fails, succeeds, type Workspace, workspace } from '../workspace.ts';
import { conforms } from './lines.ts';

interface Built {
  readonly root: Workspace;
  readonly plan: BuildPlan;
}

function built(context: TestContext, sections: string): Built {
  const root = workspace(context);
  const plan = compiled(withPackage(sections));
  succeeds(root.build(plan));
  return { root, plan };
}

/** A test that a build gives these files in the output directories, with these contents. */
function gives(sections: string, files: Readonly<Record<string, string>>): (context: TestContext) => void {
  return (context) => {
    const { root } = built(context, sections);
    assert.deepEqual(root.list('melange-out'), Object.keys(files).sort());
    for (const [path, content] of Object.entries(files))
      assert.equal(root.read(`melange-out/${path}`), content, path);
  };
}

const simple = [
  'vars: {port: "8080"}',
  'pipeline:',
  '  - runs: |',
  '      mkdir -p ${{targets.destdir}}/usr/bin',
  "      printf '#!/bin/sh\\necho served\\n' > ${{targets.destdir}}/usr/bin/serve",
  '      chmod 755 ${{targets.destdir}}/usr/bin/serve',
  '  - runs: |',
  '      mkdir -p ${{targets.destdir}}/etc',
  '      echo "port=${{vars.port}} name=${{package.name}}" > ${{targets.destdir}}/etc/serve.conf',
  '  - runs: ${{targets.destdir}}/usr/bin/serve',
  '',
].join('\n');

conforms('† simple: two steps, executable and substituted config file.', [
  {
    name: 'both files are made',
    check: gives(simple, {
      'thing/usr/bin/serve': '#!/bin/sh\necho served\n',
      'thing/etc/serve.conf': 'port=8080 name=thing\n',
    }),
  },
  {
    name: 'the program can be run by a later step',
    check: (context) => {
      const root = workspace(context);
      assert.equal(root.build(compiled(withPackage(simple))).stdout, 'served\n');
    },
  },
]);

const touch = (condition: string): string =>
  `pipeline: [{if: ${JSON.stringify(condition)}, runs: "touch \${{targets.destdir}}/ran"}, {runs: "touch \${{targets.destdir}}/always"}]\n`;

conforms(
  '† conditional: true step runs, false step does not.',
  (
    [
      [`\${{build.arch}} == 'x86_64'`, true],
      [`\${{build.arch}} == 'aarch64'`, false],
      [`\${{package.name}} == 'thing' && \${{vars.mode}} != 'debug'`, true],
      [`"\${{vars.mode}}" == 'debug' || \${{package.epoch}} == '1'`, false],
    ] as const
  ).map(([condition, runs]) => ({
    name: `${condition} is ${runs}`,
    check: gives(`vars: {mode: release}\n${touch(condition)}`, {
      'thing/always': '',
      ...(runs ? { 'thing/ran': '' } : {}),
    }),
  })),
);

conforms('† environment: global variables and HOME reach steps.', [
  {
    name: 'a variable of the file, and HOME, which is the workspace',
    check: (context) => {
      const { root } = built(
        context,
        'environment: {environment: {COLOUR: "dark red"}}\npipeline: [{working-directory: deep, runs: "echo \\"$COLOUR\\" > \\"$HOME/out\\""}]\n',
      );
      assert.equal(root.read('out'), 'dark red\n');
    },
  },
  {
    name: 'a step may change one for itself and its children, not for those after it',
    check: gives(
      'environment: {environment: {C: top}}\npipeline: [{environment: {C: own}, runs: "echo $C >> ${{targets.destdir}}/c", pipeline: [{runs: "echo $C >> ${{targets.destdir}}/c"}]}, {runs: "echo $C >> ${{targets.destdir}}/c"}]\n',
      { 'thing/c': 'own\nown\ntop\n' },
    ),
  },
]);

conforms('† multi-pipeline: six steps in order share the file system.', [
  {
    name: 'each of six steps finds what the one before left',
    check: gives(
      `pipeline:\n  - runs: echo 1 > state\n${[2, 3, 4, 5].map((step) => `  - runs: test "$(tail -n 1 state)" = ${step - 1} && echo ${step} >> state\n`).join('')}  - runs: cp state \${{targets.destdir}}/\n`,
      { 'thing/state': '1\n2\n3\n4\n5\n' },
    ),
  },
  {
    name: 'variables of the shell and the directory do not last',
    check: gives(
      'pipeline: [{runs: "mkdir d; cd d; X=1; export X"}, {runs: "echo \\"[$X] $(basename $PWD)\\" > o; test ! -e ../o && cp o ${{targets.destdir}}/ && sed -i s/ .*// ${{targets.destdir}}/o"}]\n'.replace(
        's/ .*//',
        "'s/ .*//'",
      ),
      { 'thing/o': '[]\n' },
    ),
  },
  {
    name: 'after a step that fails none follows',
    check: (context) => {
      const root = workspace(context);
      const result = root.build(
        compiled(
          withPackage(
            'pipeline: [{runs: "echo a >> o"}, {runs: "echo no >&2; exit 3"}, {runs: "echo b >> o"}]\n',
          ),
        ),
      );
      fails(result, /no/);
      assert.equal(result.status, 3);
      assert.equal(root.read('o'), 'a\n');
    },
  },
]);

conforms('† subpackages: three subpackages with own directories.', [
  {
    name: 'each has its directory, which is there before its pipeline and after the main one',
    check: gives(
      [
        'pipeline: [{runs: "mkdir -p ${{targets.destdir}}/a; echo main > ${{targets.destdir}}/a/x; echo main > ${{targets.destdir}}/y"}]',
        'subpackages:',
        ...['one', 'two'].map(
          (name) =>
            `  - {name: ${name}, pipeline: [{runs: "test -d \${{targets.subpkgdir}} && echo \${{subpkg.name}} of \${{package.name}} > \${{targets.contextdir}}/z"}]}`,
        ),
        '  - {name: three, pipeline: [{runs: "mv ${{targets.destdir}}/a ${{targets.contextdir}}/; cp ${{targets.package.one}}/z ${{targets.contextdir}}/from-one"}]}',
        '',
      ].join('\n'),
      {
        'thing/y': 'main\n',
        'one/z': 'one of thing\n',
        'two/z': 'two of thing\n',
        'three/a/x': 'main\n',
        'three/from-one': 'one of thing\n',
      },
    ),
  },
]);

conforms(
  '† variables: package.* and vars.* values.',
  (
    [
      ['package.name', 'thing'],
      ['package.version', '1.2.3'],
      ['package.epoch', '6'],
      ['package.full-version', '1.2.3-r6'],
      ['package.description', 'bright things'],
      ['vars.plain', 'p'],
      ['vars.number', '1.50'],
      ['vars.joined', 'p-1.2.3'],
      ['vars.made', '1_2_3'],
    ] as const
  ).map(([name, value]) => ({
    name: `${name} is ${value}`,
    check: gives(
      `  epoch: 6\n  description: bright things\nvars: {plain: p, number: 1.50, joined: "\${{vars.plain}}-\${{package.version}}"}\nvar-transforms: [{from: "\${{package.version}}", match: '[.]', replace: _, to: made}]\npipeline: [{runs: "echo '\${{${name}}}' > \${{targets.destdir}}/v"}]\n`,
      { 'thing/v': `${value}\n` },
    ),
  })),
);

conforms('† workdir: absolute working-directory.', [
  ...(
    [
      ['an absolute one in the workspace', '/home/build/sources/deep', 'sources/deep'],
      ['a relative one', 'sources/deep', 'sources/deep'],
      ['the output directory', '${{targets.destdir}}/usr', 'melange-out/thing/usr'],
      ['the cache, outside of the workspace', '/var/cache/melange/x', 'cache/x'],
      ['one with a blank and a quote', "it's here", "it's here"],
    ] as const
  ).map(([name, directory, path]) => ({
    name: `${name} is made and entered`,
    check: (context: TestContext) => {
      const step = JSON.stringify([{ 'working-directory': directory, runs: 'pwd > here' }]);
      const { root } = built(context, `pipeline: ${step}\n`);
      assert.equal(root.read(join(path, 'here')), `${join(root.folder, path)}\n`);
    },
  })),
  {
    name: 'a step that only names one makes it',
    check: (context) => {
      const { root } = built(context, 'pipeline: [{working-directory: empty}]\n');
      assert.ok(existsSync(join(root.folder, 'empty')));
    },
  },
]);

const withTest = (script: string): string =>
  `test: {pipeline: [{runs: "touch before"}, {runs: "${script}"}, {runs: "touch after"}]}\n`;

conforms(
  'test/simple: a test pipeline runs. † test/failure: a failing test is reported as failure. Configuration without tests succeeds and does nothing.',
  [
    {
      name: 'a test pipeline runs, step by step',
      check: (context) => {
        const root = workspace(context);
        succeeds(root.test(compiled(withPackage(withTest('test -e before'))), 'thing'));
        assert.deepEqual(root.list('.'), ['after', 'before']);
      },
    },
    ...(
      [
        ['a false command', 'false', 1],
        ['a status', 'exit 9', 9],
        ['a failing pipe', 'false | true', 1],
      ] as const
    ).map(([name, script, status]) => ({
      name: `${name} fails the test, and the steps after it do not run`,
      check: (context: TestContext) => {
        const root = workspace(context);
        assert.equal(root.test(compiled(withPackage(withTest(script))), 'thing').status, status);
        assert.deepEqual(root.list('.'), ['before']);
      },
    })),
    ...[
      '',
      'test: {}\n',
      'test: {pipeline: []}\n',
      'test: {environment: {contents: {packages: [a]}}}\n',
      `test: {pipeline: [{if: "'a' == 'b'", runs: x}]}\n`,
    ].map((sections) => ({
      name: `${sections.trim() || 'no section'}: there is no test to run`,
      check: () => {
        const { plan, diagnostics } = compileBuildFile(parsed(withPackage(sections)), {
          arch: 'x86_64',
          lookup: () => undefined,
        });
        assert.deepEqual(diagnostics, []);
        assert.equal(plan?.packages[0]?.test, undefined);
      },
    })),
    {
      name: 'tests do not run with the build',
      check: (context) => {
        const { root } = built(context, `pipeline: [{runs: "touch built"}]\n${withTest('false')}`);
        assert.deepEqual(root.list('.'), ['built']);
      },
    },
  ],
);
