/**
 * Pipelines around tools that no Debian package has: stand-ins take their place, which write down what they were
 * asked. Everything else is real.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { compiled } from '../unit/shared/build-file/language.ts';
import type { OwnPackage } from './own-packages.ts';
import { skipReason, startToolchain, type Toolchain } from './toolchain.ts';

/** Prints its name, its directory and each of its arguments in angle brackets. */
const RECORDER = `#!/bin/sh
printf 'asked: %s in %s' "\${0##*/}" "$PWD"
printf ' <%s>' "$@"
echo
`;

/** As xcover does it: detached, ready after a while, its report written when it stops. */
const XCOVER = `${RECORDER}case "$1" in
  run) touch /tmp/xcover-runs ;;
  wait | status) test -e /tmp/xcover-runs ;;
  stop)
    rm /tmp/xcover-runs
    echo '{"exe_path": "/usr/bin/thing", "cov_by_func": 62.5}' > xcover-report.json
    ;;
esac
`;

/** The lines that Go 1.20 and newer print. */
const GO = `#!/bin/sh
if [ "$*" = 'tool covdata func -i=/home/build/covered files' ]; then
  printf 'a.example/hello/main.go:5:\\tmain\\t\\t50.0%%\\n'
  printf 'a.example/hello/main.go:9:\\tother\\t\\t100.0%%\\n'
  printf 'total\\t\\t(statements)\\t66.7%%\\n'
elif [ "$*" != 'tool covdata func -i=/home/build' ]; then
  echo "unexpected: $*" >&2
  exit 2
fi
`;

const STAND_INS: readonly OwnPackage[] = [
  { name: 'gobump', programs: { 'usr/bin/gobump': RECORDER } },
  { name: 'go', programs: { 'usr/bin/go': GO } },
  { name: 'go-9', programs: { 'usr/bin/go': RECORDER } },
  { name: 'xcover', programs: { 'usr/bin/xcover': XCOVER } },
  { name: 'xcover-next', programs: { 'usr/bin/xcover': RECORDER } },
];

