import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isBuildFile, parseBuildFile } from '../../../../shared/build-file/index.ts';
import { parseBoolean, parseDuration, parseUnsigned } from '../../../../shared/build-file/scalars.ts';
import { compiled, fixture, lines, parsed, scripts, withPackage } from './language.ts';

describe('scalars keep their source text', () => {
  for (const written of ['1.10', '3.0', '010', '0x10', '2024.01', '1_p1', "'1.10'", '"1.10"']) {
    const expected = written.replace(/["']/g, '');
    test(`version ${written} is ${expected}`, () => {
      const { diagnostics } = parseBuildFile({
        file: 'f',
        text: `package: {name: a, version: ${written}}\n`,
      });
      const valid = !written.startsWith('0x');
      assert.deepEqual(diagnostics.length === 0, valid);
      if (valid) assert.equal(parsed(`package: {name: a, version: ${written}}\n`).version, expected);
    });
  }

  test('numbers, booleans, dates and null as arguments and variables are texts', () => {
    const plan = compiled(
      withPackage(
        'vars: {a: 1.10, b: true, c: 2024-01-01, d: ~, e: 1e3, f: yes}\npipeline:\n  - runs: ${{vars.a}} ${{vars.b}} ${{vars.c}} [${{vars.d}}] ${{vars.e}} ${{vars.f}}\n',
      ),
    );
    assert.deepEqual(scripts(plan), ['1.10 true 2024-01-01 [] 1e3 yes']);
  });
});

test('unsigned integers are read as go-yaml reads them, but fractions are refused', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['0', 0],
    ['1_000', 1000],
    ['0x1f', 31],
    ['010', 8],
    ['0o17', 15],
    ['0b11', 3],
    ['+7', 7],
    ['1.0', 1],
    ['1e3', 1000],
    ['1.9', undefined],
    ['-1', undefined],
    ['08', 8],
    ['x', undefined],
    ['', undefined],
    ['99999999999999999999', undefined],
  ];
  for (const [text, expected] of cases) assert.equal(parseUnsigned(text), expected, text);
});

test('quoted true is no boolean, quoted yes is one', () => {
  assert.equal(parseBoolean({ value: 'TRUE', plain: true }), true);
  assert.equal(parseBoolean({ value: 'true', plain: false }), undefined);
  assert.equal(parseBoolean({ value: 'yes', plain: false }), true);
  assert.equal(parseBoolean({ value: 'Off', plain: true }), false);
  assert.equal(parseBoolean({ value: '1', plain: true }), undefined);
});

test('durations have units and may be joined', () => {
  assert.equal(parseDuration('1h30m'), 5_400_000);
  assert.equal(parseDuration('1.5s'), 1500);
  assert.equal(parseDuration('500us'), 0.5);
  for (const wrong of ['0', '30', '1d', '', '-1s', '1 s', 's'])
    assert.equal(parseDuration(wrong), undefined, wrong);
});

