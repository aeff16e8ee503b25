/** The end-to-end builds of upstream as facts of the language, their steps run with a local shell. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { compiled, pipelines, withPackage } from '../language.ts';
import { fails, succeeds, workspace } from '../workspace.ts';
import { conforms } from './lines.ts';

/** Builds a file in a workspace and gives what its steps printed. */
function printed(
  context: TestContext,
  sections: string,
  files: Readonly<Record<string, string>> = {},
): string {
  const root = workspace(context);
  root.files(files);
  const lookup = pipelines({
    say: 'environment: {FROM_FILE: file}\npipeline:\n  - runs: echo "$GLOBAL $GIVEN $FROM_FILE"\n  - {environment: {GIVEN: own}, runs: "echo $GLOBAL $GIVEN"}\n',
  });
  const result = root.build(compiled(withPackage(sections), { lookup }));
  succeeds(result);
  return result.stdout;
}

conforms(
  'env-propagation-uses: environment given on a `uses` step reaches the steps of the pipeline file, over global values.',
  (
    [
      ['a value of the step', '{uses: say, environment: {GIVEN: step}}', 'global step file\nglobal own\n'],
      ['a value over the global one', '{uses: say, environment: {GLOBAL: step}}', 'step  file\nstep own\n'],
      [
        'the pipeline file over the step',
        '{uses: say, environment: {FROM_FILE: step}}',
        'global  file\nglobal own\n',
      ],
      [
        'a value from a step around it',
        '{environment: {GIVEN: outer}, pipeline: [{uses: say}]}',
        'global outer file\nglobal own\n',
      ],
      ['none', '{uses: say}', 'global  file\nglobal own\n'],
    ] as const
  ).flatMap(([name, step, expected]) =>
    (['main', 'subpackage'] as const).map((where) => ({
      name: `${name}, in a ${where} pipeline`,
      check: (context: TestContext) => {
        const pipeline =
          where === 'main' ? `pipeline: [${step}]` : `subpackages: [{name: s, pipeline: [${step}]}]`;
        assert.equal(
          printed(context, `environment: {environment: {GLOBAL: global}}\n${pipeline}\n`),
          expected,
        );
      },
    })),
  ),
);

const everywhere = [
  'environment: {environment: {SHARED: "from the top", HOME: /home/build}}',
  'pipeline: [{runs: "echo main $SHARED > main.txt"}]',
  'test: {pipeline: [{runs: "test \\"$SHARED\\" = \\"from the top\\""}]}',
  'subpackages:',
  '  - name: sub',
  '    pipeline: [{runs: "echo sub $SHARED > sub.txt"}]',
  '    test: {environment: {environment: {SHARED: changed}}, pipeline: [{runs: "test \\"$SHARED\\" = changed"}]}',
  '',
].join('\n');

conforms(
  'env-vars: top-level environment visible in build, subpackage build, main test and subpackage test.',
  (['build', 'subpackage build', 'main test', 'subpackage test'] as const).map((where) => ({
    name: where,
    check: (context: TestContext) => {
      const root = workspace(context);
      const plan = compiled(withPackage(everywhere));
      succeeds(root.build(plan));
      if (where === 'build') assert.equal(root.read('main.txt'), 'main from the top\n');
      else if (where === 'subpackage build') assert.equal(root.read('sub.txt'), 'sub from the top\n');
      else succeeds(root.test(plan, where === 'main test' ? 'thing' : 'sub'));
    },
  })),
);

const greeter = withPackage(
  [
    'data: [{name: tongues, items: {en: good day, de: "guten Tag", fr: bonjour}}]',
    'pipeline:',
    '  - runs: |',
    '      mkdir -p ${{targets.destdir}}/usr/share/greeter',
    '      cp names.txt ${{targets.destdir}}/usr/share/greeter/',
    'subpackages:',
    '  - range: tongues',
    '    name: greeter-${{range.key}}',
    '    pipeline:',
    '      - runs: |',
    '          mkdir -p ${{targets.contextdir}}/usr/share/greeter',
    '          while read -r name; do echo "${{range.value}}, $name"; done < names.txt > ${{targets.contextdir}}/usr/share/greeter/${{range.key}}',
    '    test:',
    '      pipeline:',
    '        - runs: grep -q "${{range.value}}, Ada" ${{targets.contextdir}}/usr/share/greeter/${{range.key}}',
    '',
  ].join('\n'),
);

conforms('greeter: data ranges, local file from the source directory, subpackage tests.', [
  {
    name: 'the local file is there for all packages',
    check: (context) => {
      const root = workspace(context);
      root.files({ 'names.txt': 'Ada\nBob\n' });
      succeeds(root.build(compiled(greeter)));
      assert.deepEqual(root.list('melange-out'), [
        'greeter-de/usr/share/greeter/de',
        'greeter-en/usr/share/greeter/en',
        'greeter-fr/usr/share/greeter/fr',
        'thing/usr/share/greeter/names.txt',
      ]);
      assert.equal(
        root.read('melange-out/greeter-de/usr/share/greeter/de'),
        'guten Tag, Ada\nguten Tag, Bob\n',
      );
    },
  },
  ...['en', 'de', 'fr'].map((tongue) => ({
    name: `the test of greeter-${tongue} passes, and fails without the name`,
    check: (context: TestContext) => {
      for (const [names, passes] of [
        ['Ada\n', true],
        ['Bob\n', false],
      ] as const) {
        const root = workspace(context);
        root.files({ 'names.txt': names });
        const plan = compiled(greeter);
        succeeds(root.build(plan));
        assert.equal(root.test(plan, `greeter-${tongue}`).status === 0, passes);
      }
    },
  })),
  {
    name: 'without the local file the build fails',
    check: (context) => fails(workspace(context).build(compiled(greeter)), /names\.txt/),
  },
]);

