import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compilePattern, createMatchWork } from '../../../../shared/build-file/regex-match.ts';
import { PatternError } from '../../../../shared/build-file/regex-syntax.ts';
import { replaceMatches } from '../../../../shared/build-file/transforms.ts';
import { compiled, lines, problems, scripts, withPackage } from './language.ts';

function replace(pattern: string, text: string, template: string): string {
  return replaceMatches(compilePattern(pattern), text, { template, work: createMatchWork() });
}

// Expected results were worked out by the rules of Go's regexp package: leftmost match, first alternative.
const cases: readonly (readonly [string, string, string, string])[] = [
  ['^(\\d+)\\.(\\d+)$', '2.40', '${1}_$2', '2_40'],
  ['^(\\d+)\\.(\\d+)$', '2.40', '$1_$2', '40'],
  ['\\.', '1.2.3', '', '123'],
  ['\\.', '1.2.3', '$$', '1$2$3'],
  ['\\.', '1.2.3', '\\', '1\\2\\3'],
  ['(?P<major>\\d+)\\..*', '12.3', 'v${major}', 'v12'],
  ['(?<major>\\d+)\\..*', '12.3', '$major', '12'],
  ['(\\d)', '12', '<$1>', '<1><2>'],
  ['x', 'a', '$1', 'a'],
  ['a', 'a', '$9$name$', '$'],
  ['a|ab', 'ab', 'X', 'Xb'],
  ['(a|ab)(c|bcd)', 'abcd', '[$1|$2]', '[a|bcd]'],
  ['a*', 'baac', 'X', 'XbXcX'],
  ['', 'ab', '-', '-a-b-'],
  ['a+?', 'aaa', 'X', 'XXX'],
  ['(?U)a+', 'aa', 'X', 'XX'],
  ['a{2}', 'aaaaa', 'X', 'XXa'],
  ['a{2,}', 'aaaaa', 'X', 'X'],
  ['a{1,2}?', 'aaa', 'X', 'XXX'],
  ['a{,2}', 'a{,2}', 'X', 'X'],
  ['(?i)HELLO', 'Hello hello', 'x', 'x x'],
  ['(?i:h)i', 'Hi HI', 'x', 'x HI'],
  ['[^a-c]+', 'abcdef', '.', 'abc.'],
  ['[]a]+', ']a]', 'x', 'x'],
  ['[[:alpha:]]+', 'ab1c', 'x', 'x1x'],
  ['[[:^digit:]]', 'a1', 'x', 'x1'],
  ['[\\d.-]+', 'v1.2-3', 'x', 'vx'],
  ['\\bfoo\\b', 'foo food foo', 'x', 'x food x'],
  ['\\Boo', 'oo foo', 'x', 'oo fx'],
  ['(?m)^', 'a\nb', '> ', '> a\n> b'],
  ['$', 'a\n', '!', 'a\n!'],
  ['.+', 'a\nb', 'x', 'x\nx'],
  ['(?s).+', 'a\nb', 'x', 'x'],
  ['\\Qa.b\\E+', 'a.bb axb', 'x', 'x axb'],
  ['\\x41\\x{42}\\103', 'ABC', 'x', 'x'],
  ['\\p{Greek}+', 'abγδ', 'x', 'abx'],
  ['\\pL', 'é1', 'x', 'x1'],
  ['\\P{L}', 'é1', 'x', 'éx'],
  ['[\\p{Lu}_]+', 'aB_c', 'x', 'axc'],
  ['.', '😀b', '<$0>', '<😀><b>'],
  ['(a)|(b)', 'ab', '[$1$2]', '[a][b]'],
  ['\\A\\d+\\z', '12', 'x', 'x'],
  ['(?:ab)+', 'ababa', 'x', 'xa'],
  ['\\/', 'a/b', '_', 'a_b'],
];

describe('a transform replaces as Go does', () => {
  for (const [pattern, text, template, expected] of cases) {
    test(`${pattern} on ${JSON.stringify(text)} with ${template || 'nothing'} gives ${JSON.stringify(expected)}`, () => {
      assert.equal(replace(pattern, text, template), expected);
    });
  }
});

for (const pattern of [
  '(',
  'a)',
  '*a',
  'a**',
  'a{2}{3}',
  '[a',
  '[b-a]',
  '(?=a)',
  '(?<=a)',
  '\\1',
  '(a)\\2',
  'a{1001}',
  'a{3,2}',
  '\\y',
  '[[:nothing:]]',
  '\\p{Nothing}',
  'a\\',
  '(?P<x>a)(?P<x>b)',
  `${'('.repeat(100)}a${')'.repeat(100)}`,
  '((a{1000}){1000}){1000}',
  'a'.repeat(2000),
]) {
  test(`${pattern.slice(0, 30)} is refused, as RE2 refuses it`, () => {
    assert.throws(() => compilePattern(pattern), PatternError);
  });
}

test('a pattern that makes backtracking engines hang is matched in linear time', () => {
  const text = `${'a'.repeat(5_000)}b`;
  const started = performance.now();
  assert.equal(replace('^(a+)+$', text, 'x'), text);
  assert.equal(replace('^(a|aa|a?)*c', text, 'x'), text);
  assert.ok(performance.now() - started < 2_000);
  assert.equal(replace('(?:(?:(?:){1000}){1000}){1000}b', 'b', 'x'), 'x');
});

test('matching that would take too many steps is refused', () => {
  assert.throws(() => replace('(x?){400}y', 'x'.repeat(100_000), ''), /too long on these texts/);
});

test('what JavaScript and RE2 both understand gives the same in both', () => {
  const piece = fc.constantFrom(
    'a',
    'b',
    '.',
    '[ab]',
    '[^a]',
    '(a|b)',
    '(?:ab|a)',
    'a?',
    'b*',
    '(b+)',
    'a{1,2}',
    '\\d',
    '1?',
  );
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 1, maxLength: 6 }),
      fc.string({ unit: fc.constantFrom('a', 'b', '1', ' '), maxLength: 20 }),
      (pieces, text) => {
        const pattern = pieces.join('');
        // An expression that never matches nothing: the two differ on empty matches next to others.
        const solid = `x?${pattern}[ab1]`;
        assert.equal(
          replace(solid, text, '<$0|$1>'),
          text.replace(new RegExp(solid, 'gu'), (...found) => {
            const [whole, first] = found;
            return `<${whole}|${typeof first === 'string' ? first : ''}>`;
          }),
        );
      },
    ),
    { numRuns: 500 },
  );
});

test('transforms run from top to bottom and see earlier results, and may shadow a var', () => {
  const plan = compiled(
    withPackage(
      [
        'vars: {tag: old}',
        'var-transforms:',
        `  - {from: "\${{package.version}}", match: '\\.', replace: _, to: tag}`,
        `  - {from: "v\${{vars.tag}}-\${{package.epoch}}", match: '^v', replace: "", to: full}`,
        'pipeline:',
        '  - runs: echo ${{vars.tag}} ${{ vars.full }}',
        '',
      ].join('\n'),
    ),
  );
  assert.deepEqual(scripts(plan), ['echo 1_2_3 1_2_3-0']);
});

test('a transform sees only names known while parsing', () => {
  const text = withPackage('var-transforms:\n  - {from: "${{build.arch}}", match: a, replace: b, to: c}\n');
  assert.deepEqual(lines(problems(text)), ['5:13 unknown-variable unknown variable build.arch']);
});
