/** Steps and what they see: lines of the section pkg/build. */
import assert from 'node:assert/strict';
import { compiled, pipelines, problems, scripts, withPackage } from '../language.ts';
import { conforms } from './lines.ts';

conforms('† (both) working-directory inheritance at compile time; comments stripped and shebang kept.', [
  ...(
    [
      ['a step of the file', '{working-directory: top, pipeline: [{runs: x}]}', ['/home/build/top']],
      ['a pipeline file that sets none', '{working-directory: top, uses: plain}', ['/home/build/top']],
      ['a pipeline file that sets one', '{working-directory: top, uses: owner}', ['/home/build/own']],
      ['a step inside of that', '{uses: owner, working-directory: "${{package.name}}"}', ['/home/build/own']],
      ['one from an argument', '{uses: asked, with: {dir: given}}', ['/home/build/given']],
      ['none at all', '{runs: x}', ['/home/build']],
      ['one that leaves the workspace', '{working-directory: ../tmp, runs: x}', ['/home/tmp']],
    ] as const
  ).map(([name, step, expected]) => ({
    name: `inheritance: ${name}`,
    check: () => {
      const lookup = pipelines({
        plain: 'pipeline: [{runs: x}]\n',
        owner: 'working-directory: own\npipeline: [{pipeline: [{runs: x}]}]\n',
        asked: 'inputs: {dir: {default: .}}\nworking-directory: ${{inputs.dir}}\npipeline: [{runs: x}]\n',
      });
      const plan = compiled(withPackage(`pipeline: [${step}]\n`), { lookup });
      assert.deepEqual(
        plan.packages[0]?.steps.map((one) => one.workingDirectory),
        expected,
      );
    },
  })),
  ...(
    [
      ['a shebang', '#!/bin/sh -e\necho a'],
      ['a comment', '# why\necho a # and why not\n# end'],
    ] as const
  ).map(([name, script]) => ({
    name: `ours: ${name} stays, since fragments run as they are written`,
    check: () =>
      assert.deepEqual(scripts(compiled(withPackage(`pipeline: ${JSON.stringify([{ runs: script }])}\n`))), [
        script,
      ]),
  })),
]);

const stepNames: readonly (readonly [string, string, readonly string[]])[] = [
  ['its name', '{name: compile, runs: x}', ['compile']],
  ['its name before what it uses', '{name: compile, uses: plain}', ['compile']],
  ['what it uses', '{uses: plain}', ['plain']],
  [
    'ours: that of the step around it instead of ???',
    '{name: around, pipeline: [{pipeline: [{runs: x}]}]}',
    ['around'],
  ],
  ['ours: nothing where no step around has one', '{runs: x}', ['']],
  ['not that of the pipeline file', '{uses: named}', ['named']],
  ['that of a step in the pipeline file', '{name: outer, uses: steps}', ['inner', 'outer']],
];

const conditions: readonly (readonly [string, string, boolean])[] = [
  ['no condition', '', true],
  ['an empty condition', `if: "", `, true],
  ['a condition of blanks', `if: "  ", `, true],
  ['a true comparison', `if: "'a' == 'a'", `, true],
  ['a false comparison', `if: "'a' == 'b'", `, false],
  ['the architecture of the build', `if: "\${{build.arch}} == 'x86_64'", `, true],
  ['another architecture', `if: "\${{build.arch}} == 'aarch64'", `, false],
  ['a variable of the file', `if: "\${{vars.on}} == 'yes'", `, true],
];

const gathering: readonly (readonly [string, string, readonly string[]])[] = [
  ['of a step', '{needs: {packages: [b, a]}, runs: x}', ['a', 'b']],
  [
    'of nested steps, to any depth',
    '{needs: {packages: [a]}, pipeline: [{pipeline: [{needs: {packages: [b]}}]}]}',
    ['a', 'b'],
  ],
  ['not of a step whose condition is false', `{if: "'a' == 'b'", needs: {packages: [a]}}`, []],
  ['nor of the steps below it', `{if: "'a' == 'b'", pipeline: [{needs: {packages: [a]}}]}`, []],
  [
    'not of one nested step whose condition is false',
    `{needs: {packages: [a]}, pipeline: [{if: "'a' == 'b'", needs: {packages: [b]}}, {needs: {packages: [c]}}]}`,
    ['a', 'c'],
  ],
  ['of used pipelines', '{uses: needy}', ['nested', 'own']],
  [
    'ours: of the step and the pipeline it uses together',
    '{uses: needy, needs: {packages: [mine]}}',
    ['mine', 'nested', 'own'],
  ],
  ['each once', '{pipeline: [{needs: {packages: [a]}}, {needs: {packages: [a, b]}}]}', ['a', 'b']],
];

