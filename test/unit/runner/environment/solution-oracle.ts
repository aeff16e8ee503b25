/**
 * Judges solutions by plain search through all packages, sharing nothing with the solver but the reading and meeting of
 * single constraints.
 */

import type { Solvable } from '../../../../runner/environment/solvable.ts';
import {
  type Constraint,
  type Provide,
  parseConstraint,
  parseProvide,
  satisfies,
} from '../../../../shared/apk/constraint.ts';

const constraints = new Map<string, Constraint | undefined>();
const provides = new WeakMap<Solvable, readonly Provide[]>();

function constraintOf(text: string): Constraint | undefined {
  if (!constraints.has(text)) constraints.set(text, parseConstraint(text));
  return constraints.get(text);
}

function providesOf(entry: Solvable): readonly Provide[] {
  const known = provides.get(entry);
  if (known !== undefined) return known;
  const parsed = entry.provides.flatMap((text) => parseProvide(text) ?? []);
  provides.set(entry, parsed);
  return parsed;
}

/** Whether a package is what a constraint names, its `!` aside. */
function answers(entry: Solvable, text: string): boolean {
  const constraint = constraintOf(text);
  if (constraint === undefined) return false;
  const { name, requirement } = constraint;
  if (entry.name === name && satisfies(entry.version, requirement)) return true;
  return providesOf(entry).some((provide) => {
    if (provide.name !== name) return false;
    return (
      requirement === undefined || (provide.version !== undefined && satisfies(provide.version, requirement))
    );
  });
}

function providesName(entry: Solvable, text: string): boolean {
  return providesOf(entry).some(({ name }) => name === constraintOf(text)?.name);
}

/** Names of which there may be one owner: the package's own and those it provides with a version. */
function ownedNames(entry: Solvable): string[] {
  const versioned = providesOf(entry).flatMap(({ name, version }) => (version === undefined ? [] : [name]));
  return [...new Set([entry.name, ...versioned])];
}

/**
 * What is wrong with a set of packages, as sentences; empty for a sound one. By apko's rules packages that `install_if`
 * brings keep their dependencies to themselves, and a package is not held to what it asks of a name it provides.
 */
export function faults(packages: readonly Solvable[], world: readonly string[]): string[] {
  const found: string[] = [];
  const judge = (by: Solvable | undefined, text: string): void => {
    const matching = packages.filter((entry) => answers(entry, text));
    const who = by === undefined ? 'the world' : `${by.name}-${by.version}`;
    if (text.startsWith('!')) {
      if (matching.some((entry) => entry !== by)) found.push(`${who} conflicts with ${text}`);
    } else if (matching.length === 0 && !(by !== undefined && providesName(by, text)))
      found.push(`${who} lacks ${text}`);
  };
  for (const text of world) judge(undefined, text);
  for (const entry of packages) {
    if (
      entry.installIf.length > 0 &&
      entry.installIf.every((text) => packages.some((one) => answers(one, text)))
    )
      continue;
    for (const text of entry.depends) judge(entry, text);
  }
  const owners = new Map<string, Solvable>();
  for (const entry of packages) {
    for (const name of ownedNames(entry)) {
      const owner = owners.get(name);
      if (owner !== undefined) found.push(`${owner.name} and ${entry.name} own ${name}`);
      owners.set(name, entry);
    }
  }
  return found;
}

/**
 * Why no solution can exist, or undefined where this cannot tell: follows only needs that a single package can meet,
 * so whatever it arrives at is in every solution.
 */
export function proofOfNone(entries: readonly Solvable[], world: readonly string[]): string | undefined {
  const forced = new Set<Solvable>();
  const rejected = new Set<Solvable>();
  const needs = new Set(world);
  for (let before = -1; before !== forced.size + rejected.size; ) {
    before = forced.size + rejected.size;
    for (const text of needs) {
      const matching = entries.filter((entry) => answers(entry, text));
      if (text.startsWith('!')) continue;
      const left = matching.filter((entry) => !rejected.has(entry));
      const [only] = left;
      if (only === undefined)
        return matching.length === 0 ? `nothing has ${text}` : `all that has ${text} is barred`;
      if (left.length > 1 || forced.has(only)) continue;
      forced.add(only);
      const owned = new Set(ownedNames(only));
      for (const text of only.depends) needs.add(text);
      for (const entry of entries) {
        if (entry === only) continue;
        const clash =
          ownedNames(entry).some((name) => owned.has(name)) ||
          only.depends.some((text) => text.startsWith('!') && answers(entry, text)) ||
          entry.depends.some((text) => text.startsWith('!') && answers(only, text));
        if (clash) rejected.add(entry);
        if (clash && forced.has(entry)) return `${only.name} and ${entry.name} exclude each other`;
      }
    }
  }
  return undefined;
}
