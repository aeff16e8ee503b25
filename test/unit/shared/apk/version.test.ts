import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareVersions,
  hasVersionPrefix,
  isValidVersion,
  parseVersion,
  type Version,
} from '../../../../shared/apk/version.ts';

function version(text: string): Version {
  const parsed = parseVersion(text);
  assert.ok(parsed, `${text} is a version`);
  return parsed;
}

function order(a: string, b: string): number {
  return Math.sign(compareVersions(version(a), version(b)));
}

/** By rule of the comparison: pairs `a < b` and `a = b`. */
const ORDERED: Readonly<Record<string, string>> = {
  'numbers compare from left to right as integers': `
    0 < 1, 1 < 2, 9 < 10, 10 < 11, 99 < 100, 1.0 < 1.1, 1.2 < 1.10, 1.9 < 1.10, 1.9.9 < 1.10.0, 2.0 < 10.0,
    1.2.3 < 1.2.4, 1.2.3 < 1.3.0, 1.2.3 < 2.0.0, 1.2.9 < 1.2.10, 0.0.1 < 0.0.2, 0.9.9 < 1.0.0, 20210613 < 20220101,
    1.99999 < 2.0, 3.9 < 3.10, 3.10 < 3.11, 08 = 8, 1.08 = 1.8, 1.08 < 1.9, 1.01 = 1.1, 007 = 7, 1.010 = 1.10,
    1.09 < 1.10, 00 = 0, 1.0.0 = 1.00.000, 999999999999999 < 1000000000000000,
    12345678901234567890 < 12345678901234567891, 9007199254740992 < 9007199254740993, 5 < 12345678901234567890,
    1.12345678901234567890 < 1.12345678901234567891, 000000000000000000001 = 1, 1.000000000000000000002 = 1.2`,
  'more numbers are greater, an earlier number decides first': `
    1 < 1.0, 1.0 < 1.0.0, 1.0.0 < 1.0.0.0, 1.2 < 1.2.0, 1.2 < 1.2.1, 1.2.9 < 1.3, 1 < 1.0.0.0.0, 1.9.9 < 2,
    1.0z < 1.0.0, 1.0_p9 < 1.0.0, 1.0-r99 < 1.0.0, 1.0z_p9-r9 < 1.0.0_alpha, 1.0 < 1.0.0_alpha1-r0, 2_p1 < 2.0_alpha`,
  'a letter is greater than none, letters are in alphabetical order': `
    1.0 < 1.0a, 1.0a < 1.0b, 1.0b < 1.0z, 1.0y < 1.0z, 1a < 1b, 1.0 < 1.0a-r0, 1.0-r9 < 1.0a-r0, 1.0z < 1.1a,
    1.0_p5 < 1.0a, 1.0a_alpha < 1.0b_alpha, 1.0 < 1.0a_alpha, 1.0_p1-r5 < 1.0a_alpha-r0, 1.1.1k < 1.1.1n, 1.0a = 1.0a,
    1.1.1 < 1.1.1a, 1.0a_rc1 < 1.0a, 2.0a < 2.1`,
  'pre-suffixes are alpha, beta, pre, rc, none': `
    1.0_alpha < 1.0_beta, 1.0_beta < 1.0_pre, 1.0_pre < 1.0_rc, 1.0_rc < 1.0, 1.0_alpha < 1.0, 1.0_beta < 1.0,
    1.0_pre < 1.0, 1.0_alpha < 1.0_pre, 1.0_alpha < 1.0_rc, 1.0_beta < 1.0_rc, 1.0_alpha9 < 1.0_beta1,
    1.0_beta9 < 1.0_pre1, 1.0_pre9 < 1.0_rc1, 1.0_rc99 < 1.0, 1.0_rc99-r99 < 1.0-r0, 1.0_rc_p9 < 1.0,
    1.0_rc1 < 1.0_p1, 1.0_alpha_p5 < 1.0_beta, 0.9 < 1.0_alpha, 1.0_rc1 < 1.0.1_alpha1`,
  'the number of a pre-suffix decides next, a missing one is 0': `
    1.0_alpha < 1.0_alpha1, 1.0_alpha1 < 1.0_alpha2, 1.0_alpha2 < 1.0_alpha10, 1.0_rc1 < 1.0_rc2, 1.0_rc9 < 1.0_rc10,
    1.0_rc = 1.0_rc0, 1.0_beta = 1.0_beta0, 1.0_rc01 = 1.0_rc1, 1.0_pre20200101 < 1.0_pre20210101,
    1.0_rc1_p9 < 1.0_rc2, 1.0_rc1-r9 < 1.0_rc2-r0, 1.0_rc1_git5-r5 < 1.0_rc2_cvs, 1.0_beta1 < 1.0_beta1_p1`,
  'post-suffixes are none, cvs, svn, git, hg, p': `
    1.0 < 1.0_cvs, 1.0_cvs < 1.0_svn, 1.0_svn < 1.0_git, 1.0_git < 1.0_hg, 1.0_hg < 1.0_p, 1.0 < 1.0_p, 1.0 < 1.0_git,
    1.0_cvs < 1.0_p, 1.0_svn < 1.0_hg, 1.0_cvs9 < 1.0_svn1, 1.0_svn9 < 1.0_git1, 1.0_git20240101 < 1.0_hg1,
    1.0_hg9 < 1.0_p1, 1.0-r9 < 1.0_cvs-r0, 1.0_rc1 < 1.0_rc1_cvs, 1.0_alpha_cvs < 1.0_alpha_p, 1.0_p1 < 1.0.1`,
  'the number of a post-suffix decides next, a missing one is 0': `
    1.0_p < 1.0_p1, 1.0_p1 < 1.0_p2, 1.0_p9 < 1.0_p10, 1.0_git20220101 < 1.0_git20220102, 1.0_p = 1.0_p0,
    1.0_git = 1.0_git0, 1.0_p1-r9 < 1.0_p2-r0, 1.0_p01 = 1.0_p1, 6.3_p20220521 < 6.3_p20220522,
    1.0_rc1_p1 < 1.0_rc1_p2, 1.0_git12345678901234567890 < 1.0_git12345678901234567891`,
  'the revision decides last, a missing one is 0': `
    1.0-r0 < 1.0-r1, 1.0-r1 < 1.0-r2, 1.0-r9 < 1.0-r10, 1.0 < 1.0-r1, 1.0 = 1.0-r0, 1.0-r01 = 1.0-r1, 1.0a-r0 < 1.0a-r1,
    1.0_rc1-r0 < 1.0_rc1-r1, 1.0_p1-r0 < 1.0_p1-r1, 1.0a_rc1_p1-r0 < 1.0a_rc1_p1-r1, 1.0a_rc1_p1 = 1.0a_rc1_p1-r0,
    1-r5 < 2-r0, 1.2.3-r99 < 1.2.4-r0, 11.2.1_git20220219-r1 < 11.2.1_git20220219-r2`,
};