const local = pipelines({
  plain: 'pipeline: [{runs: x}]\n',
  named: 'name: of the file\npipeline: [{runs: x}]\n',
  steps: 'pipeline: [{name: inner, runs: x}, {runs: y}]\n',
  needy: 'needs: {packages: [own]}\npipeline: [{needs: {packages: [nested]}}]\n',
});

conforms(
  'M2: step identity (name, uses, `???`); shouldRun table; needs gathering (false condition skipped, needs cleared, recursion).',
  [
    ...stepNames.map(([name, step, expected]) => ({
      name: `a step is known by ${name}`,
      check: () => {
        const plan = compiled(withPackage(`pipeline: [${step}]\n`), { lookup: local });
        assert.deepEqual(
          plan.packages[0]?.steps.map((one) => one.name),
          expected,
        );
      },
    })),
    ...conditions.map(([name, condition, runs]) => ({
      name: `${name}: the step ${runs ? 'runs' : 'does not run'}`,
      check: () => {
        const plan = compiled(withPackage(`vars: {on: "yes"}\npipeline: [{${condition}runs: x}]\n`));
        assert.deepEqual(scripts(plan), runs ? ['x'] : []);
      },
    })),
    ...gathering.map(([name, step, expected]) => ({
      name: `needs ${name}`,
      check: () =>
        assert.deepEqual(
          compiled(withPackage(`pipeline: [${step}]\n`), { lookup: local }).environment.packages,
          expected,
        ),
    })),
    {
      name: 'needs of a subpackage count even where its own condition is false',
      check: () => {
        const plan = compiled(
          withPackage(
            `subpackages: [{name: s, if: "'a' == 'b'", pipeline: [{needs: {packages: [a]}, runs: x}]}]\n`,
          ),
        );
        assert.deepEqual(plan.environment.packages, ['a']);
        assert.equal(plan.packages.length, 1);
      },
    },
    {
      name: 'needs are not recorded at the steps of the file any more',
      check: () => {
        const plan = compiled(withPackage('pipeline: [{needs: {packages: [a]}, runs: x}]\n'));
        assert.doesNotMatch(JSON.stringify(plan.configuration), /needs/);
      },
    },
    ...(
      [
        ['that holds', `[{runs: a}, {if: "'a' == 'b'", runs: b}, {runs: c}]`, []],
        ['that does not hold', `[{runs: a}, {if: "'a' == 'b'", runs: b}]`, ['invalid-value']],
      ] as const
    ).map(([name, children, expected]) => ({
      name: `an assertion on the number of steps ${name}`,
      check: () => {
        const text = withPackage(`pipeline: [{assertions: {required-steps: 2}, pipeline: ${children}}]\n`);
        assert.deepEqual(
          problems(text).map((one) => one.code),
          expected,
        );
      },
    })),
    ...(
      [
        [
          'in a step that does not run',
          `pipeline: [{if: "'a' == 'b'", assertions: {required-steps: 2}, pipeline: [{runs: a}]}]\n`,
        ],
        [
          'in a subpackage that is not built',
          `subpackages: [{name: s, if: "'a' == 'b'", pipeline: [{assertions: {required-steps: 2}, pipeline: [{runs: a}]}]}]\n`,
        ],
      ] as const
    ).map(([name, sections]) => ({
      name: `an assertion ${name} cannot fail`,
      check: () => assert.deepEqual(problems(withPackage(sections)), []),
    })),
  ],
);