const php = withPackage(
  [
    'environment: {contents: {packages: [build-base]}, environment: {CFLAGS: -O2}}',
    'data: [{name: versions, items: {"8.3": "83", "8.4": "84"}}]',
    'subpackages:',
    '  - range: versions',
    '    name: php-${{range.key}}-${{package.name}}',
    '    test:',
    '      environment:',
    '        contents: {packages: ["php-${{range.key}}", "php-${{range.key}}-cli"]}',
    '        environment: {PHP_INI: "/etc/php${{range.value}}"}',
    '      pipeline: [{runs: "test \\"$PHP_INI\\" = /etc/php${{range.value}}"}]',
    '',
  ].join('\n'),
);

conforms('php msgpack (test only): subpackage tests with own environments; `-nopkg` as above.', [
  ...(
    [
      ['8.3', '/etc/php83'],
      ['8.4', '/etc/php84'],
    ] as const
  ).map(([version, ini]) => ({
    name: `the test for ${version} has its own packages and variables, and runs`,
    check: (context: TestContext) => {
      const plan = compiled(php);
      const name = `php-${version}-thing`;
      const environment = plan.packages.find((one) => one.name === name)?.test?.environment;
      assert.deepEqual(environment?.packages, [`php-${version}`, `php-${version}-cli`, name].sort());
      assert.equal(environment?.variables['PHP_INI'], ini);
      assert.equal(environment?.variables['CFLAGS'], '-O2');
      succeeds(workspace(context).test(plan, name));
    },
  })),
  {
    name: 'without packages of its own a test has the package alone, to which whoever runs it may add',
    check: () => {
      const plan = compiled(php.replace(/ {8}contents: .*\n/, ''));
      assert.deepEqual(plan.packages[1]?.test?.environment.packages, ['php-8.3-thing']);
    },
  },
]);

conforms('pipelines-subpackages: a subpackage pipeline runs when the main package has none.', [
  ...(
    [
      ['no pipeline', ''],
      ['an empty pipeline', 'pipeline: []\n'],
      ['a pipeline without a step that runs', `pipeline: [{if: "'a' == 'b'", runs: "exit 1"}]\n`],
    ] as const
  ).map(([name, pipeline]) => ({
    name: `the main package has ${name}`,
    check: (context: TestContext) => {
      const root = workspace(context);
      succeeds(
        root.build(
          compiled(
            withPackage(
              `${pipeline}subpackages: [{name: sub, pipeline: [{runs: "echo ran > \${{targets.contextdir}}/out"}]}]\n`,
            ),
          ),
        ),
      );
      assert.deepEqual(root.list('melange-out'), ['sub/out']);
    },
  })),
]);

const libraries = {
  'melange-out/thing/usr/lib/liblamp.so.1.2': '',
  'melange-out/thing/usr/lib/liblamp.so': '',
  'melange-out/thing/usr/lib/libwick.so.3': '',
  'melange-out/thing/lib/libbase.so.0': '',
  'melange-out/thing/usr/lib/lamp/libinner.so.1': '',
  'melange-out/thing/opt/lamp/lib/libfar.so.9': '',
  'melange-out/thing/usr/bin/lamp': '',
};

conforms(
  'split-lib: all libraries; by pattern; with custom paths.',
  (
    [
      ['all libraries', {}, ['lib/libbase.so.0', 'usr/lib/liblamp.so.1.2', 'usr/lib/libwick.so.3']],
      ['by pattern', { patterns: 'lamp' }, ['usr/lib/liblamp.so.1.2']],
      [
        'by several patterns, one with an asterisk',
        { patterns: 'w*\nbase\n' },
        ['lib/libbase.so.0', 'usr/lib/libwick.so.3'],
      ],
      ['by a pattern that fits none', { patterns: 'none' }, []],
      [
        'with custom paths',
        { paths: '/opt/lamp/lib\nusr/lib/lamp\nnowhere\n' },
        [
          'lib/libbase.so.0',
          'opt/lamp/lib/libfar.so.9',
          'usr/lib/lamp/libinner.so.1',
          'usr/lib/liblamp.so.1.2',
          'usr/lib/libwick.so.3',
        ],
      ],
      [
        'by pattern in custom paths',
        { patterns: 'far\ninner', paths: 'opt/lamp/lib' },
        ['opt/lamp/lib/libfar.so.9'],
      ],
      ['from another package', { package: 'other' }, ['usr/lib/libother.so.1']],
    ] as const
  ).map(([name, arguments_, expected]) => ({
    name,
    check: (context: TestContext) => {
      const root = workspace(context);
      root.files({ ...libraries, 'melange-out/other/usr/lib/libother.so.1': '' });
      const before = root.list('melange-out').length;
      const pipeline = JSON.stringify([{ uses: 'split/lib', with: arguments_ }]);
      succeeds(
        root.build(compiled(withPackage(`subpackages: [{name: thing-libs, pipeline: ${pipeline}}]\n`))),
      );
      assert.deepEqual(root.list('melange-out/thing-libs'), expected);
      assert.equal(root.list('melange-out').length, before, 'files are moved, not copied or lost');
    },
  })),
);
