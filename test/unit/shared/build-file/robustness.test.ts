import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compileBuildFile,
  formatDiagnostic,
  isBuildFile,
  melangeYaml,
  parseBuildFile,
} from '../../../../shared/build-file/index.ts';
import { fixture, pipelines, withPackage } from './language.ts';

const lookup = pipelines({ greet: fixture('pipelines/greet.yaml').text });
const sources = ['demo.yaml', 'lantern.yaml', 'pipelines/greet.yaml'].map((name) => fixture(name).text);

/** Everything that may be done with an uploaded text. */
function exercise(text: string): void {
  isBuildFile(text);
  const { buildFile, diagnostics } = parseBuildFile({ file: 'f.yaml', text });
  for (const one of diagnostics) {
    assert.ok(one.position.line >= 1 && one.position.column >= 1);
    formatDiagnostic(one, text);
  }
  if (buildFile === undefined) {
    assert.ok(
      diagnostics.some((one) => one.severity === 'error'),
      'what is refused says why',
    );
    return;
  }
  const { plan } = compileBuildFile(buildFile, { arch: 'x86_64', lookup });
  if (plan !== undefined) melangeYaml(plan, { packages: ['a=1'], repositories: [] });
}

test('lines of different files in any order never throw', () => {
  const lines = sources.flatMap((source) => source.split('\n'));
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...lines), { maxLength: 40 }), (chosen) => {
      exercise(chosen.join('\n'));
    }),
    { numRuns: 500 },
  );
});

test('any text at all is answered', () => {
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' })), exercise), {
    numRuns: 500,
  });
});

const many = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join('');

const bombs: Readonly<Record<string, string>> = {
  'blanks in an open reference': withPackage(
    `  description: x\nsubpackages:\n  - name: "\${{${' '.repeat(300_000)}"\n`,
  ),
  'many open references': withPackage(`pipeline:\n  - runs: "${'${{'.repeat(100_000)}"\n`),
  'many unknown variables': withPackage(`pipeline:\n  - runs: "${'${{a.b}}'.repeat(50_000)}"\n`),
  'a chain of vars': withPackage(
    `vars:\n${many(10_000, (index) => `  v${index}: \${{vars.v${index + 1}}}\n`)}  v10000: x\n`,
  ),
  'empty lines with carriage returns': `${'\r\n'.repeat(200_000)}x\n---\n`,
  'many documents': '---\n'.repeat(200_000),
  'a range over many items': withPackage(
    `data:\n  - name: t\n    items: {${many(20_000, (index) => `k${index}: v, `)}}\nsubpackages:\n  - range: t\n    name: s-\${{range.key}}\n`,
  ),
  'a large template in a range': withPackage(
    `data:\n  - name: t\n    items: {${many(900, (index) => `k${index}: v, `)}}\nsubpackages:\n  - range: t\n    name: s-\${{range.key}}\n    pipeline:\n${'      - {}\n'.repeat(50_000)}`,
  ),
  'many steps': withPackage(`pipeline:\n${'  - {}\n'.repeat(100_000)}`),
  'many steps that inherit a large environment': withPackage(
    `pipeline:\n  - environment: {${many(5_000, (index) => `K${index}: v, `)}}\n    pipeline:\n${'      - {environment: {A: b}}\n'.repeat(15_000)}`,
  ),
  'a condition without end': withPackage(`pipeline:\n  - if: "${"'a' == 'a' && ".repeat(60_000)}"\n`),
  'large values in conditions': withPackage(
    `vars:\n  a: ${'x'.repeat(200_000)}\npipeline:\n${many(5_000, () => `  - {if: "\${{vars.a}} == '\${{vars.a}}\${{vars.a}}'"}\n`)}`,
  ),
  'many transforms of a long text': withPackage(
    `vars:\n  a: ${'x'.repeat(100_000)}\nvar-transforms:\n${many(2_000, () => '  - {from: "${{vars.a}}", match: "(x|xx)*y", replace: "$1$1", to: b}\n')}`,
  ),
  'a transform that multiplies': withPackage(
    `vars:\n  a: ${'x'.repeat(10_000)}\nvar-transforms:\n${many(2_000, () => `  - {from: "\${{vars.a}}", match: x, replace: "${'y'.repeat(400)}", to: b}\n`)}`,
  ),
  'deep flow collections': `package: ${'{a: '.repeat(50_000)}`,
  'anchors nested through aliases': withPackage(
    `vars: {}\ndata:\n  - &a0 {name: x}\n${many(5_000, (index) => `  - &a${index + 1} [*a${index}]\n`)}`,
  ),
  'merges of merges': withPackage(
    `vars:\n  &m0\n  a: b\ndata:\n${many(3_000, (index) => `  - &m${index + 1} {<<: *m${index}, k${index}: v}\n`)}`,
  ),
};

for (const [name, text] of Object.entries(bombs)) {
  test(`${name}: refused or done within seconds`, () => {
    const before = process.cpuUsage();
    exercise(text);
    // Processor time: other tests run beside this one.
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 8_000_000, `took ${Math.round((user + system) / 1000)} ms`);
  });
}
