/** Ranges: lines of the section pkg/config. */
import assert from 'node:assert/strict';
import { compiled, lines, problems, withPackage } from '../language.ts';
import { conforms } from './lines.ts';

const ranged = (template: string): string =>
  withPackage(
    `data: [{name: trees, items: {oak: "10", ash: "-3", Elm: "2"}}, {name: none, items: {}}]\nsubpackages:\n${template}`,
  );

conforms('† (both) range: key and value substituted in names, descriptions, steps; sorted expansion.', [
  ...(
    [
      [
        'names',
        '  - {range: trees, name: "${{package.name}}-${{range.key}}"}\n',
        (one) => one.name,
        ['thing-Elm', 'thing-ash', 'thing-oak'],
      ],
      [
        'descriptions',
        '  - {range: trees, name: "t-${{range.key}}", description: "${{range.key}} is ${{range.value}} years old"}\n',
        (one) => one.description,
        ['Elm is 2 years old', 'ash is -3 years old', 'oak is 10 years old'],
      ],
      [
        'steps',
        '  - {range: trees, name: "t-${{range.key}}", pipeline: [{runs: "plant ${{range.key}} ${{range.value}} ${{targets.subpkgdir}}"}]}\n',
        (one) => one.steps[0]?.script,
        [
          'plant Elm 2 /home/build/melange-out/t-Elm',
          'plant ash -3 /home/build/melange-out/t-ash',
          'plant oak 10 /home/build/melange-out/t-oak',
        ],
      ],
      [
        'arguments and working directories of steps',
        '  - range: trees\n    name: t-${{range.key}}\n    pipeline: [{uses: patch, with: {patches: "${{range.key}}.patch"}, working-directory: "${{range.value}}"}]\n',
        (one) => `${one.steps[0]?.workingDirectory} ${/\w+\.patch$/m.exec(one.steps[0]?.script ?? '')?.[0]}`,
        ['/home/build/2 Elm.patch', '/home/build/-3 ash.patch', '/home/build/10 oak.patch'],
      ],
      [
        'dependencies, addresses and scripts',
        '  - range: trees\n    name: t-${{range.key}}\n    url: https://${{range.key}}.example\n    dependencies: {runtime: ["${{range.key}}=${{range.value}}"]}\n    scriptlets: {post-install: "echo ${{range.key}}"}\n',
        (one) => [one.url, one.dependencies.runtime[0], one.scriptlets.scripts['post-install']].join(' '),
        [
          'https://Elm.example Elm=2 echo Elm',
          'https://ash.example ash=-3 echo ash',
          'https://oak.example oak=10 echo oak',
        ],
      ],
    ] satisfies readonly (readonly [
      string,
      string,
      (one: Planned) => string | undefined,
      readonly string[],
    ])[]
  ).map(([name, template, select, expected]) => ({
    name,
    check: () => assert.deepEqual(compiled(ranged(template)).packages.slice(1).map(select), expected),
  })),
  {
    name: 'copies stand where the template stood, and an empty table makes none',
    check: () => {
      const text = ranged(
        '  - {name: first}\n  - {range: trees, name: "m-${{range.value}}"}\n  - {range: none, name: x}\n  - {name: last}\n',
      );
      assert.deepEqual(
        compiled(text).packages.map((one) => one.name),
        ['thing', 'first', 'm-2', 'm--3', 'm-10', 'last'],
      );
    },
  },
  {
    name: 'a table that is not there is an error',
    check: () =>
      assert.deepEqual(
        problems(ranged('  - {range: bushes, name: x}\n')).map((one) => one.code),
        ['unknown-variable'],
      ),
  },
  {
    name: 'a subpackage without a range has no range values',
    check: () =>
      assert.deepEqual(lines(problems(ranged('  - {name: x, pipeline: [{runs: "${{range.key}}"}]}\n'))), [
        '6:34 unknown-variable unknown variable range.key',
      ]),
  },
]);

type Planned = ReturnType<typeof compiled>['packages'][number];

conforms('† (both) range value in provider-priority and replaces-priority.', [
  ...(['provider-priority', 'replaces-priority'] as const).map((field) => ({
    name: field,
    check: () => {
      const plan = compiled(
        ranged(
          `  - {range: trees, name: "t-\${{range.key}}", dependencies: {${field}: "\${{range.value}}"}}\n`,
        ),
      );
      const property = field === 'provider-priority' ? 'providerPriority' : 'replacesPriority';
      assert.deepEqual(
        plan.packages.map((one) => one.dependencies[property]),
        [undefined, 2, -3, 10],
      );
    },
  })),
  {
    name: 'a value that is no number is an error',
    check: () => {
      const text = ranged(
        '  - {range: trees, name: "t-${{range.key}}", dependencies: {provider-priority: "${{range.key}}"}}\n',
      );
      assert.deepEqual(
        problems(text).map((one) => one.message),
        ['Elm', 'ash', 'oak'].map((key) => `a priority is a whole number, not "${key}"`),
      );
    },
  },
]);
