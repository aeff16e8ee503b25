import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLockDocument } from '../../../../runner/environment/lock-document.ts';
import { PipelineError } from '../../../../shared/errors.ts';

const PACKAGE = {
  name: 'libstdc++',
  version: '14.2.0-r4',
  repository: 'https://packages.example.org/os',
  url: 'https://packages.example.org/os/x86_64/libstdc++-14.2.0-r4.apk',
  checksum: `Q1${'a'.repeat(27)}=`,
  sha256: '0'.repeat(64),
  bytes: 1,
};
const DOCUMENT = { arch: 'x86_64', world: ['libstdc++'], packages: [PACKAGE] };

const WRONG: readonly (readonly [string, unknown, RegExp])[] = [
  ['null', null, /^lock: .*object/],
  ['nothing in it', {}, /lock: arch: .*; lock: world: .*; lock: packages: /],
  ['an unknown architecture', { ...DOCUMENT, arch: 'vax' }, /lock: arch: .*x86_64/],
  ['a constraint that is no text', { ...DOCUMENT, world: [1] }, /lock: world\.0: /],
  ...(
    [
      ['name', '../../other/tool'],
      ['name', 'tool?x'],
      ['name', ''],
      ['version', '1 r0'],
      ['version', '1%2f'],
      ['checksum', 'Q2abc'],
      ['checksum', ''],
      ['sha256', 'ABC'],
      ['bytes', -1],
      ['repository', undefined],
    ] as const
  ).map(
    ([field, value]) =>
      [
        `the ${field} ${JSON.stringify(value)}`,
        { ...DOCUMENT, packages: [PACKAGE, { ...PACKAGE, [field]: value }] },
        new RegExp(`lock: packages\\.1\\.${field}: `),
      ] as const,
  ),
];

for (const [what, value, expected] of WRONG) {
  test(`a lock with ${what} is refused with the path`, () => {
    assert.throws(
      () => parseLockDocument(value, 'lock'),
      (error: unknown) => {
        assert.ok(error instanceof PipelineError);
        assert.deepEqual([error.code, error.kind], ['request-invalid', 'user']);
        assert.match(error.message, expected);
        return true;
      },
    );
  });
}

test('a lock is taken as it is, without the fields that it does not need', () => {
  assert.deepEqual(parseLockDocument({ file: 'a.yaml', ...DOCUMENT }, 'lock'), DOCUMENT);
});
