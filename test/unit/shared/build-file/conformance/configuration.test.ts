/** Validation and metadata: lines of the section pkg/config. */
import assert from 'node:assert/strict';
import { parseBuildFile } from '../../../../../shared/build-file/index.ts';
import { compiled, lines, parsed, problems, withPackage } from '../language.ts';
import { type ConformanceCase, conforms } from './lines.ts';

/** Code and severity-free message of each problem of a build file with these sections. */
function codes(sections: string): string[] {
  return problems(withPackage(sections)).map((one) => one.code);
}

type Row = readonly [name: string, sections: string, ...codes: readonly string[]];

function judged(rows: readonly Row[]): ConformanceCase[] {
  return rows.map(([name, sections, ...expected]) => ({
    name: expected.length === 0 ? `${name} is accepted` : `${name} is refused`,
    check: () => assert.deepEqual(codes(sections).sort(), [...expected].sort()),
  }));
}

const cpe = (fields: string): string => `  cpe: {${fields}}\n`;

conforms(
  '† (both) CPE validation: vendor+product suffices; each alone is an error; extra fields allowed; bad part; bad characters (two cases).',
  judged([
    ['vendor and product', cpe('vendor: acme, product: anvil')],
    ['no field at all', cpe('')],
    ['a vendor alone', cpe('vendor: acme'), 'missing-value'],
    ['a product alone', cpe('product: anvil'), 'missing-value'],
    [
      'every further field',
      cpe(
        'part: o, vendor: acme, product: anvil, edition: x1, language: de, sw_edition: lts, target_sw: linux, target_hw: arm64, other: a+b_c.d-e',
      ),
    ],
    ['the part a', cpe('part: a, vendor: acme, product: anvil')],
    ['the part h', cpe('part: h, vendor: acme, product: anvil'), 'invalid-value'],
    ['a part that is a word', cpe('part: app, vendor: acme, product: anvil'), 'invalid-value'],
    ['a capital letter', cpe('vendor: acme, product: anvil, edition: Pro'), 'invalid-value'],
    ['a blank', cpe('vendor: acme, product: anvil, target_sw: "node js"'), 'invalid-value'],
    ['a leading dash', cpe('vendor: acme, product: anvil, other: -x'), 'invalid-value'],
    ['an asterisk as vendor', cpe('vendor: "*", product: anvil'), 'invalid-value'],
    ['an asterisk as product', cpe('vendor: acme, product: "*"'), 'invalid-value'],
    [
      'three mistakes together',
      cpe('part: x, vendor: acme, language: D'),
      'invalid-value',
      'missing-value',
      'invalid-value',
    ],
  ]),
);

conforms(
  '(both) package annotations kept; U: subpackage annotations kept and substituted.',
  (
    [
      ['of the package', 0, { 'acme.example/owner': 'team lamp', 'acme.example/size': '3.10', empty: '' }],
      ['of a subpackage, with variables', 1, { 'acme.example/of': 'thing 1.2.3', raw: '${{build.arch}}' }],
      ['of a ranged subpackage', 2, { key: 'k', value: 'v' }],
    ] as const
  ).map(([name, index, expected]) => ({
    name,
    check: () => {
      const plan = compiled(
        withPackage(
          [
            '  annotations: {acme.example/size: 3.10, acme.example/owner: team lamp, empty: }',
            'data: [{name: t, items: {k: v}}]',
            'subpackages:',
            '  - name: one',
            '    annotations: {raw: "${{build.arch}}", acme.example/of: "${{package.name}} ${{package.version}}"}',
            '  - {range: t, name: two, annotations: {key: "${{range.key}}", value: "${{range.value}}"}}',
            '',
          ].join('\n'),
        ),
      );
      assert.deepEqual(plan.packages[index]?.annotations, expected);
    },
  })),
);

conforms(
  '† (both) duplicate subpackage names are rejected.',
  judged([
    ['two subpackages of one name', 'subpackages: [{name: a}, {name: b}, {name: a}]\n', 'invalid-value'],
    ['the name of the main package', 'subpackages: [{name: thing}]\n', 'invalid-value'],
    [
      'names that are equal after replacement',
      'subpackages: [{name: thing-x}, {name: "${{package.name}}-x"}]\n',
      'invalid-value',
    ],
    [
      'copies of a range that does not vary its name',
      'data: [{name: t, items: {a: b, c: d}}]\nsubpackages: [{range: t, name: same}]\n',
      'invalid-value',
    ],
    ['names that differ in case', 'subpackages: [{name: a}, {name: A}]\n'],
  ]),
);

