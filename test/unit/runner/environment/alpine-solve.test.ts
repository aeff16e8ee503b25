import assert from 'node:assert/strict';
import { test } from 'node:test';
import { solve } from '../../../../runner/environment/solver.ts';
import { buildUniverse } from '../../../../runner/environment/universe.ts';
import { PipelineError } from '../../../../shared/errors.ts';
import { alpineIndexMissing, readAlpineIndex } from './alpine-index.ts';
import { randomNumbers } from './alpine-package-sets.ts';
import { faults, proofOfNone } from './solution-oracle.ts';

const options = { skip: alpineIndexMissing };
const entries = alpineIndexMissing === false ? readAlpineIndex() : [];
const names = [...new Set(entries.map((entry) => entry.name))].sort();
const indexes = buildUniverse([{ repository: 'main', entries }]);

function pick(count: number, random: () => number): string[] {
  return Array.from({ length: count }, () => names[Math.floor(random() * names.length)] ?? '');
}

function attempt(world: readonly string[], universe = indexes): string[] | PipelineError {
  try {
    return solve({ world, indexes: universe }).packages.map(({ entry }) => `${entry.name}=${entry.version}`);
  } catch (error) {
    if (error instanceof PipelineError) return error;
    throw error;
  }
}

test('the index has all its packages', options, () => {
  assert.equal(entries.length, 4929);
});

test(
  'random package lists solve to closed sets without clashes, or have no solution at all',
  options,
  (t) => {
    const random = randomNumbers(20_260_801);
    const byName = new Map(entries.map((entry) => [`${entry.name}=${entry.version}`, entry]));
    const reasons: string[] = [];
    for (let run = 0; run < 200; run += 1) {
      const world = pick(1 + Math.floor(random() * 60), random);
      const found = attempt(world);
      if (found instanceof PipelineError) {
        assert.equal(found.code, 'unsolvable');
        const proof = proofOfNone(entries, world);
        assert.ok(proof, `${found.message}\n${world.join(' ')}`);
        reasons.push(proof);
      } else {
        const packages = found.flatMap((text) => byName.get(text) ?? []);
        assert.equal(packages.length, found.length, 'all are of the index');
        assert.deepEqual(faults(packages, world), [], world.join(' '));
      }
    }
    t.diagnostic(`${reasons.length} of 200 lists have no solution: ${[...new Set(reasons)].join('; ')}`);
    assert.ok(reasons.length < 20);
  },
);

test(
  'every single package of the index can be installed, but for one that needs what is elsewhere',
  options,
  () => {
    const failed = names.filter((name) => attempt([name]) instanceof PipelineError);
    assert.deepEqual(failed, ['tiny-cloud-aws']);
  },
);

test('neither the order of the index nor that of the list changes a solution', options, () => {
  const random = randomNumbers(7);
  const shuffled = [...entries].sort(() => random() - 0.5);
  const other = buildUniverse([{ repository: 'main', entries: shuffled }]);
  for (let run = 0; run < 50; run += 1) {
    const world = pick(1 + Math.floor(random() * 30), random);
    const found = attempt(world);
    const again = attempt([...world, ...world].reverse(), other);
    if (found instanceof PipelineError || again instanceof PipelineError) {
      assert.ok(found instanceof PipelineError && again instanceof PipelineError);
    } else assert.deepEqual(again, found);
  }
});

test('a solution written down as name=version solves to itself', options, () => {
  const random = randomNumbers(11);
  let compared = 0;
  for (let run = 0; run < 50; run += 1) {
    const found = attempt(pick(1 + Math.floor(random() * 20), random));
    if (found instanceof PipelineError) continue;
    const again = attempt(found);
    assert.ok(Array.isArray(again), String(again));
    // What install_if brought is now asked for by name, so what it needs is installed with it.
    for (const text of found) assert.ok(again.includes(text), text);
    compared += 1;
  }
  assert.ok(compared > 40);
});

test('a 200-package environment is solved within 50 ms once its index is loaded', options, (t) => {
  const random = randomNumbers(3);
  const worlds: string[][] = [];
  while (worlds.length < 20) {
    const world = pick(40, random);
    const found = attempt(world);
    if (Array.isArray(found) && found.length >= 180 && found.length <= 260) worlds.push(world);
  }
  const times = worlds
    .map((world) => {
      const started = performance.now();
      solve({ world, indexes });
      return performance.now() - started;
    })
    .sort((a, b) => a - b);
  t.diagnostic(`median ${times[10]?.toFixed(1)} ms, longest ${times.at(-1)?.toFixed(1)} ms`);
  assert.ok((times[10] ?? Number.POSITIVE_INFINITY) < 50);
});
