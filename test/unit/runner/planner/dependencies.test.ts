import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { orderPlans } from '../../../../runner/planner/dependencies.ts';
import type { BuildPlan } from '../../../../shared/build-file/plan.ts';
import { PipelineError } from '../../../../shared/errors.ts';
import { compiled } from '../../shared/build-file/language.ts';

interface Wanted {
  readonly needs?: readonly string[];
  readonly provides?: readonly string[];
  readonly subpackages?: readonly string[];
}

function plan(name: string, wanted: Wanted = {}): BuildPlan {
  const list = (names: readonly string[] = []): string => `[${names.map((one) => `"${one}"`).join(', ')}]`;
  return compiled(`package:
  name: ${name}
  version: "1.0"
  dependencies: {provides: ${list(wanted.provides)}}
environment: {contents: {packages: ${list(wanted.needs)}}}
pipeline: [{runs: "true"}]
${(wanted.subpackages ?? []).length === 0 ? '' : 'subpackages:\n'}${(wanted.subpackages ?? [])
  .map((one) => `  - {name: ${one}, pipeline: [{runs: "true"}]}`)
  .join('\n')}
`);
}

function edges(plans: readonly BuildPlan[], mode: 'flat' | 'dag' = 'dag'): [string, readonly string[]][] {
  return orderPlans(plans, mode).map((one) => [one.plan.name, one.dependencies]);
}

test('a package that another one needs comes first', () => {
  const plans = [plan('app', { needs: ['lib'] }), plan('lib')];
  assert.deepEqual(edges(plans), [
    ['lib', []],
    ['app', ['lib']],
  ]);
});

test('a need with a version is one of the package', () => {
  for (const need of ['lib>=1.0', 'lib=1.0-r0', 'lib~1', 'lib<2']) {
    assert.deepEqual(edges([plan('lib'), plan('app', { needs: [need] })]).at(-1), ['app', ['lib']], need);
  }
});

test('a need of a subpackage, or of a provided name, is one of the package that makes it', () => {
  const lib = plan('lib', { subpackages: ['lib-dev'], provides: ['so:lib.so.1=1', 'cmd:lib'] });
  for (const need of ['lib-dev', 'so:lib.so.1', 'cmd:lib']) {
    assert.deepEqual(edges([plan('app', { needs: [need] }), lib]).at(-1), ['app', ['lib']], need);
  }
});

test('a package of that name counts before one that provides the name', () => {
  const plans = [plan('other', { provides: ['lib=2'] }), plan('lib'), plan('app', { needs: ['lib'] })];
  assert.deepEqual(edges(plans).at(-1), ['app', ['lib']]);
});

test('what nobody in the build makes is no dependency, and nobody depends on itself', () => {
  const plans = [plan('app', { needs: ['busybox', 'app', 'app-dev'], subpackages: ['app-dev'] })];
  assert.deepEqual(edges(plans), [['app', []]]);
});

test('in flat mode nobody waits for anybody', () => {
  assert.deepEqual(edges([plan('app', { needs: ['lib'] }), plan('lib', { needs: ['app'] })], 'flat'), [
    ['app', []],
    ['lib', []],
  ]);
});

test('a cycle is refused and named from end to end', () => {
  const plans = [
    plan('entry', { needs: ['a'] }),
    plan('a', { needs: ['b'] }),
    plan('b', { needs: ['c-dev'] }),
    plan('c', { needs: ['a'], subpackages: ['c-dev'] }),
  ];
  assert.throws(
    () => orderPlans(plans, 'dag'),
    (error) =>
      error instanceof PipelineError &&
      error.code === 'request-invalid' &&
      error.kind === 'user' &&
      error.message.includes('a → b → c → a') &&
      !error.message.includes('entry'),
  );
});

test('two build files of one package are refused', () => {
  assert.throws(() => orderPlans([plan('a'), plan('a')], 'flat'), /two build files make the package a/);
});

test('every dependency comes before its dependents, in whatever order they are given', () => {
  const size = 12;
  const order = fc.shuffledSubarray(
    Array.from({ length: size }, (_, index) => index),
    { minLength: size, maxLength: size },
  );
  const needs = fc.array(fc.tuple(fc.nat({ max: size - 1 }), fc.nat({ max: size - 1 })), { maxLength: 40 });
  fc.assert(
    fc.property(order, needs, (given, pairs) => {
      const plans = given.map((id) => {
        const wanted = pairs.filter(([from, to]) => from === id && to < id).map(([, to]) => `p${to}`);
        return plan(`p${id}`, { needs: wanted });
      });
      const ordered = orderPlans(plans, 'dag');
      assert.equal(ordered.length, size);
      const done = new Set<string>();
      for (const { plan: one, dependencies } of ordered) {
        for (const name of dependencies) assert.ok(done.has(name), `${name} before ${one.name}`);
        done.add(one.name);
      }
    }),
    { numRuns: 30 },
  );
});

test('a chain of 3,000 packages is ordered', () => {
  const base = plan('p');
  const plans = Array.from({ length: 3000 }, (_, index) => ({
    ...base,
    name: `p${index}`,
    packages: base.packages.map((one) => ({ ...one, name: `p${index}` })),
    environment: { ...base.environment, packages: index === 2999 ? [] : [`p${index + 1}`] },
  }));
  assert.equal(orderPlans(plans, 'dag')[0]?.plan.name, 'p2999');
});
