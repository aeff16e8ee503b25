import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { builtinPipelineNames, stepCommand } from '../../../../shared/build-file/index.ts';
import { compiled, problems, withPackage } from './language.ts';

/** Arguments with which each pipeline compiles. */
const REQUIRED: Readonly<Record<string, string>> = {
  fetch: '{uri: "https://a.example/b.tar.gz", expected-none: "yes"}',
  'git-am': '{patches: a.patch}',
  'git-checkout': '{repository: "https://a.example/b.git"}',
  'R/build': '{package: thing, version: 1.0}',
  'go/build': '{packages: ., output: thing}',
  'go/bump': '{deps: "a.example/b@v1.2.3"}',
  'go/install': '{package: a.example/b}',
  'pecl/install': '{extension: thing}',
  'xcover/profile': '{executable-path: /usr/bin/thing}',
  'npm/install': '{package: thing, version: 1.0.0}',
  'python/test': '{command: "true"}',
  'ruby/build': '{gem: thing}',
  'ruby/install': '{gem: thing, version: 1.0.0}',
};

test('every built-in pipeline compiles, and its shell is accepted by sh and bash', () => {
  const names = builtinPipelineNames();
  assert.ok(names.length >= 16);
  for (const name of names) {
    const given = REQUIRED[name] ?? '{}';
    const plan = compiled(
      withPackage(`subpackages: [{name: s, pipeline: [{uses: ${name}, with: ${given}}]}]\n`),
    );
    const steps = plan.packages[1]?.steps ?? [];
    assert.ok(steps.length > 0, name);
    for (const step of steps) {
      for (const shell of ['sh', 'bash']) {
        const checked = spawnSync(shell, ['-n', '-c', stepCommand(step)], { encoding: 'utf8' });
        assert.equal(checked.status, 0, `${name}: ${checked.stderr}`);
      }
    }
  }
});

test('the built-in pipelines need the packages they run', () => {
  const needs = (name: string): readonly string[] =>
    compiled(
      withPackage(`subpackages: [{name: s, pipeline: [{uses: ${name}, with: ${REQUIRED[name] ?? '{}'}}]}]\n`),
    ).environment.packages;
  assert.deepEqual(needs('fetch'), ['wget']);
  assert.deepEqual(needs('git-checkout'), ['git']);
  assert.deepEqual(needs('autoconf/configure'), ['autoconf', 'automake', 'libtool']);
  assert.deepEqual(needs('split/debug'), ['binutils', 'busybox', 'scanelf']);
  assert.deepEqual(needs('split/dev'), ['busybox']);
});

test('fetch accepts a reason and refuses a checksum of the wrong length when compiling', () => {
  const text = withPackage(
    'pipeline: [{uses: fetch, with: {uri: u, expected-sha512: ab, reason: because}}]\n',
  );
  assert.deepEqual(
    problems(text).map((one) => one.code),
    ['invalid-value'],
  );
});
