import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Solvable } from '../../../../runner/environment/solvable.ts';
import { solve } from '../../../../runner/environment/solver.ts';
import { PipelineError } from '../../../../shared/errors.ts';
import { indexOf, pkg } from './small-universe.ts';
import { faults } from './solution-oracle.ts';

test('the judge of these tests sees what is missing, in conflict, and owned twice', () => {
  const packages = [
    pkg('a-1', { depends: ['b', '!c'], provides: ['v=1'] }),
    pkg('c-1', { provides: ['v=2'] }),
  ];
  assert.deepEqual(faults(packages, ['d']), [
    'the world lacks d',
    'a-1 lacks b',
    'a-1 conflicts with !c',
    'a and c own v',
  ]);
});

const names = ['p', 'q', 'r', 's', 't'];
const versions = ['1', '2', '3'];
const asked = fc.oneof(
  fc.constantFrom(...names, 'v', 'w'),
  fc
    .tuple(
      fc.constantFrom(...names),
      fc.constantFrom('=', '<', '>', '<=', '>=', '~'),
      fc.constantFrom(...versions),
    )
    .map((parts) => parts.join('')),
);
const entry = fc
  .record({
    name: fc.constantFrom(...names),
    version: fc.constantFrom(...versions),
    depends: fc.array(
      fc.oneof(
        { weight: 5, arbitrary: asked },
        asked.map((text) => `!${text}`),
      ),
      { maxLength: 3 },
    ),
    provides: fc.array(fc.constantFrom('v', 'w', 'p=1', 'q=2', 't=3'), { maxLength: 2 }),
  })
  .map((fields): Solvable => ({ ...fields, installIf: [] }));

test('whatever the packages are like, a solution is closed and free of clashes', () => {
  let solutions = 0;
  fc.assert(
    fc.property(
      fc.uniqueArray(entry, {
        minLength: 3,
        maxLength: 14,
        selector: ({ name, version }) => `${name}-${version}`,
      }),
      fc.array(asked, { minLength: 1, maxLength: 3 }),
      (entries, world) => {
        try {
          const { packages } = solve({ world, indexes: indexOf(...entries) });
          assert.deepEqual(
            faults(
              packages.map((offer) => offer.entry),
              world,
            ),
            [],
          );
          solutions += 1;
        } catch (error) {
          assert.ok(error instanceof PipelineError && error.code === 'unsolvable', String(error));
        }
      },
    ),
    { numRuns: 3000 },
  );
  assert.ok(solutions > 500, `${solutions} solutions`);
});
