/**
 * Package sets drawn from the sample Alpine index, kept in `test/fixtures/alpine-package-sets.txt`. Run as a program it
 * prints that file.
 */
import { readFileSync } from 'node:fs';
import type { Solvable } from '../../../../runner/environment/solvable.ts';
import { readAlpineIndex } from './alpine-index.ts';
import { proofOfNone } from './solution-oracle.ts';

export const SET_COUNT = 200;
/** Names in the largest set; the smallest have one. */
export const LARGEST_SET = 60;
const SEED = 31_601;

const fixture = new URL('../../../fixtures/alpine-package-sets.txt', import.meta.url);

/** The sets of the fixture. */
export function readPackageSets(): string[][] {
  return readFileSync(fixture, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' '));
}

/**
 * Draws the sets: sizes rise evenly from 1 to 60, the names of a set differ and are sorted. A set that provably has no
 * solution is drawn again; the proof is the judge's, so no set is left out because the solver fails on it.
 */
export function drawPackageSets(entries: readonly Solvable[]): string[][] {
  const names = [...new Set(entries.map(({ name }) => name))].sort();
  const random = randomNumbers(SEED);
  const draw = (size: number): string[] => {
    const set = new Set<string>();
    while (set.size < size) set.add(names[Math.floor(random() * names.length)] ?? '');
    return [...set].sort();
  };
  return Array.from({ length: SET_COUNT }, (_, index) => {
    const size = 1 + Math.floor((index * LARGEST_SET) / SET_COUNT);
    let set = draw(size);
    while (proofOfNone(entries, set) !== undefined) set = draw(size);
    return set;
  });
}

/** Park–Miller: the same numbers in [0, 1) for the same seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

const HEADER = `# ${SET_COUNT} sets of 1 to ${LARGEST_SET} package names that have a solution in Alpine 3.16's main index for x86_64, one a line.
# Drawn with the seed ${SEED} by test/unit/runner/environment/alpine-package-sets.ts, which prints this file: names by
# chance, sizes rising evenly; a set that provably has no solution was drawn again.
`;

if (import.meta.main) {
  const lines = drawPackageSets(readAlpineIndex()).map((set) => `${set.join(' ')}\n`);
  process.stdout.write(HEADER + lines.join(''));
}
