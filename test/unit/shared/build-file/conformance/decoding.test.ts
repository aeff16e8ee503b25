/** Decoding: section 1 of the specification of the build file, row by row. */
import assert from 'node:assert/strict';
import { textValues } from '../../../../../shared/build-file/build-file.ts';
import { compiled, lines, parsed, pipelines, problems, scripts, withPackage } from '../language.ts';
import { type ConformanceCase, specified } from './lines.ts';

type BuildFile = ReturnType<typeof parsed>;

interface Decoding<T> {
  /** The sections of a build file in which a scalar is written at a place of this type. */
  readonly sections: (written: string) => string;
  readonly read: (file: BuildFile) => T;
  readonly accepted: readonly (readonly [written: string, value: T])[];
  readonly refused: readonly string[];
}

function decodes<T>({ sections, read, accepted, refused }: Decoding<T>): ConformanceCase[] {
  const shown = (written: string): string =>
    written === '' ? 'an empty value' : written.trim().replaceAll('\n', '⏎');
  return [
    ...accepted.map(([written, value]) => ({
      name: `${shown(written)} is ${JSON.stringify(value) ?? 'left out'}`,
      check: () => assert.deepEqual(read(parsed(withPackage(sections(written)))), value),
    })),
    ...refused.map((written) => ({
      name: `${shown(written)} is refused`,
      check: () => {
        const found = problems(withPackage(sections(written)));
        assert.equal(found[0]?.code, 'wrong-type', lines(found).join('\n'));
      },
    })),
  ];
}

specified(
  'string: any scalar; the value is the source text of the scalar, not its parsed value',
  decodes<string | undefined>({
    sections: (written) => `  description: ${written}\n`,
    read: (file) => file.package.description?.value,
    accepted: [
      ['1.10', '1.10'],
      ['3.0', '3.0'],
      ['010', '010'],
      ['0x10', '0x10'],
      ['1e3', '1e3'],
      ['1_000', '1_000'],
      ['+1', '+1'],
      ['.inf', '.inf'],
      ['true', 'true'],
      ['Yes', 'Yes'],
      ['2024-01-01', '2024-01-01'],
      ['12:30:45', '12:30:45'],
      ['', ''],
      ['null', ''],
      ['~', ''],
      ['NULL', ''],
      ['"null"', 'null'],
      ["'~'", '~'],
      ['"a\\tb\\u00e9"', 'a\tbé'],
      ["'it''s'", "it's"],
      ['two\n    lines', 'two lines'],
      ['|\n    two\n    lines\n', 'two\nlines\n'],
      ['>-\n    two\n    lines\n', 'two lines'],
      ['|+\n    x\n', 'x\n\n'],
    ],
    refused: ['[a]', '{a: b}', '[]', '{}'],
  }),
);

specified(
  'map of string to string (`with`, `vars`, `environment`, `data.items`, `annotations`…): each value as for string',
  [
    ...decodes<Readonly<Record<string, string>>>({
      sections: (written) => `  annotations: ${written}\n`,
      read: (file) =>
        Object.fromEntries([...(file.package.annotations ?? [])].map(([key, { value }]) => [key, value])),
      accepted: [
        ['{a: 0, b: 1.10, c: yes, d: ~, e: "x"}', { a: '0', b: '1.10', c: 'yes', d: '', e: 'x' }],
        ['{3.10: x, true: y, 010: z}', { '3.10': 'x', true: 'y', '010': 'z' }],
        ['{}', {}],
        ['~', {}],
        ['', {}],
      ],
      refused: ['text', '[a]', '{a: [b]}', '{a: {b: c}}', '{a: []}'],
    }),
    ...(
      [
        ['with', 'pipeline: [{uses: p, with: {n: 0}}]\n', ['0']],
        ['vars', 'vars: {n: 1.0}\npipeline: [{runs: "${{vars.n}}"}]\n', ['1.0']],
        [
          'data.items',
          'data: [{name: t, items: {1.10: 007}}]\nsubpackages: [{range: t, name: "s-${{range.key}}-${{range.value}}"}]\npipeline: [{runs: "${{targets.package.s-1.10-007}}"}]\n',
          ['/home/build/melange-out/s-1.10-007'],
        ],
      ] as const
    ).map(([name, sections, expected]) => ({
      name: `${name} keeps the text of numbers`,
      check: () => {
        const lookup = pipelines({ p: 'inputs: {n: {default: 1}}\nruns: ${{inputs.n}}\n' });
        assert.deepEqual(scripts(compiled(withPackage(sections), { lookup })), expected);
      },
    })),
    {
      name: 'environment keeps the text of numbers',
      check: () => {
        const { variables } = compiled(
          withPackage('environment: {environment: {N: 1.50, B: on}}\n'),
        ).environment;
        assert.deepEqual([variables['N'], variables['B']], ['1.50', 'on']);
      },
    },
    {
      name: 'a YAML list for sparse-paths is refused, a block scalar is taken',
      check: () => {
        const text = (paths: string): string =>
          withPackage(
            `pipeline:\n  - uses: git-checkout\n    with:\n      repository: r\n      sparse-paths: ${paths}\n`,
          );
        assert.deepEqual(lines(problems(text('[a, b]'))), ['8:21 wrong-type expected a text, found a list']);
        assert.deepEqual(problems(text('|\n        a\n        b')), []);
      },
    },
  ],
);

