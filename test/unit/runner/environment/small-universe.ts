/** Small hand-made universes and what becomes of package lists in them. */
import assert from 'node:assert/strict';
import type { Solvable } from '../../../../runner/environment/solvable.ts';
import { solve } from '../../../../runner/environment/solver.ts';
import { buildUniverse, type Universe } from '../../../../runner/environment/universe.ts';
import { PipelineError } from '../../../../shared/errors.ts';

type Extra = Partial<Omit<Solvable, 'name' | 'version'>>;

/** A package from `name-version` (no dash in either). */
export function pkg(text: string, extra: Extra = {}): Solvable {
  const [name = '', version = ''] = text.split('-');
  return { name, version, depends: [], provides: [], installIf: [], ...extra };
}

/** The universe of one repository. */
export function indexOf(...entries: readonly Solvable[]): Universe<Solvable> {
  return buildUniverse([{ repository: './packages', entries }]);
}

/** The installed packages in order, `name-version`, blank-joined. */
export function solved(indexes: Universe<Solvable>, ...world: string[]): string {
  const { packages } = solve({ world, indexes });
  return packages.map(({ entry }) => `${entry.name}-${entry.version}`).join(' ');
}

/** The error of a list that cannot be solved. */
export function refusal(indexes: Universe<Solvable>, ...world: string[]): PipelineError {
  try {
    solve({ world, indexes });
  } catch (error) {
    assert.ok(error instanceof PipelineError, String(error));
    assert.equal(error.kind, 'user');
    return error;
  }
  return assert.fail(`${world.join(' ')} was solved`);
}

/** Asserts that a list is `unsolvable` for this reason. */
export function refuses(indexes: Universe<Solvable>, world: string[], message: string): void {
  const error = refusal(indexes, ...world);
  assert.equal(error.code, 'unsolvable');
  assert.equal(error.message, `cannot solve the environment: ${message}`);
}
