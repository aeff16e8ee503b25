/** The worked example, section 14.1 of the specification of the build file, sentence by sentence. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { compiled, fixture, lines, parsed, pipelines, problems } from '../language.ts';
import { succeeds, workspace } from '../workspace.ts';
import { specified } from './lines.ts';

const { text } = fixture('demo.yaml');
const greet = fixture('pipelines/greet.yaml').text;
const lookup = pipelines({ greet });

specified('Version is the text `2.40`; full version `2.40-r3`; `vars.tag` = `2_40`.', [
  { name: 'the version', check: () => assert.equal(parsed(text).version, '2.40') },
  {
    name: 'the full version, of every package',
    check: () =>
      assert.deepEqual(
        compiled(text, { lookup }).packages.map((one) => one.fullVersion),
        ['2.40-r3', '2.40-r3', '2.40-r3'],
      ),
  },
  {
    name: 'the transformed variable',
    check: () => assert.equal(parsed(text).parseValues.get('vars.tag'), '2_40'),
  },
]);

specified('Subpackages: `demo-at` (priority 10), then `demo-de` (priority 20).', [
  {
    name: 'names and priorities, in this order',
    check: () =>
      assert.deepEqual(
        compiled(text, { lookup }).packages.map((one) => [one.name, one.dependencies.providerPriority]),
        [
          ['demo', undefined],
          ['demo-at', 10],
          ['demo-de', 20],
        ],
      ),
  },
]);

specified('Environment gains `coreutils` whether or not other conditions hold.', [
  ...(['x86_64', 'aarch64', 'riscv64'] as const).map((arch) => ({
    name: `on ${arch}`,
    check: () => assert.deepEqual(compiled(text, { arch, lookup }).environment.packages, ['coreutils']),
  })),
  {
    name: 'not where the condition of the step itself is false',
    check: () => {
      const never = text.replace('- uses: greet', `- uses: greet\n        if: "'a' == 'b'"`);
      assert.deepEqual(compiled(never, { lookup }).environment.packages, []);
    },
  },
]);

specified(
  'On aarch64 the main step runs `echo "lite" > /home/build/melange-out/demo/hello` in `/home/build/src` (created if absent); the subpackage steps do not run but both (empty) packages are emitted.',
  [
    {
      name: 'the plan for aarch64',
      check: () =>
        assert.deepEqual(
          compiled(text, { arch: 'aarch64', lookup }).packages.map((one) => [
            one.name,
            one.steps.map((step) => [step.script, step.workingDirectory]),
          ]),
          [
            ['demo', [['echo "lite" > /home/build/melange-out/demo/hello', '/home/build/src']]],
            ['demo-at', []],
            ['demo-de', []],
          ],
        ),
    },
    ...(
      [
        ['aarch64', ['demo/hello']],
        ['x86_64', ['demo-at/2_40', 'demo-de/2_40', 'demo/hello']],
      ] as const
    ).map(([arch, files]) => ({
      name: `run for ${arch}, it gives ${files.join(' and ')}`,
      check: (context: TestContext) => {
        const root = workspace(context);
        succeeds(root.build(compiled(text, { arch, lookup })));
        assert.deepEqual(root.list('melange-out'), files);
        assert.equal(root.read('melange-out/demo/hello'), 'lite\n');
        assert.deepEqual(root.list('src'), []);
      },
    })),
  ],
);

specified('With `who` omitted: compile error. With `whom` given: compile error (undefined input).', [
  ...(
    [
      ['without arguments', '', ['10:9 missing-value the pipeline greet needs the input "who"']],
      [
        'with an empty mapping',
        '\n        with: {}',
        ['10:9 missing-value the pipeline greet needs the input "who"'],
      ],
      [
        'with an empty value',
        '\n        with: {who: ""}',
        ['11:22 missing-value the pipeline greet needs the input "who"'],
      ],
      [
        'with whom instead',
        '\n        with: {whom: you}',
        [
          '11:16 unknown-key the pipeline greet has no input "whom"',
          '10:9 missing-value the pipeline greet needs the input "who"',
        ],
      ],
      [
        'with both',
        '\n        with: {who: me, whom: you}',
        ['11:25 unknown-key the pipeline greet has no input "whom"'],
      ],
    ] as const
  ).map(([name, given, expected]) => ({
    name,
    check: () => {
      const changed = text.replace('\n        with: {who: "${{vars.flavour}}"}', given);
      assert.notEqual(changed, text);
      assert.deepEqual(lines(problems(changed, { lookup })).sort(), [...expected].sort());
    },
  })),
  {
    name: 'with out given, the file goes there',
    check: (context) => {
      const root = workspace(context);
      const changed = text.replace(
        '{who: "${{vars.flavour}}"}',
        '{who: you, out: "${{targets.outdir}}/${{package.name}}/${{inputs.who}}"}',
      );
      succeeds(root.build(compiled(changed, { arch: 'aarch64', lookup })));
      assert.deepEqual(root.list('melange-out'), ['demo/you']);
    },
  },
]);

specified(
  'With `name: demo-${{range.kex}}`: the reference survives step 3.5 and then fails the name rule in validation.',
  [
    {
      name: 'the name is refused, with what was probably meant',
      check: () => {
        const found = problems(text.replace('demo-${{range.key}}', 'demo-${{range.kex}}'), { lookup });
        assert.equal(found[0]?.code, 'unknown-variable');
        assert.match(found[0]?.message ?? '', /the name of a subpackage cannot use the variable range\.kex/);
        assert.equal(found[0]?.hint, 'did you mean "range.key"?');
      },
    },
    {
      name: 'a description may hold what nothing replaces',
      check: () => {
        const changed = text.replace('name: demo-', 'description: for ${{range.kex}}\n    name: demo-');
        assert.deepEqual(
          compiled(changed, { lookup })
            .packages.slice(1)
            .map((one) => one.description),
          ['for ${{range.kex}}', 'for ${{range.kex}}'],
        );
      },
    },
  ],
);
