/**
 * Judges solutions by plain search through all packages. It shares no code with the solver, nor its reading of versions
 * and constraints.
 */
import type { Solvable } from '../../../../runner/environment/solvable.ts';
import { fits, readWanted, type Wanted } from './solution-constraints.ts';

const wanted = new Map<string, Wanted>();

function wantedBy(text: string): Wanted {
  const known = wanted.get(text);
  if (known !== undefined) return known;
  const made = readWanted(text);
  wanted.set(text, made);
  return made;
}

interface Claims {
  /** What the package provides; entries that begin with `!` have no effect. */
  readonly provides: readonly Wanted[];
  /** Its own name and those it provides. */
  readonly names: ReadonlySet<string>;
}

const claims = new WeakMap<Solvable, Claims>();

function claimsOf(entry: Solvable): Claims {
  const known = claims.get(entry);
  if (known !== undefined) return known;
  const provides = entry.provides.map(readWanted).filter(({ forbids }) => !forbids);
  const made: Claims = { provides, names: new Set([entry.name, ...provides.map(({ name }) => name)]) };
  claims.set(entry, made);
  return made;
}

/** Whether a package is what a constraint names, its `!` aside: by its own name, or by one that it provides. */
function answers(entry: Solvable, text: string): boolean {
  const asked = wantedBy(text);
  const { provides, names } = claimsOf(entry);
  if (!names.has(asked.name)) return false;
  if (entry.name === asked.name && fits(entry.version, asked)) return true;
  return provides.some((provide) => {
    if (provide.name !== asked.name) return false;
    return (
      asked.version === undefined || (provide.version !== undefined && fits(provide.version.text, asked))
    );
  });
}

function providesName(entry: Solvable, text: string): boolean {
  return claimsOf(entry).provides.some(({ name }) => name === wantedBy(text).name);
}

/** Names of which there may be one owner: the package's own and those it provides with a version. */
function ownedNames(entry: Solvable): string[] {
  const versioned = claimsOf(entry).provides.flatMap(({ name, version }) =>
    version === undefined ? [] : [name],
  );
  return [...new Set([entry.name, ...versioned])];
}

/** Whether `install_if` alone brings a package into this company. */
function isTriggered(entry: Solvable, packages: readonly Solvable[]): boolean {
  return (
    entry.installIf.length > 0 &&
    entry.installIf.every((text) => packages.some((one) => one !== entry && answers(one, text)))
  );
}

/**
 * What is wrong with a set of packages, as sentences; empty for a sound one: each constraint of the list and of the
 * packages is met, nothing is there that a `!` forbids, and each name has one owner. By apko's rules a package is not
 * held to what it asks of a name that it provides, and one that `install_if` brings keeps its dependencies to itself
 * unless something else needs it.
 */