const names: readonly (readonly [string, string, string | undefined])[] = [
  ['package.name', 'thing', 'thing'],
  ['package.version', '1.2.3', '1.2.3'],
  ['package.epoch', '5', '5'],
  ['package.full-version', '1.2.3-r5', '1.2.3-r5'],
  ['package.srcdir', '/home/build', '/home/build'],
  ['targets.outdir', '/home/build/melange-out', '/home/build/melange-out'],
  ['targets.destdir', '/home/build/melange-out/thing', '/home/build/melange-out/thing'],
  ['targets.contextdir', '/home/build/melange-out/thing', '/home/build/melange-out/sub'],
  ['targets.package.thing', '/home/build/melange-out/thing', '/home/build/melange-out/thing'],
  ['targets.package.sub', '/home/build/melange-out/sub', '/home/build/melange-out/sub'],
  ['targets.package.each-k', '/home/build/melange-out/each-k', '/home/build/melange-out/each-k'],
  ['context.name', 'thing', 'sub'],
  ['host.triplet.gnu', 'x86_64-pc-linux-gnu', 'x86_64-pc-linux-gnu'],
  ['host.triplet.rust', 'x86_64-unknown-linux-gnu', 'x86_64-unknown-linux-gnu'],
  ['cross.triplet.gnu.glibc', 'x86_64-pc-linux-gnu', 'x86_64-pc-linux-gnu'],
  ['cross.triplet.gnu.musl', 'x86_64-pc-linux-musl', 'x86_64-pc-linux-musl'],
  ['cross.triplet.rust.glibc', 'x86_64-unknown-linux-gnu', 'x86_64-unknown-linux-gnu'],
  ['cross.triplet.rust.musl', 'x86_64-unknown-linux-musl', 'x86_64-unknown-linux-musl'],
  ['build.arch', 'x86_64', 'x86_64'],
  ['build.goarch', 'amd64', 'amd64'],
  ['vars.plain', 'v', 'v'],
  ['vars.made', '1-2-3', '1-2-3'],
  ['options.some.enabled', 'false', 'false'],
];

/** The script of the first step of a package whose pipeline file is this fragment, so that parsing has replaced nothing. */
function compiledFragment(fragment: string, index: number): string | undefined {
  const text = withPackage(
    [
      '  epoch: 5',
      '  description: a thing',
      'vars: {plain: v}',
      `var-transforms: [{from: "\${{package.version}}", match: '\\.', replace: "-", to: made}]`,
      'options: {some: {}}',
      'data: [{name: t, items: {k: v}}]',
      `${index === 0 ? 'pipeline: [{uses: p}]' : ''}`,
      'subpackages:',
      `  - {name: sub, pipeline: [${index === 1 ? '{uses: p}' : ''}]}`,
      '  - {range: t, name: "each-${{range.key}}"}',
      '',
    ].join('\n'),
  );
  return compiled(text, { lookup: pipelines({ p: `runs: ${JSON.stringify(fragment)}\n` }) }).packages[index]
    ?.steps[0]?.script;
}

conforms(
  '† (both) text substitution from a map; substitution map contents per package and subpackage, including per-package targets.',
  [
    ...(
      [
        ['nothing to replace', 'echo $x ${y} {{z}}', 'echo $x ${y} {{z}}'],
        ['several names, with blanks and without', '${{package.name}}-${{ build.arch }}', 'thing-x86_64'],
        ['every line', '${{vars.plain}}\n${{vars.plain}}\n', 'v\nv\n'],
        [
          'comments and here-documents too',
          '# ${{vars.plain}}\ncat <<E\n${{vars.plain}}\nE',
          '# v\ncat <<E\nv\nE',
        ],
      ] as const
    ).map(([name, fragment, expected]) => ({
      name,
      check: () => assert.equal(compiledFragment(fragment, 0), expected),
    })),
    ...names.flatMap(([name, inMain, inSubpackage]) => [
      {
        name: `${name} in the main package`,
        check: () => assert.equal(compiledFragment(`\${{${name}}}`, 0), inMain),
      },
      {
        name: `${name} in a subpackage`,
        check: () => assert.equal(compiledFragment(`\${{${name}}}`, 1), inSubpackage),
      },
    ]),
    ...(['subpkg.name', 'targets.subpkgdir'] as const).flatMap((name) => [
      {
        name: `${name} in a subpackage`,
        check: () =>
          assert.equal(
            compiledFragment(`\${{${name}}}`, 1),
            name === 'subpkg.name' ? 'sub' : '/home/build/melange-out/sub',
          ),
      },
      { name: `${name} is unknown in the main package`, check: () => assertUnknown(name) },
    ]),
    ...[
      'package.description',
      'range.key',
      'inputs.nothing',
      'targets.package.other',
      'options.other.enabled',
      'vars.other',
    ].map((name) => ({ name: `${name} is unknown in a pipeline file`, check: () => assertUnknown(name) })),
  ],
);

function assertUnknown(name: string): void {
  const text = withPackage('  description: d\npipeline: [{uses: p}]\n');
  const lookup = pipelines({ p: `runs: "\${{${name}}}"\n` });
  assert.deepEqual(
    problems(text, { lookup }).map((one) => one.message),
    [`unknown variable ${name}`],
  );
}
