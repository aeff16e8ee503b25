import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  evaluateCondition,
  parseCondition,
  renderCondition,
} from '../../../../shared/build-file/condition.ts';
import { createScope, type ReferenceProblem } from '../../../../shared/build-file/variables.ts';
import { compiled, scripts, withPackage } from './language.ts';

const scope = createScope(
  new Map([
    ['build.arch', 'x86_64'],
    ['range.key', '64'],
    ['vars.quote', `say "it's"\n`],
    ['vars.empty', ''],
  ]),
);

function evaluate(text: string): boolean {
  const { condition, problem } = parseCondition(text);
  assert.ok(condition, problem?.message);
  const problems: ReferenceProblem[] = [];
  const holds = evaluateCondition(condition, scope, problems);
  assert.deepEqual(problems, []);
  const again = parseCondition(renderCondition(condition, scope)).condition;
  assert.ok(again);
  assert.equal(evaluateCondition(again, createScope(), []), holds, 'the rendered condition means the same');
  return holds;
}

const cases: readonly (readonly [string, boolean])[] = [
  [`'a' == 'a'`, true],
  [`'a' == 'b'`, false],
  [`"a" != 'b'`, true],
  [`'a'=='a'&&'b'=='b'&&'c'=='d'`, false],
  [`'a' == 'b' || 'c' == 'c'`, true],
  // Equal precedence, from the left: (true || true) && false.
  [`'a' == 'a' || 'b' == 'b' && 'c' == 'd'`, false],
  [`'a' == 'a' || ('b' == 'b' && 'c' == 'd')`, true],
  [`(('a' == 'b') || 'a' == 'a') && 'x' != 'y'`, true],
  [`\${{build.arch}} == 'x86_64'`, true],
  [`\${{ build.arch\t}} == 'x86_64'`, true],
  [`"\${{range.key}}" == "64"`, true],
  [`'lib\${{range.key}}' == 'lib64'`, true],
  [`"\${{build.arch}}" == 'x86_64'`, true],
  [`\${{vars.empty}} == ''`, true],
  [`\${{vars.quote}} == 'say "it\\'s"\\n'`, true],
  [`'a\\qb' == 'a\\\\qb'`, true],
  [`'tab\\t' != "tab"`, true],
  [`\n 'a'\r\n== \t'a' \n`, true],
];

describe('a condition compares texts', () => {
  for (const [text, expected] of cases) {
    test(`${JSON.stringify(text)} is ${expected}`, () => {
      assert.equal(evaluate(text), expected);
    });
  }
});

const unreadable: readonly (readonly [string, string, number])[] = [
  [`'a' ==`, 'ends where a value is expected', 6],
  [`'a'`, 'expected == or !=', 3],
  [`'a' == 'a' 'b'`, 'expected && or ||', 11],
  [`'a' == 'a' &&`, 'ends where a value is expected', 13],
  [`('a' == 'a'`, 'expected )', 11],
  [`'a' == 'a`, 'not closed', 7],
  [`true`, 'expected a quoted text or a variable', 0],
  [`!('a' == 'a')`, 'expected a quoted text or a variable', 0],
  [`\${{build.arch == 'a'`, 'not closed', 0],
  [`'\${{build.arch' == 'a'`, 'not closed', 0],
  [`${'('.repeat(200)}'a' == 'a'${')'.repeat(200)}`, 'too many parentheses', 51],
  [`'${'a'.repeat(20_000)}' == ''`, 'too long', 0],
];

describe('a condition that cannot be read says where', () => {
  for (const [text, message, offset] of unreadable) {
    test(text.slice(0, 40), () => {
      const { problem } = parseCondition(text);
      assert.ok(problem?.message.includes(message), problem?.message);
      assert.equal(problem?.offset, offset);
    });
  }
});

test('both sides are looked up, whatever the first says', () => {
  const { condition } = parseCondition(`'a' == 'b' && \${{no.such}} == 'c'`);
  assert.ok(condition);
  const problems: ReferenceProblem[] = [];
  evaluateCondition(condition, scope, problems);
  assert.equal(problems[0]?.message, 'unknown variable no.such');
});

test('a step or subpackage without a condition, or with an empty one, applies', () => {
  assert.deepEqual(scripts(compiled(withPackage('pipeline:\n  - if: ""\n    runs: a\n  - runs: b\n'))), [
    'a',
    'b',
  ]);
});

test('conditions see vars, package names and range values without quotes', () => {
  const plan = compiled(
    withPackage(
      [
        'vars: {fast: "yes"}',
        'data: [{name: t, items: {one: "1", two: "2"}}]',
        'pipeline:',
        `  - {if: "\${{vars.fast}} == 'yes' && \${{package.name}} == 'thing'", runs: fast}`,
        'subpackages:',
        '  - range: t',
        '    name: sub-${{range.key}}',
        `    if: \${{range.value}} == '2'`,
        '    pipeline:',
        `      - {if: '"\${{range.key}}" == "two"', runs: two}`,
        '',
      ].join('\n'),
    ),
  );
  assert.deepEqual(scripts(plan), ['fast']);
  assert.deepEqual(
    plan.packages.map((one) => one.name),
    ['thing', 'sub-two'],
  );
  assert.deepEqual(
    plan.packages[1]?.steps.map((step) => step.script),
    ['two'],
  );
});

test('a subpackage condition may depend on the architecture', () => {
  const text = withPackage(`subpackages:\n  - name: s\n    if: \${{build.arch}} == 'aarch64'\n`);
  assert.equal(compiled(text).packages.length, 1);
  assert.equal(compiled(text, { arch: 'aarch64' }).packages.length, 2);
});