export function faults(packages: readonly Solvable[], world: readonly string[]): string[] {
  const found: string[] = [];
  const answering = new Map<string, readonly Solvable[]>();
  const judge = (by: Solvable | undefined, text: string): void => {
    const matching = answering.get(text) ?? packages.filter((entry) => answers(entry, text));
    answering.set(text, matching);
    const who = by === undefined ? 'the world' : `${by.name}-${by.version}`;
    if (text.startsWith('!')) {
      if (matching.some((entry) => entry !== by)) found.push(`${who} conflicts with ${text}`);
    } else if (matching.length === 0 && !(by !== undefined && providesName(by, text)))
      found.push(`${who} lacks ${text}`);
  };
  for (const text of world) judge(undefined, text);
  const volunteers = volunteersAmong(packages, world);
  for (const entry of packages) {
    for (const text of entry.depends) {
      if (text.startsWith('!') || !volunteers.has(entry)) judge(entry, text);
    }
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

/** Packages that `install_if` brings and that no need of the list, or of what it needs, can be met without. */
function volunteersAmong(packages: readonly Solvable[], world: readonly string[]): Set<Solvable> {
  const volunteers = new Set(packages.filter((entry) => isTriggered(entry, packages)));
  for (let before = -1; before !== volunteers.size; ) {
    before = volunteers.size;
    const others = packages.filter((entry) => !volunteers.has(entry));
    for (const text of new Set([...world, ...others.flatMap(({ depends }) => depends)])) {
      if (text.startsWith('!')) continue;
      const able = [...volunteers].filter((entry) => answers(entry, text));
      const [only] = able;
      if (only === undefined || able.length > 1) continue;
      if (!others.some((entry) => answers(entry, text))) volunteers.delete(only);
    }
  }
  return volunteers;
}

/** Packages that neither the list nor another package asks for, and that `install_if` does not bring. */
export function superfluous(packages: readonly Solvable[], world: readonly string[]): string[] {
  const reached = new Set<Solvable>();
  const needs = new Set(world);
  for (const text of needs) {
    for (const entry of packages) {
      if (text.startsWith('!') || reached.has(entry) || !answers(entry, text)) continue;
      reached.add(entry);
      for (const need of entry.depends) needs.add(need);
    }
  }
  return packages
    .filter((entry) => !reached.has(entry) && !isTriggered(entry, packages))
    .map(({ name, version }) => `${name}-${version}`);
}

/**
 * Why no solution can exist, or undefined where this cannot tell: follows only needs that a single package can meet,
 * so whatever it arrives at is in every solution.
 */
export function proofOfNone(entries: readonly Solvable[], world: readonly string[]): string | undefined {
  const directory = directoryOf(entries);
  const forced = new Set<Solvable>();
  const rejected = new Set<Solvable>();
  const needs = new Set(world.filter((text) => !text.startsWith('!')));
  for (let before = -1; before !== forced.size + rejected.size; ) {
    before = forced.size + rejected.size;
    for (const text of needs) {
      const matching = holdersOf(directory, text);
      const left = matching.filter((entry) => !rejected.has(entry));
      const [only] = left;
      if (only === undefined)
        return matching.length === 0 ? `nothing has ${text}` : `all that has ${text} is barred`;
      if (left.length > 1 || forced.has(only)) continue;
      forced.add(only);
      for (const need of only.depends) {
        if (!need.startsWith('!') && !providesName(only, need)) needs.add(need);
      }
      for (const entry of clashing(directory, only)) {
        rejected.add(entry);
        if (forced.has(entry)) return `${only.name} and ${entry.name} exclude each other`;
      }
    }
  }
  return undefined;
}

interface Directory {
  /** Packages by their own name and by each name they provide. */
  readonly named: ReadonlyMap<string, readonly Solvable[]>;
  /** Packages by each name in a `!` of theirs. */
  readonly forbidding: ReadonlyMap<string, readonly Solvable[]>;
}

const directories = new WeakMap<readonly Solvable[], Directory>();

function directoryOf(entries: readonly Solvable[]): Directory {
  const known = directories.get(entries);
  if (known !== undefined) return known;
  const forbidden = (entry: Solvable): ReadonlySet<string> =>
    new Set(entry.depends.filter((text) => text.startsWith('!')).map((text) => wantedBy(text).name));
  const made: Directory = {
    named: grouped(entries, (entry) => claimsOf(entry).names),
    forbidding: grouped(entries, forbidden),
  };
  directories.set(entries, made);
  return made;
}

function grouped(
  entries: readonly Solvable[],
  keysOf: (entry: Solvable) => ReadonlySet<string>,
): ReadonlyMap<string, readonly Solvable[]> {
  const groups = new Map<string, Solvable[]>();
  for (const entry of entries) {
    for (const key of keysOf(entry)) groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return groups;
}

function holdersOf({ named }: Directory, text: string): readonly Solvable[] {
  return (named.get(wantedBy(text).name) ?? []).filter((entry) => answers(entry, text));
}

/** What cannot be installed beside a package: owners of its names, what it forbids, and what forbids it. */
function clashing(directory: Directory, one: Solvable): Solvable[] {
  const rivals = ownedNames(one).flatMap((name) =>
    (directory.named.get(name) ?? []).filter((entry) => ownedNames(entry).includes(name)),
  );
  const forbidden = one.depends
    .filter((text) => text.startsWith('!'))
    .flatMap((text) => holdersOf(directory, text));
  const forbidding = [...claimsOf(one).names]
    .flatMap((name) => directory.forbidding.get(name) ?? [])
    .filter((entry) => entry.depends.some((text) => text.startsWith('!') && answers(one, text)));
  return [...rivals, ...forbidden, ...forbidding].filter((entry) => entry !== one);
}
