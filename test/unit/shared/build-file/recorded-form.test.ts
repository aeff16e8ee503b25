import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from 'js-yaml';
import { type BuildPlan, melangeYaml, parseBuildFile } from '../../../../shared/build-file/index.ts';
import { compiled, fixture, lines, noPipelines, withPackage } from './language.ts';

const locked = {
  packages: ['busybox=1.37.0-r1', 'bash=5.3-r0'],
  repositories: ['https://packages.example/os'],
};

/** What running the plan would do. */
function behaviour(plan: BuildPlan): unknown {
  return plan.packages.map(({ steps, test: tested, ...metadata }) => ({
    ...metadata,
    steps: steps.map((step) => [step.name, step.script, step.workingDirectory, step.environment]),
    test: tested?.steps.map((step) => [step.name, step.script, step.workingDirectory, step.environment]),
  }));
}

test('the recorded form compiles again to the same steps and packages, without any pipeline file', () => {
  const plan = compiled(fixture('lantern.yaml').text, { commit: 'abc' });
  const text = melangeYaml(plan, locked);
  const again = compiled(text, { lookup: noPipelines });
  assert.deepEqual(behaviour(again), behaviour(plan));
  assert.deepEqual(again.environment.packages, ['bash=5.3-r0', 'busybox=1.37.0-r1']);
  assert.equal(melangeYaml(again, locked), text, 'recording it again changes nothing');
  const errors = parseBuildFile({ file: '.melange.yaml', text }).diagnostics.filter(
    (one) => one.severity === 'error',
  );
  assert.deepEqual(lines(errors), []);
});

test('texts that look like numbers or booleans stay texts, numbers stay numbers', () => {
  const plan = compiled(
    withPackage('  epoch: 4\n  options: {no-provides: yes}\nvars: {a: 1.10, b: "true", c: 010}\n').replace(
      '1.2.3',
      '1.10',
    ),
  );
  const read = load(melangeYaml(plan, locked));
  assert.deepEqual(read, {
    package: { name: 'thing', version: '1.10', epoch: 4, options: { 'no-provides': true } },
    environment: {
      contents: {
        repositories: ['https://packages.example/os'],
        packages: ['bash=5.3-r0', 'busybox=1.37.0-r1'],
      },
      archs: ['x86_64'],
    },
    vars: { a: '1.10', b: 'true', c: '010' },
  });
});

test('ranges are expanded, conditions keep their values, arguments equal to the default are left out', () => {
  const text = withPackage(
    [
      'data: [{name: t, items: {a: "1"}}]',
      'pipeline:',
      `  - {if: "\${{build.arch}} == 'aarch64'", runs: "\${{build.arch}}"}`,
      '  - {uses: autoconf/make, with: {dir: ., opts: -k}, needs: {packages: [x]}}',
      'subpackages: [{range: t, name: "s-${{range.key}}", if: "${{build.arch}} == \'x86_64\'"}]',
      '',
    ].join('\n'),
  );
  const read: unknown = load(melangeYaml(compiled(text), locked));
  assert.ok(typeof read === 'object' && read !== null && 'pipeline' in read && 'subpackages' in read);
  assert.deepEqual(read.pipeline, [
    { if: '"x86_64" == "aarch64"', runs: 'x86_64' },
    {
      uses: 'autoconf/make',
      with: { opts: '-k' },
      pipeline: [{ runs: 'make -C "." -j"$(nproc)" V=1  -k\n' }],
    },
  ]);
  assert.deepEqual(read.subpackages, [{ name: 's-a' }]);
  assert.equal('data' in read, false);
});

test('a pipeline file that runs a fragment itself is recorded as a step that can be built again', () => {
  const lookup = (name: string) => (name === 'p' ? { file: 'p.yaml', text: 'runs: own\n' } : undefined);
  const plan = compiled(withPackage('pipeline: [{uses: p}]\n'), { lookup });
  const again = compiled(melangeYaml(plan, locked));
  assert.deepEqual(behaviour(again), behaviour(plan));
});
