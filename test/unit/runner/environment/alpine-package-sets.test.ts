import assert from 'node:assert/strict';
import { test } from 'node:test';
import { solve } from '../../../../runner/environment/solver.ts';
import { buildUniverse } from '../../../../runner/environment/universe.ts';
import { alpineIndexMissing, readAlpineIndex } from './alpine-index.ts';
import { drawPackageSets, LARGEST_SET, readPackageSets, SET_COUNT } from './alpine-package-sets.ts';
import { faults, superfluous } from './solution-oracle.ts';

const options = { skip: alpineIndexMissing };
const entries = alpineIndexMissing === false ? readAlpineIndex() : [];
const indexes = buildUniverse([{ repository: 'main', entries }]);
const sets = readPackageSets();

test('the sets are of all sizes from 1 to 60, and no name stands twice in one', () => {
  assert.equal(sets.length, SET_COUNT);
  const sizes = new Set(sets.map((set) => new Set(set).size));
  assert.deepEqual(
    [...sizes].sort((a, b) => a - b),
    Array.from({ length: LARGEST_SET }, (_, index) => index + 1),
  );
  for (const set of sets) assert.equal(new Set(set).size, set.length, set.join(' '));
});

test('the sets are what their seed draws, of names that the index has', options, () => {
  const names = new Set(entries.map(({ name }) => name));
  assert.deepEqual(
    sets.flat().filter((name) => !names.has(name)),
    [],
  );
  assert.deepEqual(sets, drawPackageSets(entries), 'the fixture is printed by alpine-package-sets.ts');
});

test(
  'every set solves to packages of the index, closed, without clashes, none of them for nothing',
  options,
  (t) => {
    const known = new Set(entries);
    const counts: number[] = [];
    for (const set of sets) {
      const packages = solve({ world: set, indexes }).packages.map(({ entry }) => entry);
      assert.ok(packages.every((entry) => known.has(entry)));
      assert.deepEqual(faults(packages, set), [], set.join(' '));
      assert.deepEqual(superfluous(packages, set), [], set.join(' '));
      counts.push(packages.length);
    }
    t.diagnostic(
      `${counts.length} sets solved, with ${Math.min(...counts)} to ${Math.max(...counts)} packages`,
    );
  },
);

test('a set with a solution of 200 packages is solved within 50 ms', options, (t) => {
  const times = sets
    .map((world) => {
      const began = performance.now();
      const { length } = solve({ world, indexes }).packages;
      return { ms: performance.now() - began, length };
    })
    .filter(({ length }) => length >= 190 && length <= 210)
    .sort((a, b) => a.ms - b.ms);
  assert.ok(times.length >= 5, `${times.length} sets have such a solution`);
  const median = times[Math.floor(times.length / 2)]?.ms ?? Number.POSITIVE_INFINITY;
  const longest = times.at(-1)?.ms ?? Number.POSITIVE_INFINITY;
  t.diagnostic(
    `a 200-package solution takes ${median.toFixed(1)} ms (median of ${times.length} sets with 190 to 210 packages), ${longest.toFixed(1)} ms at most`,
  );
  assert.ok(median < 50, `${median} ms`);
});