for (const [rule, table] of Object.entries(ORDERED)) {
  test(`versions: ${rule}`, () => {
    for (const pair of table.split(',')) {
      const [a = '', operator, b = ''] = pair.trim().split(' ');
      assert.equal(order(a, b), operator === '<' ? -1 : 0, pair.trim());
      assert.equal(order(b, a), operator === '<' ? 1 : 0, `${pair.trim()}, turned round`);
    }
  });
}

test('what has the form of a version is one', () => {
  for (const text of [
    '0',
    '1',
    '1.2',
    '1.2.3.4.5.6',
    '1a',
    '1.2z',
    '1_alpha',
    '1_rc1',
    '1_p',
    '1_hg3',
    '1-r0',
    '0.0',
  ]) {
    assert.ok(isValidVersion(text), text);
  }
  assert.deepEqual(parseVersion('1.20b_rc3_git4-r5'), {
    numbers: [1, 20],
    letter: 'b',
    pre: 3,
    preNumber: 3,
    post: 3,
    postNumber: 4,
    revision: 5,
  });
});

test('what has not the form of a version is none', () => {
  const texts =
    `a 1. .1 1..2 1.a v1 1.2ab 1.2A 1-1 1-r 1-rx 1.2-r1-r2 1_foo 1_ 1_rc_ 1_rc1_rc2 1_p1_git2 1_git1_rc1 1_p1_rc1
    6.8.0p2-r4 0.99f7-r0 1.2~abc 1.2+3 1:2 1.2-r1a -r1 1.0_RC1 1.0_rc-1 1.2\n`.split(/ +|\n +/);
  for (const text of ['', ' ', ' 1', '1 ', '1 2', '１', ...texts]) {
    assert.equal(parseVersion(text), undefined, JSON.stringify(text));
    assert.equal(isValidVersion(text), false, JSON.stringify(text));
  }
});

test('a version is read the same however often it was read', () => {
  for (let at = 0; at < 40_000; at += 1) parseVersion(`1.${at}`);
  assert.deepEqual(version('1.5').numbers, [1, 5]);
  assert.equal(parseVersion('1.x'), undefined);
  assert.equal(parseVersion('1.x'), undefined);
});