describe('tools that Debian lacks', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    toolchain = await startToolchain({ name: 'recorded', debian: ['git', 'jq'], own: STAND_INS });
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  /** What the tools were asked by steps given as YAML. */
  const asked = async (pipeline: string): Promise<string[]> => {
    const { log } = await toolchain.build(`${HEAD}\npipeline:\n${pipeline}`, {
      source: { 'src/go.mod': '' },
    });
    return log.split('\n').filter((line) => line.startsWith('asked: '));
  };

  test('go/bump asks gobump in the directory of the module', async () => {
    assert.deepEqual(await asked('  - {uses: go/bump, with: {deps: a.example/b@v1.2.3 a.example/c@v2}}\n'), [
      'asked: gobump in /home/build <--packages> <a.example/b@v1.2.3 a.example/c@v2> <--replaces> <>' +
        ' <--tidy=true> <--show-diff=false> <--go-version=> <--compat=> <--work=false>',
    ]);
    const other = `  - uses: go/bump
    with:
      deps: a.example/b@v1
      modroot: src
      go-version: 1.24
      replaces: a.example/b=c.example/b@v3
      tidy: false
      show-diff: true
      tidy-compat: 1.20
      work: true
`;
    assert.deepEqual(await asked(other), [
      'asked: gobump in /home/build/src <--packages> <a.example/b@v1> <--replaces> <a.example/b=c.example/b@v3>' +
        ' <--tidy=false> <--show-diff=true> <--go-version=1.24> <--compat=1.20> <--work=true>',
    ]);
  });

  test('go/covdata prints the percentage of all functions', async () => {
    const { log } = await toolchain.build(
      `${HEAD}\npipeline:\n  - {uses: go/covdata, with: {cover-dir: /home/build/covered files}}\n`,
    );
    assert.match(log, /^Statements coverage: 66\.7%$/m);
    const { log: without } = await toolchain.fail(`${HEAD}\npipeline: [{uses: go/covdata}]\n`);
    assert.match(without, /^go\/covdata: there are no coverage files in \/home\/build$/m);
    const { log: other } = await toolchain.fail(
      `${HEAD}\npipeline: [{uses: go/covdata, with: {package: go-9}}]\n`,
    );
    assert.match(other, /^go\/covdata: there are no coverage files/m);
  });

  describe('xcover and xcover project scope: coverage steps in tests.', () => {
    // Each step of a main package has its own processes; those of a subpackage run in one container, as tests do.
    const steps = (profile: string, ensure: string): string => `${HEAD}
subpackages:
  - name: thing-covered
    pipeline:
      - uses: xcover/profile
        with: {executable-path: /usr/bin/thing${profile}}
      - uses: xcover/wait
      - uses: xcover/status
      - uses: xcover/stop
      - uses: xcover/ensure
        with: {${ensure}}
`;

    test('a program is profiled for its project’s functions, and its coverage is high enough', async () => {
      const { log } = await toolchain.build(steps('', 'min-coverage: 60'));
      assert.deepEqual(
        log.split('\n').filter((line) => line.startsWith('asked: ')),
        [
          'asked: xcover in /home/build <run> <--detach> <--path> </usr/bin/thing>' +
            ' <--scope=project> <--log-level=info> <--verbose=false>',
          'asked: xcover in /home/build <wait> <--timeout> <60s>',
          'asked: xcover in /home/build <wait> <--timeout> <60s>',
          'asked: xcover in /home/build <status>',
          'asked: xcover in /home/build <stop>',
        ],
      );
      assert.match(log, /^Function coverage: 62\.5%$/m);
    });

    test('the scope, the functions, the messages and the wait can be chosen', async () => {
      const { log } = await toolchain.build(
        steps(
          ', scope: all, exclude-functions: ^runtime\\., include-functions: "^main\\\\.|x y", log-level: debug, verbose: true, wait-timeout: 5',
          '',
        ),
      );
      assert.match(
        log,
        /<run> <--detach> <--path> <\/usr\/bin\/thing> <--exclude> <\^runtime\\\.> <--include> <\^main\\\.\|x y> <--scope=all> <--log-level=debug> <--verbose=true>\n.*<wait> <--timeout> <5s>/,
      );
      assert.match(log, /^Function coverage: 62\.5%$/m);
    });

    test('a coverage that does not exceed the minimum fails the step', async () => {
      for (const minimum of ['62.5', '62.50', '99', '100']) {
        const { log } = await toolchain.fail(steps('', `min-coverage: "${minimum}"`));
        assert.match(log, /^Function coverage: 62\.5%$/m);
        assert.match(log, /^xcover\/ensure: the coverage of 62\.5% does not exceed [\d.]+%$/m);
      }
    });

    test('a report without coverage, none, and a minimum that is no number fail the step', async () => {
      const ensure = '- {uses: xcover/ensure, with: {min-coverage: some}}';
      const { log } = await toolchain.fail(
        `${HEAD}\npipeline:\n  - runs: echo '{}' > xcover-report.json\n  ${ensure}\n`,
      );
      assert.match(log, /^xcover\/ensure: xcover-report\.json has no cov_by_func$/m);
      assert.match((await toolchain.fail(`${HEAD}\npipeline:\n  ${ensure}\n`)).log, /xcover-report\.json/);
      assert.match((await toolchain.fail(steps('', 'min-coverage: some'))).log, /number|numeric/i);
    });

    test('in a test, what the steps need belongs to the environment of the test', () => {
      const plan = compiled(`${HEAD}
test:
  pipeline:
    - uses: xcover/profile
      with: {executable-path: /usr/bin/thing}
    - uses: xcover/stop
    - uses: xcover/ensure
      with: {min-coverage: 60}
`);
      assert.deepEqual(plan.environment.packages, ['busybox']);
      const { environment, steps } = plan.packages[0]?.test ?? assert.fail('there is no test');
      for (const name of ['busybox', 'jq', 'xcover']) assert.ok(environment.packages.includes(name), name);
      assert.match(steps[0]?.script ?? '', /--scope="project"/);
      assert.equal(steps.length, 3);
    });

    test('another package of the tool can be named', async () => {
      assert.deepEqual(await asked('  - {uses: xcover/status, with: {package: xcover-next}}\n'), [
        'asked: xcover in /home/build <status>',
      ]);
    });
  });
});

// A shell is the one thing that not every pipeline brings itself.
const HEAD = 'package: {name: thing, version: 1.0.0}\nenvironment: {contents: {packages: [busybox]}}';
