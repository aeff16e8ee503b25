import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { finishingScript } from '../../../../runner/environment/finish.ts';
import { hasCode } from '../../shared/apk/package-fixture.ts';

const NONE = { accounts: { users: [], groups: [] }, paths: [], busyboxLinks: 'all' } as const;
const PATH = { path: '/x', uid: 0, gid: 0, permissions: 0, source: '', recursive: false };

test('a path of unknown type is the author’s error', () => {
  assert.throws(
    () => finishingScript({ ...NONE, paths: [{ ...PATH, type: 'socket' }] }),
    hasCode('invalid-value', /\/x of the type "socket"/),
  );
});

test('a shell can read the script whatever names and texts hold', () => {
  const odd = `it's "odd" $(touch /x) \`y\` \\ #`;
  const script = finishingScript({
    accounts: {
      users: [{ name: odd, uid: 1, gid: 1, home: odd, shell: odd }],
      groups: [{ name: odd, gid: 1, members: [odd] }],
    },
    paths: ['directory', 'empty-file', 'hardlink', 'symlink', 'permissions'].map((type) => ({
      ...PATH,
      type,
      path: odd,
      source: odd,
    })),
    busyboxLinks: 'all',
  });
  execFileSync('/bin/sh', ['-n', '-c', script]);
  const lines = script.split('\n').filter((line) => line.startsWith("printf '%s\\n'"));
  const printed = lines.map((line) =>
    execFileSync('/bin/sh', ['-c', line.replace(/ >>\S+$/, '')]).toString(),
  );
  assert.deepEqual(printed, [
    `${odd}:x:1:${odd}\n`,
    `${odd}:x:1:1:Account created by Carryall:${odd}:${odd}\n`,
    `${odd}:!:::::::\n`,
  ]);
});