describe('YAML', () => {
  test('anchors, aliases and merge keys work, and own keys win over merged ones', () => {
    const plan = compiled(
      withPackage(
        [
          'vars: &base {a: one, b: two}',
          'pipeline:',
          '  - &step {runs: first, environment: &env {X: "1", Y: "2"}}',
          '  - *step',
          '  - runs: third',
          '    environment: {<<: *env, X: "9"}',
          '  - <<: [*step]',
          '    runs: fourth',
          '',
        ].join('\n'),
      ),
    );
    assert.deepEqual(scripts(plan), ['first', 'first', 'third', 'fourth']);
    assert.deepEqual(plan.packages[0]?.steps[2]?.environment, { X: '9', Y: '2' });
    assert.deepEqual(plan.packages[0]?.steps[3]?.environment, { X: '1', Y: '2' });
  });

  test('only the first document is read, even when a later one is broken', () => {
    assert.equal(parsed(`# c\n%YAML 1.1\n---\n${withPackage('')}---\n{{{\n`).name, 'thing');
    assert.equal(parsed(`${withPackage('')}...\nx: [\n`).name, 'thing');
    assert.equal(parsed(withPackage('')).name, 'thing');
  });

  test('CRLF line ends and a byte order mark are fine and keep positions right', () => {
    const text = `\uFEFF${withPackage('nope: 1\n').replaceAll('\n', '\r\n')}`;
    const { diagnostics } = parseBuildFile({ file: 'f', text });
    assert.deepEqual(lines(diagnostics), ['4:1 unknown-key unknown key "nope"']);
  });

  test('aliases that multiply are stopped', () => {
    const levels = Array.from({ length: 12 }, (_, level) =>
      level === 0
        ? '  a0: &a0 [x,x,x,x,x,x,x,x,x,x]'
        : `  a${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(',')}]`,
    );
    const { diagnostics } = parseBuildFile({ file: 'f', text: withPackage(`vars:\n${levels.join('\n')}\n`) });
    assert.equal(diagnostics[0]?.code, 'build-file-too-large');
  });

  test('a file over the limit is refused without reading it', () => {
    const { diagnostics } = parseBuildFile({ file: 'f', text: 'x'.repeat(1024 * 1024 + 1) });
    assert.equal(diagnostics[0]?.code, 'build-file-too-large');
  });

  test('nesting beyond a hundred levels is refused', () => {
    const { diagnostics } = parseBuildFile({ file: 'f', text: `a: ${'['.repeat(200)}${']'.repeat(200)}` });
    assert.equal(diagnostics[0]?.code, 'yaml-syntax');
  });
});