conforms(
  '† (both) step validation: uses+with fine; with alone, uses+runs, with+runs rejected; uses+pipeline accepted with warning.',
  [
    ...judged([
      ['uses with arguments', 'pipeline: [{uses: patch, with: {patches: x}}]\n'],
      ['with alone', 'pipeline: [{with: {patches: x}}]\n', 'invalid-value'],
      ['with and nested steps', 'pipeline: [{with: {patches: x}, pipeline: [{runs: a}]}]\n', 'invalid-value'],
      ['an empty with alone', 'pipeline: [{with: {}}]\n'],
      ['uses and runs', 'pipeline: [{uses: patch, runs: x}]\n', 'invalid-value'],
      ['with and runs', 'pipeline: [{runs: x, with: {a: b}}]\n', 'invalid-value'],
      ['an empty with beside runs', 'pipeline: [{runs: x, with: {}}]\n'],
      ['uses and runs below other steps', 'pipeline: [{pipeline: [{uses: a, runs: x}]}]\n', 'invalid-value'],
      [
        'uses and runs in a subpackage',
        'subpackages: [{name: s, pipeline: [{uses: a, runs: x}]}]\n',
        'invalid-value',
      ],
    ]),
    {
      name: 'uses beside its own pipeline is accepted with a warning, and not looked up',
      check: () => {
        const text = withPackage('pipeline: [{uses: nowhere, with: {a: b}, pipeline: [{runs: x}]}]\n');
        assert.deepEqual(
          parseBuildFile({ file: 'f', text }).diagnostics.map((one) => [one.severity, one.position.line]),
          [['warning', 4]],
        );
        assert.deepEqual(
          compiled(text).packages[0]?.steps.map((step) => step.script),
          ['x'],
        );
      },
    },
    {
      name: 'pipelines of tests are not judged by these rules: runs comes before what uses brings',
      check: () => {
        const plan = compiled(withPackage('test: {pipeline: [{uses: strip, runs: first}]}\n'));
        const [first, ...others] = plan.packages[0]?.test?.steps ?? [];
        assert.equal(first?.script, 'first');
        assert.ok(others.length > 0);
      },
    },
  ],
);

const setcap = (...entries: readonly string[]): string => `  setcap: [${entries.join(', ')}]\n`;

conforms(
  '† (both) setcap parse and validation: good and bad names, missing reasons, several problems together.',
  [
    ...(
      ['cap_net_bind_service', 'cap_net_admin', 'cap_net_raw', 'cap_ipc_lock', 'cap_sys_admin'] as const
    ).map((name) => ({
      name: `${name} may be given`,
      check: () => {
        const plan = compiled(withPackage(setcap(`{path: bin/x, add: {${name}: +eip}, reason: why}`)));
        assert.deepEqual(plan.packages[0]?.setcap, [{ path: 'bin/x', add: { [name]: '+eip' } }]);
      },
    })),
    {
      name: 'a list of names with commas is taken apart',
      check: () => {
        const plan = compiled(
          withPackage(
            setcap('{path: /x, add: {"cap_net_raw,cap_ipc_lock": "=ep", cap_net_admin: +i}, reason: w}'),
          ),
        );
        assert.deepEqual(plan.packages[0]?.setcap, [
          { path: '/x', add: { cap_ipc_lock: '=ep', cap_net_admin: '+i', cap_net_raw: '=ep' } },
        ]);
      },
    },
    ...judged([
      ['an unknown name', setcap('{path: x, add: {cap_fly: +ep}, reason: w}'), 'invalid-value'],
      [
        'a name of Linux that is not allowed',
        setcap('{path: x, add: {cap_chown: +ep}, reason: w}'),
        'invalid-value',
      ],
      [
        'an unknown name in a list',
        setcap('{path: x, add: {"cap_net_raw,cap_fly": +ep}, reason: w}'),
        'invalid-value',
      ],
      ['a missing reason', setcap('{path: x, add: {cap_net_raw: +ep}}'), 'missing-value'],
      ['an empty reason', setcap('{path: x, add: {cap_net_raw: +ep}, reason: ""}'), 'missing-value'],
      [
        'each of several problems',
        setcap(
          '{path: x, add: {cap_a: +e, "cap_b,cap_net_raw": +p}}',
          '{path: y, add: {cap_c: +e}, reason: w}',
        ),
        'invalid-value',
        'invalid-value',
        'missing-value',
        'invalid-value',
      ],
    ]),
    {
      name: 'a subpackage is judged alike, and ours: keeps its capabilities',
      check: () => {
        const sections = (reason: string): string =>
          `subpackages:\n  - name: s\n    setcap: [{path: bin/y, add: {cap_net_raw: +ep}, reason: "${reason}"}]\n`;
        assert.deepEqual(codes(sections('')), ['missing-value']);
        assert.deepEqual(compiled(withPackage(sections('why'))).packages[1]?.setcap, [
          { path: 'bin/y', add: { cap_net_raw: '+ep' } },
        ]);
      },
    },
  ],
);

