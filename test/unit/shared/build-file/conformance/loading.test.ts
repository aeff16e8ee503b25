/** From text to plan: lines of the section pkg/build. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../../../../runner/config.ts';
import { parseBuildFile } from '../../../../../shared/build-file/index.ts';
import { positionOf } from '../../../../../shared/build-file/place.ts';
import { compiled, parsed, problems, withPackage } from '../language.ts';
import { type ConformanceCase, conforms } from './lines.ts';

type Row = readonly [name: string, text: string, ...codes: readonly string[]];

function loads(rows: readonly Row[]): ConformanceCase[] {
  return rows.map(([name, text, ...expected]) => ({
    name: expected.length === 0 ? `${name} is accepted` : `${name} is refused`,
    check: () => {
      const { buildFile, diagnostics } = parseBuildFile({ file: 'f', text });
      assert.deepEqual(
        diagnostics.map((one) => one.code),
        expected,
      );
      assert.equal(buildFile === undefined, expected.length > 0);
    },
  }));
}

const table = 'data: [{name: t, items: {a: x, b: "y z"}}]\n';

conforms(
  '† (both) loading: subpackage ranges; GitHub and release-monitor update blocks; unknown field, missing package name, uses+runs, with+runs, invalid name, invalid name after range expansion, duplicate name are errors; build-file environment variables win over defaults.',
  [
    ...loads([
      ['a range', withPackage(`${table}subpackages: [{range: t, name: "s-\${{range.key}}"}]\n`)],
      [
        'an update block for GitHub',
        withPackage(
          'update: {enabled: true, github: {identifier: a/b, use-tag: true, strip-prefix: v, strip-suffix: -ga, tag-filter-prefix: v}}\n',
        ),
      ],
      [
        'an update block for release-monitor',
        withPackage(
          'update: {enabled: no, manual: yes, release-monitor: {identifier: 1234, strip-prefix: v, version-filter-prefix: "1."}}\n',
        ),
      ],
      ['an unknown field', withPackage('  colour: red\n'), 'unknown-key'],
      ['a missing package name', 'package: {version: 1}\n', 'missing-value'],
      ['an empty package name', 'package: {name: "", version: 1}\n', 'missing-value'],
      ['uses and runs', withPackage('pipeline: [{uses: a, runs: b}]\n'), 'invalid-value'],
      ['with and runs', withPackage('pipeline: [{with: {a: b}, runs: b}]\n'), 'invalid-value'],
      ['a name with a slash', 'package: {name: a/b, version: 1}\n', 'invalid-value'],
      ['a name that begins with a dash', 'package: {name: -a, version: 1}\n', 'invalid-value'],
      ['a name with a letter beyond ASCII', 'package: {name: café, version: 1}\n', 'invalid-value'],
      ['a name with every character allowed', 'package: {name: 9A+_.-z, version: 1}\n'],
      [
        'a name that a range makes invalid',
        withPackage(`${table}subpackages: [{range: t, name: "s-\${{range.value}}"}]\n`),
        'invalid-value',
      ],
      ['a name given twice', withPackage('subpackages: [{name: a}, {name: a}]\n'), 'invalid-value'],
    ]),
    {
      name: 'environment variables of the build file win over defaults',
      check: () => {
        const { variables } = compiled(
          withPackage('environment: {environment: {HOME: /me, GOPATH: /go, CFLAGS: -O3}}\n'),
        ).environment;
        assert.equal(variables['HOME'], '/me');
        assert.equal(variables['GOPATH'], '/go');
        assert.equal(variables['CFLAGS'], '-O3');
        assert.equal(variables['GOMODCACHE'], '/var/cache/melange/gomodcache');
      },
    },
  ],
);

const described = `# a remark\n${withPackage('  description: >-\n    lights\n    up\n  url: "https://a.example"\n')}`;

conforms('(both) loading of a raw configuration keeps the YAML tree.', [
  {
    name: 'ours: the text is kept whole',
    check: () => assert.equal(parsed(described).source.text, described),
  },
  ...(
    [
      ['the package', (file) => file.package, 3, 3],
      ['a folded text, where its content begins', (file) => file.package.description?.place, 6, 1],
      ['a quoted text', (file) => file.package.url?.place, 8, 9],
    ] satisfies readonly (readonly [
      string,
      (file: Parsed) => Parsed['package'] | Place | undefined,
      number,
      number,
    ])[]
  ).map(([name, select, line, column]) => ({
    name: `ours: instead of a tree, each value knows its place: ${name}`,
    check: () => {
      const selected = select(parsed(described));
      assert.ok(selected);
      const place = 'place' in selected ? selected.place : selected;
      assert.deepEqual(positionOf(place), { file: 'build.yaml', line, column });
    },
  })),
]);

type Parsed = ReturnType<typeof parsed>;
type Place = Parsed['package']['place'];

const dated = (value: string): string =>
  withPackage(`environment: {environment: {SOURCE_DATE_EPOCH: "${value}"}}\n`);

/** The date that the runner takes from its environment; `undefined` leaves the variable unset. */
async function runnerDate(value: string | undefined): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-config-'));
  const before = { ...process.env };
  try {
    writeFileSync(join(folder, 'backends.yaml'), 'backends: [{addr: "tcp://b:1234", arch: x86_64}]\n');
    writeFileSync(join(folder, 'repositories.yaml'), 'repositories: []\n');
    for (const name of ['GOOGLE_CLOUD_PROJECT', 'BUILDS_BUCKET', 'SPECS_BUCKETS', 'SIGNING_KEY_FILE']) {
      process.env[name] ??= 'given';
    }
    process.env['BACKENDS_FILE'] = join(folder, 'backends.yaml');
    process.env['REPOSITORIES_FILE'] = join(folder, 'repositories.yaml');
    if (value === undefined) delete process.env['SOURCE_DATE_EPOCH'];
    else process.env['SOURCE_DATE_EPOCH'] = value;
    return (await readConfig()).SOURCE_DATE_EPOCH;
  } finally {
    process.env = before;
    rmSync(folder, { recursive: true });
  }
}

