/** Variables in metadata and monitors: lines of the section pkg/config. */
import assert from 'node:assert/strict';
import { textValues } from '../../../../../shared/build-file/build-file.ts';
import type { BuildFile } from '../../../../../shared/build-file/index.ts';
import { compiled, parsed, problems, withPackage } from '../language.ts';
import { conforms } from './lines.ts';

const kettle = `package:
  name: kettle
  version: 4.2.1
  epoch: 7
  dependencies:
    provides: ["kettle-api=\${{vars.api}}", "\${{package.name}}-\${{vars.series}}=\${{package.version}}"]
    runtime: ["lid=\${{package.full-version}}", "spout-\${{ vars.series }}", "sh"]
    replaces: ["\${{package.name}}<\${{package.epoch}}", "old-\${{vars.series}}"]
environment:
  contents:
    packages: ["steel-\${{vars.api}}", "\${{package.name}}-tools~\${{vars.series}}"]
vars: {api: "9"}
var-transforms:
  - {from: "\${{package.version}}", match: '^(\\d+)\\.(\\d+)\\..*', replace: '\${1}_$2', to: series}
subpackages:
  - name: \${{package.name}}-\${{vars.series}}-doc
    dependencies:
      provides: ["doc-\${{vars.api}}"]
      runtime: ["\${{package.name}}=\${{package.full-version}}", "man-\${{vars.series}}"]
      replaces: ["\${{ package.name }}-doc"]
    test:
      environment:
        contents: {packages: ["man-\${{vars.series}}"]}
        environment: {PAGER: "\${{vars.api}}"}
test:
  environment:
    contents: {packages: ["thermometer-\${{vars.series}}", "\${{package.name}}-check"]}
    environment: {DEGREES: "\${{vars.api}}", NAME: "\${{package.name}}", SERIES: "\${{vars.series}}"}
  pipeline:
    - runs: boil \${{targets.destdir}} \${{build.arch}} \${{vars.series}}
`;

type Selection = (file: BuildFile) => readonly string[];

const substituted: readonly (readonly [string, Selection, readonly string[]])[] = [
  [
    'provides',
    (file) => textValues(file.package.dependencies?.provides),
    ['kettle-api=9', 'kettle-4_2=4.2.1'],
  ],
  ['runtime', (file) => textValues(file.package.dependencies?.runtime), ['lid=4.2.1-r7', 'spout-4_2', 'sh']],
  ['replaces', (file) => textValues(file.package.dependencies?.replaces), ['kettle<7', 'old-4_2']],
  [
    'environment packages',
    (file) => textValues(file.document.environment?.contents?.packages),
    ['steel-9', 'kettle-tools~4_2'],
  ],
  [
    'test packages',
    (file) => textValues(file.document.test?.environment?.contents?.packages),
    ['thermometer-4_2', 'kettle-check'],
  ],
  [
    'test environment variables',
    (file) =>
      [...(file.document.test?.environment?.environment ?? [])].map(([key, one]) => `${key}=${one.value}`),
    ['DEGREES=9', 'NAME=kettle', 'SERIES=4_2'],
  ],
  ['subpackage names', (file) => file.subpackages.map((one) => one.name), ['kettle-4_2-doc']],
  [
    'subpackage dependencies',
    (file) => {
      const dependencies = file.subpackages[0]?.section.dependencies;
      return [dependencies?.provides, dependencies?.runtime, dependencies?.replaces].flatMap(textValues);
    },
    ['doc-9', 'kettle=4.2.1-r7', 'man-4_2', 'kettle-doc'],
  ],
  [
    'packages and variables of subpackage tests',
    (file) => {
      const environment = file.subpackages[0]?.section.test?.environment;
      return [
        ...textValues(environment?.contents?.packages),
        environment?.environment?.get('PAGER')?.value ?? '',
      ];
    },
    ['man-4_2', '9'],
  ],
  [
    'steps of tests, whose compile-only names stay',
    (file) => [file.document.test?.pipeline?.[0]?.runs?.value ?? ''],
    ['boil ${{targets.destdir}} ${{build.arch}} 4_2'],
  ],
];

conforms(
  '† (both) substitution of package, vars and transformed variables in provides, runtime, replaces, environment packages, test packages, test environment variables, subpackage names and dependencies; compile-only names in test steps survive parsing.',
  [
    ...substituted.map(([name, select, expected]) => ({
      name,
      check: () => assert.deepEqual(select(parsed(kettle)), expected),
    })),
    {
      name: 'compiling replaces what parsing left',
      check: () =>
        assert.equal(
          compiled(kettle).packages[0]?.test?.steps[0]?.script,
          'boil /home/build/melange-out/kettle x86_64 4_2',
        ),
    },
    ...['runtime', 'provides', 'replaces'].map((list) => ({
      name: `a compile-only name in ${list} is an error`,
      check: () => {
        const text = withPackage(`  dependencies:\n    ${list}: ["a-\${{targets.destdir}}"]\n`);
        assert.deepEqual(
          problems(text).map((one) => [one.code, one.message]),
          [['unknown-variable', 'unknown variable targets.destdir']],
        );
      },
    })),
  ],
);

const monitors: readonly (readonly [string, string, (update: Update) => string | undefined, string])[] = [
  [
    'the identifier for GitHub',
    'github: {identifier: "acme/${{package.name}}"}',
    (u) => u?.github?.identifier?.value,
    'acme/thing',
  ],
  [
    'tag-filter for GitHub',
    'github: {tag-filter: "v${{vars.line}}."}',
    (u) => u?.github?.tagFilter?.value,
    'v7.',
  ],
  [
    'tag-filter-prefix for GitHub',
    'github: {tag-filter-prefix: "v${{vars.line}}"}',
    (u) => u?.github?.tagFilterPrefix?.value,
    'v7',
  ],
  [
    'tag-filter-contains for GitHub',
    'github: {tag-filter-contains: "${{package.name}}"}',
    (u) => u?.github?.tagFilterContains?.value,
    'thing',
  ],
  [
    'tag-filter-prefix for plain git',
    'git: {tag-filter-prefix: "r${{vars.line}}-"}',
    (u) => u?.git?.tagFilterPrefix?.value,
    'r7-',
  ],
  [
    'tag-filter-contains for plain git',
    'git: {tag-filter-contains: "${{vars.made}}"}',
    (u) => u?.git?.tagFilterContains?.value,
    '1_2_3',
  ],
  [
    'strip-prefix for plain git',
    'git: {strip-prefix: "${{package.name}}-"}',
    (u) => u?.git?.stripPrefix?.value,
    'thing-',
  ],
  [
    'the identifier of an image',
    'oci: {identifier: "r.example/${{package.name}}"}',
    (u) => u?.oci?.identifier?.value,
    'r.example/thing',
  ],
  // The message for the robot's scheduler is the robot's; here the words are only read.
  ...['daily', 'weekly', 'monthly', 'sometimes'].map(
    (period) =>
      [
        `the period ${period} is left to the robot`,
        `schedule: {period: ${period}, reason: r}`,
        (u: Update) => u?.schedule?.period?.value,
        period,
      ] as const,
  ),
];

type Update = BuildFile['document']['update'];

conforms(
  '† U update block: variables in monitor identifiers and tag filters, for GitHub and for plain git.',
  monitors.map(([name, block, select, expected]) => ({
    name,
    check: () => {
      const text = withPackage(
        `vars: {line: "7"}\nvar-transforms: [{from: "\${{package.version}}", match: '\\.', replace: _, to: made}]\nupdate: {${block}}\n`,
      );
      assert.equal(select(parsed(text).document.update), expected);
    },
  })),
);