specified(
  'unsigned integer (`epoch`): integer literals, octal, and floats; ours: refuse a float with a fraction',
  [
    ...decodes<number | undefined>({
      sections: (written) => `  epoch: ${written}\n`,
      read: (file) => file.package.epoch,
      accepted: [
        ['0', 0],
        ['7', 7],
        ['+7', 7],
        ['1_000', 1000],
        ['0x1f', 31],
        ['0x1F', 31],
        ['010', 8],
        ['0o17', 15],
        ['0b101', 5],
        ['1.0', 1],
        ['1e3', 1000],
        ['', undefined],
        ['~', undefined],
        ['null', undefined],
      ],
      refused: [
        '1.9',
        '0.5',
        '"1"',
        "'1'",
        '-1',
        'one',
        'true',
        '1 2',
        '0x',
        '.inf',
        '.nan',
        '[1]',
        '{}',
        '2024-01-01',
        '1e30',
      ],
    }),
    {
      name: 'a missing one is 0',
      check: () => assert.equal(parsed(withPackage('')).fullVersion, '1.2.3-r0'),
    },
    {
      name: 'an octal one counts in the full version',
      check: () => assert.equal(parsed(withPackage('  epoch: 010\n')).fullVersion, '1.2.3-r8'),
    },
  ],
);

specified(
  'bool: plain `true/false`; `y/n/yes/no/on/off` in the usual capitalisations, these also when quoted',
  decodes<boolean | undefined>({
    sections: (written) => `  options: {no-provides: ${written}}\n`,
    read: (file) => file.package.options?.noProvides,
    accepted: [
      ...[
        'true',
        'True',
        'TRUE',
        'y',
        'Y',
        'yes',
        'Yes',
        'YES',
        'on',
        'On',
        'ON',
        '"y"',
        '"yes"',
        "'on'",
      ].map((written) => [written, true] as const),
      ...[
        'false',
        'False',
        'FALSE',
        'n',
        'N',
        'no',
        'No',
        'NO',
        'off',
        'Off',
        'OFF',
        '"n"',
        '"no"',
        "'off'",
      ].map((written) => [written, false] as const),
      ['', undefined],
      ['~', undefined],
    ],
    refused: ['"true"', "'false'", 'tRUE', 'yEs', '1', '0', '""', 'enabled', '[true]', 't'],
  }),
);

specified(
  'duration (`package.timeout`): a decimal number with unit `ns us ms s m h`, concatenable; a bare integer (even `0`) is an error',
  decodes<number | undefined>({
    sections: (written) => `  timeout: ${written}\n`,
    read: (file) => file.package.timeout?.ms,
    accepted: [
      ['1h30m', 5_400_000],
      ['90s', 90_000],
      ['1.5h', 5_400_000],
      ['250ms', 250],
      ['1m0.5s', 60_500],
      ['2us', 0.002],
      ['1000000ns', 1],
      ['"2h"', 7_200_000],
      ['0s', 0],
      ['~', undefined],
    ],
    refused: ['0', '30', '1.5', '1d', '1 h', 'h', '1h30', 'soon', '[1h]', 'true'],
  }),
);