conforms(
  '† (both) SOURCE_DATE_EPOCH: unset, empty → default; text → error; zero; large; with a non-zero default.',
  [
    ...(
      [
        ['unset is the default, zero', undefined, 0],
        ['empty is the default', '', 0],
        ['zero', '0', 0],
        ['a large number', '4102444800', 4_102_444_800],
      ] as const
    ).map(([name, value, expected]) => ({
      name: `for the runner, ${name}`,
      check: async () => assert.equal(await runnerDate(value), expected),
    })),
    ...['yesterday', '12x', '-1', '1.5'].map((value) => ({
      name: `for the runner, ${value} is an error`,
      check: async () => {
        await assert.rejects(runnerDate(value), /SOURCE_DATE_EPOCH/);
      },
    })),
    ...(
      [
        ['unset leaves it to the caller', withPackage(''), undefined, undefined],
        ['zero becomes 1980, which zip archives can hold', withPackage(''), 0, '315532800'],
        ['a non-zero one counts', withPackage(''), 1_700_000_000, '1700000000'],
        ['a large one counts', withPackage(''), 4_102_444_800, '4102444800'],
        ['that of the build file wins, even over 1980', dated('7'), 1_700_000_000, '7'],
        ['that of the build file counts alone', dated('9'), undefined, '9'],
      ] as const
    ).map(([name, text, sourceDateEpoch, expected]) => ({
      name: `in the plan, ${name}`,
      check: () => {
        const options = sourceDateEpoch === undefined ? {} : { sourceDateEpoch };
        assert.equal(compiled(text, options).environment.variables['SOURCE_DATE_EPOCH'], expected);
      },
    })),
  ],
);

conforms('† (both) compiling an empty configuration succeeds.', [
  {
    name: 'a package without steps has a plan without steps',
    check: () => {
      const plan = compiled(withPackage(''));
      assert.deepEqual(
        plan.packages.map((one) => [one.name, one.steps, one.test]),
        [['thing', [], undefined]],
      );
      assert.deepEqual(plan.environment.packages, []);
    },
  },
  {
    name: 'every section may be there and be empty',
    check: () => {
      const sections = [
        'environment',
        'capabilities',
        'pipeline',
        'subpackages',
        'data',
        'update',
        'vars',
        'var-transforms',
        'options',
        'test',
      ];
      for (const empty of ['', ' ~', ' null']) {
        const plan = compiled(withPackage(sections.map((key) => `${key}:${empty}\n`).join('')));
        assert.deepEqual(
          plan.packages.map((one) => one.steps),
          [[]],
        );
      }
    },
  },
  {
    name: 'ours: a file with nothing at all is refused, since nothing could be built of it',
    check: () => {
      for (const text of ['', '# nothing\n', '---\n', '{}', 'package:\n']) {
        assert.ok(problems(text).every((one) => one.code === 'missing-value'));
        assert.ok(problems(text).length > 0, JSON.stringify(text));
      }
    },
  },
]);