const allResources = { cpu: '4', cpumodel: 'zen4', memory: '8Gi', disk: '50Gi' };

conforms(
  '(both) test-resources: with or without resources, independent of them, empty object, all fields, malformed YAML error.',
  [
    ...(
      [
        ['without resources', '  test-resources: {cpu: 2}\n', {}, { cpu: '2' }],
        [
          'with other resources',
          '  resources: {cpu: 9}\n  test-resources: {cpu: 2}\n',
          { cpu: '9' },
          { cpu: '2' },
        ],
        ['resources alone', '  resources: {memory: 1.50}\n', { memory: '1.50' }, undefined],
        ['an empty mapping', '  test-resources: {}\n', {}, {}],
        [
          'all fields',
          '  test-resources: {cpu: 4, cpumodel: zen4, memory: 8Gi, disk: 50Gi}\n',
          {},
          allResources,
        ],
      ] as const
    ).map(([name, sections, forBuild, forTests]) => ({
      name,
      check: () => {
        const text = withPackage(sections);
        const given = parsed(text).package.testResources;
        assert.deepEqual(
          given &&
            Object.fromEntries(
              Object.keys(allResources).flatMap((key) => {
                const value = given[key as keyof typeof allResources]?.value;
                return value === undefined ? [] : [[key, value]];
              }),
            ),
          forTests,
        );
        assert.deepEqual(compiled(text).resources, forBuild);
      },
    })),
    ...judged([
      ['a list', '  test-resources: [cpu]\n', 'wrong-type'],
      ['a list as a field', '  test-resources: {cpu: [1]}\n', 'wrong-type'],
      ['an unknown field', '  test-resources: {cpus: 1}\n', 'unknown-key'],
      ['broken YAML', '  test-resources: {cpu: 1\n', 'yaml-syntax'],
    ]),
  ],
);

const defaults = {
  HOME: '/home/build',
  GOPATH: '/home/build/.cache/go',
  GOMODCACHE: '/var/cache/melange/gomodcache',
  UV_CACHE_DIR: '/var/cache/melange/uv',
  PIP_CACHE_DIR: '/var/cache/melange/pip',
  COMPOSER_CACHE_DIR: '/var/cache/melange/composer',
  npm_config_cache: '/var/cache/melange/npm',
};

function variables(entries: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const environment = JSON.stringify({ environment: entries });
  return compiled(withPackage(`environment: ${environment}\n`)).environment.variables;
}

conforms(
  '† U default environment variables: all set when none given; each can be overridden; unrelated ones do not disturb.',
  [
    { name: 'all are set when none is given', check: () => assert.deepEqual({ ...variables({}) }, defaults) },
    {
      name: 'all are set without the section',
      check: () => assert.deepEqual({ ...compiled(withPackage('')).environment.variables }, defaults),
    },
    ...Object.keys(defaults).flatMap((name) => [
      {
        name: `${name} can be set`,
        check: () =>
          assert.deepEqual({ ...variables({ [name]: '/mine' }) }, { ...defaults, [name]: '/mine' }),
      },
      {
        name: `${name} has its default where it is set to nothing`,
        check: () => assert.deepEqual({ ...variables({ [name]: '' }) }, defaults),
      },
    ]),
    {
      name: 'others stay beside them, also when empty',
      check: () =>
        assert.deepEqual(
          { ...variables({ CC: 'gcc', home: 'x', NO: '' }) },
          { ...defaults, CC: 'gcc', home: 'x', NO: '' },
        ),
    },
  ],
);