describe('parsing', () => {
  test('known names are replaced exactly, others stay for later, values are not scanned again', () => {
    const buildFile = parsed(
      withPackage(
        [
          '  description: v${{package.version}} ${{ package.version }} ${{nothing}} ${x} {{y}}',
          '  url: https://${{package.name}}.example/${{package.full-version}}/${{package.epoch}}',
          '  cpe: {vendor: v, product: p, other: "x"}',
          '',
        ].join('\n'),
      ),
    );
    assert.equal(
      buildFile.package.description?.value,
      'v1.2.3 ${{ package.version }} ${{nothing}} ${x} {{y}}',
    );
    assert.equal(buildFile.package.url?.value, 'https://thing.example/1.2.3-r0/0');
  });

  test('a vars file overwrites vars, also when the build file has none', () => {
    const varsFile = { file: 'vars.yaml', text: 'colour: red\nsize: 1.0\n' };
    for (const sections of ['vars: {colour: blue, shape: round}\n', '']) {
      const text = withPackage(sections);
      const { buildFile } = parseBuildFile({ file: 'f', text, varsFile });
      assert.equal(buildFile?.parseValues.get('vars.colour'), 'red');
      assert.equal(buildFile?.parseValues.get('vars.size'), '1.0');
    }
  });

  test('a broken vars file is reported under its own name', () => {
    const { buildFile, diagnostics } = parseBuildFile({
      file: 'f',
      text: withPackage(''),
      varsFile: { file: 'vars.yaml', text: 'a: [1]\n' },
    });
    assert.equal(buildFile, undefined);
    assert.equal(diagnostics[0]?.position.file, 'vars.yaml');
  });

  test('vars may refer to each other in any order and to the package', () => {
    const { parseValues } = parsed(
      withPackage(
        'vars:\n  url: ${{vars.host}}/${{package.version}}\n  host: https://h\n  later: ${{build.arch}}\n',
      ),
    );
    assert.equal(parseValues.get('vars.url'), 'https://h/1.2.3');
    assert.equal(parseValues.get('vars.later'), '${{build.arch}}');
  });

  test('a range makes one subpackage per item, in the order of keys, where the template stood', () => {
    const { subpackages } = parsed(
      withPackage(
        [
          'data:',
          '  - {name: t, items: {old: x}}',
          '  - {name: t, items: {b: "2", a: "1", B: "3"}}',
          'subpackages:',
          '  - name: first',
          '  - range: t',
          '    name: sub-${{range.key}}',
          '    description: item ${{range.value}} of ${{package.name}}',
          '    dependencies: {provider-priority: "${{range.value}}", replaces-priority: "${{range.value}}"}',
          '  - name: last',
          '',
        ].join('\n'),
      ),
    );
    assert.deepEqual(
      subpackages.map((one) => one.name),
      ['first', 'sub-B', 'sub-a', 'sub-b', 'last'],
    );
    assert.equal(subpackages[2]?.section.description?.value, 'item 1 of thing');
    assert.equal(subpackages[3]?.section.dependencies?.providerPriority?.value, '2');
  });

  test('references with blanks are replaced in dependencies and package lists', () => {
    const {
      package: section,
      document,
      subpackages,
    } = parsed(
      withPackage(
        [
          '  dependencies:',
          '    runtime: ["a=${{ package.full-version }}"]',
          '    replaces: ["${{ vars.x }}"]',
          'vars: {x: other}',
          'environment: {contents: {packages: ["go-${{ vars.x }}"]}}',
          'test: {environment: {contents: {packages: ["t-${{vars.x}}"]}}}',
          'subpackages:',
          '  - {name: s, dependencies: {provider-priority: "${{ package.epoch }}"}}',
          '',
        ].join('\n'),
      ),
    );
    assert.equal(section.dependencies?.runtime?.[0]?.value, 'a=1.2.3-r0');
    assert.equal(section.dependencies?.replaces?.[0]?.value, 'other');
    assert.equal(document.environment?.contents?.packages?.[0]?.value, 'go-other');
    assert.equal(document.test?.environment?.contents?.packages?.[0]?.value, 't-other');
    assert.equal(subpackages[0]?.section.dependencies?.providerPriority?.value, '0');
  });

  test('a step with uses and its own pipeline is accepted with a warning', () => {
    const { buildFile, diagnostics } = parseBuildFile({
      file: 'f',
      text: withPackage('pipeline:\n  - uses: gone\n    with: {a: b}\n    pipeline: [{runs: x}]\n'),
    });
    assert.ok(buildFile);
    assert.deepEqual(
      diagnostics.map((one) => one.severity),
      ['warning'],
    );
  });

  test('every section of a full build file decodes', () => {
    const { text } = fixture('lantern.yaml');
    const buildFile = parsed(text);
    assert.equal(buildFile.fullVersion, '1.10-r2');
    assert.deepEqual(buildFile.targetArchitectures, ['x86_64', 'arm64']);
  });

  test('every field of update and environment is known', () => {
    parsed(
      withPackage(
        [
          'update:',
          '  enabled: yes',
          '  release-monitor: {identifier: 12, version-filter-prefix: "v"}',
          '  github: {identifier: a/b, use-tag: true, tag-filter-prefix: "${{package.name}}-"}',
          '  git: {strip-prefix: v}',
          '  oci: {identifier: x}',
          '  schedule: {period: daily, reason: why}',
          '  version-transform: [{match: a, replace: b}]',
          '  version_data: {version_format: x, sources: [{name: a, ignore: true}]}',
          'environment:',
          '  contents: {build_repositories: [a], runtime_repositories: [b], runtime_keyring: [{name: a, content: b}], baseimage: {image: x}}',
          '  entrypoint: {type: service-bundle, services: {a: b}}',
          '  paths: [{path: /x, type: directory, uid: 1, gid: 1, permissions: 0o755}]',
          '  accounts: {run-as: nobody, users: [{username: nobody, uid: 65534}], groups: [{groupname: g, gid: 1, members: [nobody]}]}',
          '  archs: [amd64]',
          '  layering: {strategy: origin, budget: 10}',
          '  certificates: {providers: [x]}',
          '',
        ].join('\n'),
      ),
    );
  });
});

test('a build file is what has a top-level package, however broken the rest', () => {
  for (const yes of [
    withPackage(''),
    '{package: {}}',
    '"package": x\n',
    'package:\n\tname: a\n',
    'a: [\npackage:\n',
    '---\npackage: {name: x}\n',
  ]) {
    assert.equal(isBuildFile(yes), true, yes);
  }
  for (const no of [
    '',
    'name: a pipeline\npipeline:\n  - runs: make package\n',
    'spec:\n  package: {}\n',
    'text: |\n  package:\n',
    '- package: x\n',
    'packages: []\n',
    '\0\u0001',
  ]) {
    assert.equal(isBuildFile(no), false, no);
  }
});