specified(
  'list of strings: a YAML list; `null` gives empty; a lone scalar is an error',
  decodes<readonly string[]>({
    sections: (written) => `  dependencies: {runtime: ${written}}\n`,
    read: (file) => textValues(file.package.dependencies?.runtime),
    accepted: [
      ['[a, 1.10, yes]', ['a', '1.10', 'yes']],
      ['[]', []],
      ['', []],
      ['null', []],
      ['~', []],
    ],
    refused: ['bash', '"bash"', '""', '{a: b}', '1', '[[a]]', '[{a: b}]'],
  }),
);

specified(
  'keys: strict in build files with the line of each problem, not in pipeline files; duplicates never',
  [
    {
      name: 'several problems are reported together, each with its line',
      check: () => {
        const text = withPackage('  epoch: x\n  homepage: y\nvars: [a]\nsubpackage: []\n');
        assert.deepEqual(
          problems(text).map((one) => [one.position.line, one.code]),
          [
            [4, 'wrong-type'],
            [5, 'unknown-key'],
            [6, 'wrong-type'],
            [7, 'unknown-key'],
          ],
        );
      },
    },
    ...(
      [
        ['at the top level', 'vars: {}\nvars: {}\n', 5],
        ['in a flow mapping', 'vars: {a: 1, b: 2, a: 1}\n', 4],
        ['in a step', 'pipeline:\n  - runs: a\n    runs: b\n', 6],
        ['written once with quotes', 'vars:\n  a: 1\n  "a": 2\n', 6],
        ['two merge keys', 'vars:\n  <<: {a: 1}\n  <<: {b: 1}\n', 6],
      ] as const
    ).map(([name, sections, line]) => ({
      name: `a duplicate key ${name} is refused`,
      check: () => {
        const found = problems(withPackage(sections));
        assert.deepEqual(
          found.map((one) => [one.code, one.position.line]),
          [['yaml-syntax', line]],
        );
        assert.match(found[0]?.message ?? '', /stands twice/);
      },
    })),
    {
      name: 'a pipeline file may have unknown keys anywhere, but none twice',
      check: () => {
        const text = withPackage('pipeline: [{uses: p}]\n');
        const lenient =
          'description: d\nextra: {a: [1]}\npipeline: [{runs: x, odd: 1, needs: {package: [a]}}]\n';
        assert.deepEqual(scripts(compiled(text, { lookup: pipelines({ p: lenient }) })), ['x']);
        assert.equal(
          problems(text, { lookup: pipelines({ p: 'odd: 1\nodd: 2\n' }) })[0]?.code,
          'unknown-pipeline',
        );
      },
    },
    {
      name: 'a pipeline file is judged by its types all the same',
      check: () => {
        const text = withPackage('pipeline: [{uses: p}]\n');
        assert.equal(
          problems(text, { lookup: pipelines({ p: 'needs: {packages: a}\n' }) })[0]?.code,
          'unknown-pipeline',
        );
      },
    },
  ],
);

specified('documents, anchors, aliases and merge keys', [
  {
    name: 'only the first document is read',
    check: () => assert.equal(parsed(`---\n${withPackage('')}---\npackage: {name: other}\n`).name, 'thing'),
  },
  {
    name: 'anchors, aliases and merge keys work everywhere, own keys and earlier merged mappings winning',
    check: () => {
      const plan = compiled(
        withPackage(
          [
            '  dependencies: &deps {runtime: [&shell bash, sh]}',
            'environment:',
            '  contents: {packages: [*shell]}',
            '  environment: {<<: [&a {X: "1", Y: "1"}, {X: "2", Z: "2"}], Y: "3"}',
            'subpackages:',
            '  - {name: s, dependencies: *deps, pipeline: [&step {runs: x, environment: {<<: *a}}, *step]}',
            '',
          ].join('\n'),
        ),
      );
      assert.deepEqual(plan.environment.packages, ['bash']);
      const { X, Y, Z } = plan.environment.variables;
      assert.deepEqual([X, Y, Z], ['1', '3', '2']);
      assert.deepEqual(plan.packages[1]?.dependencies.runtime, ['bash', 'sh']);
      assert.deepEqual(
        plan.packages[1]?.steps.map((step) => [step.script, { ...step.environment }]),
        [
          ['x', { X: '1', Y: '1' }],
          ['x', { X: '1', Y: '1' }],
        ],
      );
    },
  },
]);