conforms(
  '† U variables in copyright (license, license-path, paths) are substituted.',
  (
    [
      ['license', (entry) => entry.license, 'LicenseRef-thing'],
      ['license-path', (entry) => entry.licensePath, 'src-1.2.3/COPYING'],
      ['paths', (entry) => entry.paths, ['/usr/thing', '*', '${{build.arch}}']],
      ['attestation stays as written', (entry) => entry.attestation, 'by ${{package.name}}'],
      ['detection-override stays as written', (entry) => entry.detectionOverride, '${{package.name}}'],
    ] satisfies readonly (readonly [string, (entry: Copyright) => unknown, unknown])[]
  ).map(([name, select, expected]) => ({
    name,
    check: () => {
      const [entry] = copyright();
      assert.ok(entry);
      assert.deepEqual(select(entry), expected);
    },
  })),
);

type Copyright = ReturnType<typeof copyright>[number];

function copyright() {
  const plan = compiled(
    withPackage(
      [
        '  copyright:',
        '    - license: LicenseRef-${{vars.short}}',
        '      license-path: src-${{package.version}}/COPYING',
        '      paths: ["/usr/${{package.name}}", "*", "${{build.arch}}"]',
        '      attestation: by ${{package.name}}',
        '      detection-override: ${{package.name}}',
        'vars: {short: thing}',
        '',
      ].join('\n'),
    ),
  );
  return plan.packages[0]?.copyright ?? [];
}

conforms(
  '† U an unknown key error names the line.',
  (
    [
      ['at the top level', 'pipelines: []\n', 4, 'pipelines'],
      ['in the package', '  url: x\n  homepage: y\n', 5, 'homepage'],
      ['in the dependencies', '  dependencies:\n    runtime: []\n    vendored: []\n', 6, 'vendored'],
      ['in a step', 'pipeline:\n  - name: a\n    run: x\n', 6, 'run'],
      ['in a nested step', 'pipeline:\n  - pipeline:\n      - runs: x\n\n        env: {}\n', 8, 'env'],
      ['in a subpackage', 'subpackages:\n  - name: a\n    version: 1\n', 6, 'version'],
      ['in the environment', 'environment:\n  contents:\n    package: []\n', 6, 'package'],
      ['in the update block', 'update:\n  enabled: true\n  gitlab: {}\n', 6, 'gitlab'],
      ['in a test', 'test:\n  pipeline: []\n  needs: []\n', 6, 'needs'],
    ] as const
  ).map(([name, sections, line, key]) => ({
    name,
    check: () => {
      const found = problems(withPackage(sections));
      assert.deepEqual(
        found.map((one) => [one.code, one.position.line, one.message]),
        [['unknown-key', line, `unknown key "${key}"`]],
      );
      assert.match(lines(found)[0] ?? '', new RegExp(`^${line}:`));
    },
  })),
);

conforms(
  'M2: iteration over all package names (main first); configuration name equals package name; monitor accessors.',
  [
    {
      name: 'the packages of the plan begin with the main one, the subpackages follow in the order of the file',
      check: () => {
        const plan = compiled(
          withPackage(
            'data: [{name: t, items: {y: "", x: ""}}]\nsubpackages: [{name: z}, {range: t, name: "a-${{range.key}}"}, {name: b}]\n',
          ),
        );
        assert.deepEqual(
          plan.packages.map((one) => one.name),
          ['thing', 'z', 'a-x', 'a-y', 'b'],
        );
      },
    },
    {
      name: 'the name of the plan is that of the package',
      check: () => {
        const plan = compiled(withPackage('subpackages: [{name: z}]\n'));
        assert.equal(plan.name, 'thing');
        assert.equal(plan.name, plan.packages[0]?.name);
      },
    },
    {
      name: 'the monitors can be read from the parsed file',
      check: () => {
        const { update } = parsed(
          withPackage(
            'update: {release-monitor: {identifier: 42}, github: {identifier: acme/lamp}, git: {strip-prefix: v}}\n',
          ),
        ).document;
        assert.equal(update?.releaseMonitor?.identifier, 42);
        assert.equal(update?.github?.identifier?.value, 'acme/lamp');
        assert.equal(update?.git?.stripPrefix?.value, 'v');
        assert.equal(update?.oci, undefined);
      },
    },
  ],
);