/** `required: versions that begin with it / versions that do not`. */
const PREFIXES = `
  1: 1 1.2 1.0-r3 1.9.9_rc1 1a 1-r7 1_p1 / 2 0 10 2.1
  1.2: 1.2 1.2.3 1.2.3_rc1-r4 1.2a 1.2_rc1 1.2_p1 1.2-r9 1.02 1.2.0 / 1.20 1.3 1 2.1.2 1.1.2 1.12
  1.2.3: 1.2.3 1.2.3-r4 1.2.3.4 / 1.2 1.2.4 1.2-r3 1.2.30
  1.2a: 1.2a 1.2a-r1 1.2a_rc1 1.2.1 1.2.0b / 1.2 1.2b 1.2-r0
  1.2_rc: 1.2_rc 1.2_rc1 1.2_rc_p1 1.2_rc-r3 1.2.1 1.2.0_alpha / 1.2 1.2_beta 1.2_p1
  1.2_rc2: 1.2_rc2 1.2_rc2_git1-r1 1.2.9 / 1.2_rc1 1.2_rc 1.2 1.2_beta2
  1.2_p: 1.2_p 1.2_p5 1.2_rc1_p 1.2_p-r1 / 1.2 1.2_git 1.2_rc1
  1.2_git5: 1.2_git5 1.2_git5-r2 1.2a_git5 / 1.2_git 1.2_git6 1.2_hg5 1.2
  1.2-r3: 1.2-r3 1.2a-r3 1.2_rc1-r3 1.2.9-r1 / 1.2 1.2-r2 1.2-r30
  1.2-r0: 1.2 1.2-r0 1.2-r7 / 1.3-r0
  1.2_rc0: 1.2_rc 1.2_rc7 / 1.2`;

test('a prefix match wants all that the required version states, and no more', () => {
  for (const line of PREFIXES.trim().split('\n')) {
    const [required = '', lists = ''] = line.trim().split(': ');
    const [matching = '', others = ''] = lists.split(' / ');
    for (const actual of matching.split(' ')) {
      assert.equal(hasVersionPrefix(version(actual), version(required)), true, `${actual} ~ ${required}`);
    }
    for (const actual of others.split(' ')) {
      assert.equal(hasVersionPrefix(version(actual), version(required)), false, `${actual} !~ ${required}`);
    }
  }
});

const digits = fc.oneof({ weight: 5, arbitrary: fc.nat(12).map(String) }, fc.stringMatching(/^[0-9]{1,22}$/));
const suffix = (names: readonly string[]) =>
  fc.option(
    fc
      .tuple(fc.constantFrom(...names), fc.option(digits, { nil: '' }))
      .map(([name, number]) => `_${name}${number}`),
    {
      nil: '',
    },
  );
const anyVersion = fc
  .tuple(
    fc.array(digits, { minLength: 1, maxLength: 4 }),
    fc.option(fc.constantFrom('a', 'b', 'z'), { nil: '' }),
    suffix(['alpha', 'beta', 'pre', 'rc']),
    suffix(['cvs', 'svn', 'git', 'hg', 'p']),
    fc.option(
      digits.map((number) => `-r${number}`),
      { nil: '' },
    ),
  )
  .map(([numbers, ...rest]) => numbers.join('.') + rest.join(''));

test('the order of versions is total: every pair has one answer, turned round the opposite one', () => {
  fc.assert(
    fc.property(anyVersion, anyVersion, (a, b) => {
      assert.equal(order(a, a), 0);
      assert.equal(order(a, b), 0 - order(b, a));
    }),
    { numRuns: 3000 },
  );
});

test('the order of versions is transitive, and equal versions stand in one place', () => {
  fc.assert(
    fc.property(anyVersion, anyVersion, anyVersion, (a, b, c) => {
      const [low = '', middle = '', high = ''] = [a, b, c].sort(order);
      assert.ok(order(low, middle) <= 0 && order(middle, high) <= 0 && order(low, high) <= 0);
      if (order(low, high) === 0) assert.ok(order(low, middle) === 0 && order(middle, high) === 0);
    }),
    { numRuns: 3000 },
  );
});

test('every version has itself and each of its leading numbers as a prefix', () => {
  fc.assert(
    fc.property(anyVersion, (text) => {
      assert.ok(hasVersionPrefix(version(text), version(text)));
      const numbers = (/^[0-9.]+/.exec(text)?.[0] ?? '').split('.');
      for (let count = 1; count <= numbers.length; count += 1) {
        assert.ok(hasVersionPrefix(version(text), version(numbers.slice(0, count).join('.'))));
      }
    }),
  );
});
