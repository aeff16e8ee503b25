/** Who runs the steps: lines of the end-to-end builds of upstream, as facts of the plan. */
import assert from 'node:assert/strict';
import type { PlannedAccounts } from '../../../../../shared/build-file/plan.ts';
import { compiled, lines, problems, withPackage } from '../language.ts';
import { conforms } from './lines.ts';

/** The accounts of the build and of the tests of a build file, by the name of what runs. */
function accounts(sections: string): Readonly<Record<string, PlannedAccounts>> {
  const plan = compiled(withPackage(sections));
  return Object.fromEntries([
    ['build', plan.environment.accounts],
    ...plan.packages.flatMap(({ name, test }) =>
      test === undefined ? [] : [[`test of ${name}`, test.environment.accounts]],
    ),
  ]);
}

const steps = 'pipeline: [{runs: id}]';
const testOf = (accountsText: string): string => `test: {environment: {accounts: ${accountsText}}, ${steps}}`;
const build = { name: 'build', uid: 1000, gid: 1000, home: '/home/build', shell: '/bin/sh' };

conforms(
  'accounts-default-user: without run-as, steps of main, subpackage and tests run as root.',
  ['build', 'test of thing', 'test of sub'].map((which) => ({
    name: `the ${which} names no user, which is root for the runner, and has the account build`,
    check: () => {
      const found = accounts(
        `${steps}\ntest: {${steps}}\nsubpackages: [{name: sub, ${steps}, test: {${steps}}}]\n`,
      )[which];
      assert.equal(found?.runAs, '');
      assert.deepEqual(found?.users, [build]);
      assert.deepEqual(found?.groups, [{ name: 'build', gid: 1000, members: ['build'] }]);
    },
  })),
);

/** A build file whose build and main test run as one user, and a subpackage's test as another. */
const runningAs = (user: string, other: string, extra = ''): string =>
  `environment: {accounts: {run-as: ${user}${extra}}}\n${steps}\n${testOf(`{run-as: ${user}${extra}}`)}\nsubpackages: [{name: sub, ${steps}, ${testOf(other)}}]\n`;

const tester = 'users: [{username: tester, uid: 1234, gid: 1234}], groups: [{groupname: tester, gid: 1234}]';

conforms(
  'accounts-root, accounts-root-numeric: run-as `root` / `0`; a subpackage test may use another user (named or numeric).',
  ['root', '"0"', '0'].flatMap((user) =>
    ['tester', '"1234"', '1234', 'build', '1000'].map((other) => ({
      name: `run-as ${user}, the test of the subpackage as ${other}`,
      check: () => {
        const found = accounts(runningAs(user, `{run-as: ${other}, ${tester}}`));
        const plain = (text: string): string => text.replaceAll('"', '');
        assert.equal(found['build']?.runAs, plain(user));
        assert.equal(found['test of thing']?.runAs, plain(user));
        assert.equal(found['test of sub']?.runAs, plain(other));
        assert.deepEqual(
          found['test of sub']?.users.map((one) => [one.name, one.uid, one.gid]),
          [
            ['tester', 1234, 1234],
            ['build', 1000, 1000],
          ],
        );
        assert.deepEqual(found['build']?.users, [build]);
      },
    })),
  ),
);

conforms(
  'accounts-non-root, accounts-non-root-numeric: run-as `build` / `1000`; files and identity match; subpackage tests may switch to root or a custom user.',
  [
    ...['build', '1000'].flatMap((user) =>
      ['root', '0', `tester, ${tester}`].map((other) => ({
        name: `run-as ${user}, the test of the subpackage as ${other.split(',')[0]}`,
        check: () => {
          const found = accounts(runningAs(user, `{run-as: ${other}}`));
          assert.equal(found['build']?.runAs, user);
          assert.ok(found['build']?.users.some((one) => one.name === user || String(one.uid) === user));
          assert.equal(found['test of sub']?.runAs, other.split(',')[0]);
        },
      })),
    ),
    {
      name: 'ours: a user that nobody declares is an error, in the build and in tests',
      check: () => {
        assert.deepEqual(lines(problems(withPackage('environment: {accounts: {run-as: tester}}\n'))), [
          '4:34 invalid-value there is no user "tester" to run as',
        ]);
        assert.equal(problems(withPackage(`${testOf('{run-as: 77}')}\n`))[0]?.code, 'invalid-value');
        // The accounts of the build are not those of a test.
        const text = `environment: {accounts: {${tester}}}\nsubpackages: [{name: s, ${testOf('{run-as: tester}')}}]\n`;
        assert.equal(problems(withPackage(text))[0]?.code, 'invalid-value');
      },
    },
  ],
);

const crew =
  ', users: [{username: sailor, uid: 4711, gid: 4712, shell: /bin/bash, homedir: /sea}], groups: [{groupname: crew, gid: 4712, members: [sailor, build]}]';

conforms(
  'accounts-nonstd-non-root, -numeric: custom user with its own group by name and number.',
  ['sailor', '4711', '"4711"'].map((user) => ({
    name: `run-as ${user}`,
    check: () => {
      const found = accounts(runningAs(user, '{}', crew));
      for (const which of ['build', 'test of thing']) {
        assert.equal(found[which]?.runAs, user.replaceAll('"', ''));
        assert.deepEqual(found[which]?.users, [
          { name: 'sailor', uid: 4711, gid: 4712, home: '/sea', shell: '/bin/bash' },
          build,
        ]);
        assert.deepEqual(found[which]?.groups, [
          { name: 'crew', gid: 4712, members: ['sailor', 'build'] },
          { name: 'build', gid: 1000, members: ['build'] },
        ]);
      }
    },
  })),
);

conforms('accounts-nonstd-non-root-no-guid: a user without gid gets the group whose gid equals its uid.', [
  ...['', ', gid: ', ', gid: ~'].map((gid) => ({
    name: gid === '' ? 'without the key' : `with "${gid.slice(2)}"`,
    check: () => {
      const found = accounts(
        `environment: {accounts: {run-as: sailor, users: [{username: sailor, uid: 4711${gid}}]}}\n`,
      );
      assert.deepEqual(found['build']?.users[0], {
        name: 'sailor',
        uid: 4711,
        gid: 4711,
        home: '/home/sailor',
        shell: '/bin/sh',
      });
    },
  })),
  {
    name: 'the gid 0 is a gid',
    check: () => {
      const found = accounts('environment: {accounts: {users: [{username: sailor, uid: 4711, gid: 0}]}}\n');
      assert.equal(found['build']?.users[0]?.gid, 0);
    },
  },
]);
