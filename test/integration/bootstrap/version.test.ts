import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { apkVersion } from '../../../deploy/local/bootstrap/version.ts';
import { compareVersions, isValidVersion, parseVersion } from '../../../shared/apk/version.ts';

const hasDpkg = existsSync('/usr/bin/dpkg');

function compare(left: string, right: string): number {
  const [a, b] = [parseVersion(apkVersion(left)), parseVersion(apkVersion(right))];
  assert.ok(a && b);
  return Math.sign(compareVersions(a, b));
}

describe('Debian versions as apk versions', () => {
  test('the documented examples hold', () => {
    const examples = {
      '1:1.2.13.dfsg-1': '1.2.13_p-r10010000',
      '12.2.0-14+deb12u1': '12.2.0-r140020100',
      '2.0~rc3-1': '2.0_rc3-r10010000',
      '20250419~deb12u2': '20250419-r200',
      '6.2.1+dfsg1-1.1': '6.2.1_p1-r10110000',
      '1.1.1n-0+deb11u5': '1.1.1n-r20500',
      '2.4+20151223.gitfa8646d.1-2+b2': '2.4_p201512238646-r20010002',
      '5.7-0.5~deb12u1': '5.7-r500100',
    };
    for (const [debian, apk] of Object.entries(examples)) assert.equal(apkVersion(debian), apk);
  });

  test('every version, however odd, becomes a valid one, always the same', () => {
    const odd = fc.stringMatching(/^([0-9]:)?[0-9][A-Za-z0-9.+~-]{0,30}$/);
    fc.assert(
      fc.property(fc.oneof(odd, fc.string()), (version) => {
        assert.ok(isValidVersion(apkVersion(version)), `${version} → ${apkVersion(version)}`);
        assert.equal(apkVersion(version), apkVersion(version));
      }),
      { numRuns: 2000 },
    );
  });

  test('updates, rebuilds and new upstream versions sort as dpkg sorts them', {
    skip: !hasDpkg && 'no dpkg here',
  }, () => {
    const small = fc.integer({ min: 0, max: 12 });
    const part = (pattern: (n: number) => string) => fc.option(small.map(pattern), { nil: '' });
    const version = fc
      .tuple(
        small,
        small,
        fc.integer({ min: 1, max: 12 }),
        part((n) => `.${n + 1}`),
        fc.constantFrom('', '+deb12u', '~deb12u'),
        fc.integer({ min: 1, max: 9 }),
        part((n) => `+b${n + 1}`),
      )
      .map(
        ([major, minor, revision, nmu, update, count, rebuild]) =>
          `${major}.${minor}-${revision}${nmu}${update}${update === '' ? '' : count}${rebuild}`,
      );
    fc.assert(
      fc.property(version, version, (left, right) => {
        const isLower = spawnSync('dpkg', ['--compare-versions', left, 'lt', right]).status === 0;
        const expected = left === right ? 0 : isLower ? -1 : 1;
        assert.equal(compare(left, right), expected, `${left} and ${right}`);
      }),
      { numRuns: 150 },
    );
  });
});
