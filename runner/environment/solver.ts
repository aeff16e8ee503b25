/**
 * Chooses the packages of an environment. Like apko's, the solver makes greedy choices and rules out what cannot stand
 * beside them; it does not search. What it finds is checked as a whole before it is given out.
 */
import { parseConstraint, satisfies } from '../../shared/apk/constraint.ts';
import { PipelineError } from '../../shared/errors.ts';
import { bestCandidate, findCandidates, isReachable } from './candidates.ts';
import { checkClosure } from './closure-check.ts';
import { answersTo, excludeByConstraints, excludeRivals } from './exclusion.ts';
import type { Offer, Solvable } from './solvable.ts';
import {
  addChosen,
  constraintOf,
  newChosenSet,
  newSolveState,
  providesOf,
  type SolveState,
} from './solve-state.ts';
import { offersTriggered, type Universe } from './universe.ts';
import { alreadySelected, nameTaken, nothingFits } from './unsolvable.ts';

export interface SolveOptions<Entry extends Solvable> {
  /** Constraints on the environment; order and repetition do not matter. */
  readonly world: readonly string[];
  readonly indexes: Universe<Entry>;
}

export interface Solution<Entry extends Solvable> {
  /** In the order of installation: dependencies before dependents, cycles aside. Each name once. */
  readonly packages: readonly Offer<Entry>[];
  /** What the packages must not be installed beside, without the `!`: matters where something is installed already. */
  readonly conflicts: readonly string[];
}

/**
 * Solves a list of constraints.
 *
 * @throws PipelineError of kind `user`: `unsolvable` naming the chain of needs and what rules out each candidate;
 * `invalid-constraint` for an entry of the list that is none.
 */
export function solve<Entry extends Solvable>({ world, indexes }: SolveOptions<Entry>): Solution<Entry> {
  const entries = readWorld(world);
  const state = newSolveState(indexes);
  chooseForWorld(state, entries);
  const found = new Map<string, Offer<Entry>>();
  const expanded = new Set<Offer<Entry>>();
  for (const text of entries) {
    if (constraintOf(state, text).conflict) continue;
    const { needed, additions, root } = expandWorldEntry(state, text);
    for (const offer of [...needed, root]) expanded.add(offer);
    for (const offer of [...needed, ...additions, root]) {
      if (!found.has(offer.entry.name)) found.set(offer.entry.name, offer);
      addChosen(state.chosen, offer);
    }
  }
  const packages = [...found.values()];
  checkClosure(state, packages, { world: entries, expanded });
  return { packages, conflicts: conflictsOf(packages, entries) };
}

function readWorld(world: readonly string[]): readonly string[] {
  for (const text of world) {
    if (parseConstraint(text) !== undefined) continue;
    throw new PipelineError({
      code: 'invalid-constraint',
      kind: 'user',
      message: `the package list has ${JSON.stringify(text)}, which is no package constraint`,
      hint: 'write name, name=1.2-r0, name>=1.2, name~1.2 or !name, without blanks',
    });
  }
  return [...new Set(world)].sort();
}

/** Settles the entries of the package list among themselves, the one with the fewest candidates first. */
function chooseForWorld<Entry extends Solvable>(state: SolveState<Entry>, entries: readonly string[]): void {
  excludeByConstraints(state, entries);
  const open = new Map<string, readonly Offer<Entry>[]>();
  for (const text of entries) {
    const constraint = constraintOf(state, text);
    if (constraint.conflict) continue;
    state.pin = constraint.pin;
    open.set(text, findCandidates(state, constraint));
  }
  while (open.size > 0) {
    let fewest: { readonly text: string; readonly candidates: readonly Offer<Entry>[] } | undefined;
    for (const [text, before] of open) {
      const candidates = before.filter((offer) => !state.excluded.has(offer));
      open.set(text, candidates);
      if (fewest === undefined || candidates.length < fewest.candidates.length) fewest = { text, candidates };
    }
    if (fewest === undefined) return;
    const chosen = bestForWorld(state, fewest.text, fewest.candidates);
    excludeRivals(state, chosen);
    addChosen(state.chosen, chosen);
    open.delete(fewest.text);
  }
}

/** The choice for an entry of the package list, which looks at nothing chosen before. */
function bestForWorld<Entry extends Solvable>(
  state: SolveState<Entry>,
  text: string,
  candidates: readonly Offer<Entry>[],
): Offer<Entry> {
  const { name, pin } = constraintOf(state, text);
  state.pin = pin;
  const [first, ...others] = candidates;
  if (first === undefined) throw nothingFits(state, { text });
  return bestCandidate(state, [first, ...others], { name, chosen: newChosenSet() });
}

interface Tree<Entry extends Solvable> {
  readonly root: Offer<Entry>;
  /** What the root needs, deepest first; may repeat. */
  readonly needed: readonly Offer<Entry>[];
  /** What `install_if` adds. */
  readonly additions: readonly Offer<Entry>[];
}

/** The package for an entry of the list with all it needs. */
function expandWorldEntry<Entry extends Solvable>(state: SolveState<Entry>, text: string): Tree<Entry> {
  const constraint = constraintOf(state, text);
  state.pin = constraint.pin;
  const root = bestForWorld(state, text, findCandidates(state, constraint));
  const needed: Offer<Entry>[] = [];
  state.path.push({ text });
  expand(state, root, needed);
  state.path.pop();
  return { root, needed, additions: triggeredBy(state, needed) };
}

/** Appends what a package needs, deepest first, without the package itself. */
function expand<Entry extends Solvable>(
  state: SolveState<Entry>,
  offer: Offer<Entry>,
  needed: Offer<Entry>[],
): void {
  if (state.packagesOnPath.has(offer)) return;
  excludeByConstraints(state, offer.entry.depends, offer);
  state.packagesOnPath.add(offer);
  let open = [...new Set(offer.entry.depends)].sort();
  for (;;) {
    open = open.filter((text) => !isMet(state, offer, text));
    const next = fewestCandidates(state, offer, open);
    if (next === undefined) break;
    const { text, candidates } = next;
    const { name } = constraintOf(state, text);
    const chosen = bestCandidate(state, candidates, { name, chosen: state.chosen });
    excludeRivals(state, chosen);
    select(state, offer);
    state.path.push({ by: offer, text });
    expand(state, chosen, needed);
    state.path.pop();
    needed.push(chosen);
    addChosen(state.chosen, chosen);
    open = open.filter((other) => other !== text);
  }
  state.packagesOnPath.delete(offer);
}

/** Of the open dependencies of a package the one with the fewest candidates, the first by text among equals. */
function fewestCandidates<Entry extends Solvable>(
  state: SolveState<Entry>,
  by: Offer<Entry>,
  open: readonly string[],
): { readonly text: string; readonly candidates: readonly [Offer<Entry>, ...Offer<Entry>[]] } | undefined {
  let fewest:
    | { readonly text: string; readonly candidates: readonly [Offer<Entry>, ...Offer<Entry>[]] }
    | undefined;
  for (const text of open) {
    const [first, ...others] = findCandidates(state, constraintOf(state, text));
    if (first === undefined) throw nothingFits(state, { by, text });
    const count = others.length + 1;
    if (fewest === undefined || count < fewest.candidates.length)
      fewest = { text, candidates: [first, ...others] };
  }
  return fewest;
}

/**
 * Whether a dependency asks for nothing more: it is a conflict, the package meets it itself, or a selected package
 * does. apko compares a selected package's provide by `=` whatever the operator asked, and so refuses environments
 * that are sound; here the operator counts.
 */
function isMet<Entry extends Solvable>(state: SolveState<Entry>, offer: Offer<Entry>, text: string): boolean {
  const { conflict, name, requirement } = constraintOf(state, text);
  if (conflict) return true;
  if (providesOf(state, offer).some((provide) => provide.name === name)) return true;
  if (offer.entry.name === name && satisfies(offer.entry.version, requirement)) return true;
  const holder = state.selected.get(name);
  if (holder === undefined) return false;
  if (!answersTo(state, holder, { name, requirement }))
    throw alreadySelected(state, { by: offer, text }, holder);
  return true;
}

/**
 * Records a package whose dependencies are being taken up as the owner of its name and of its versioned provides. In
 * apko a package that claims a name twice clashes with itself; here it does not.
 */
function select<Entry extends Solvable>(state: SolveState<Entry>, offer: Offer<Entry>): void {
  const owned = providesOf(state, offer).filter((provide) => provide.version !== undefined);
  for (const name of [offer.entry.name, ...owned.map((provide) => provide.name)]) {
    const holder = state.selected.get(name);
    if (holder !== undefined && holder !== offer) throw nameTaken(state, offer, { name, holder });
    state.selected.set(name, offer);
  }
}

/**
 * The packages whose `install_if` is met by a list of packages, conditions being names or `name=version`. Their own
 * dependencies are not looked at.
 */
function triggeredBy<Entry extends Solvable>(
  state: SolveState<Entry>,
  list: readonly Offer<Entry>[],
): Offer<Entry>[] {
  const conditions = new Set(list.flatMap(({ entry }) => [entry.name, `${entry.name}=${entry.version}`]));
  const added = new Map<string, Offer<Entry>>();
  for (const condition of conditions) {
    for (const offer of offersTriggered(state.universe, condition)) {
      const { name, installIf } = offer.entry;
      if (added.has(name) || state.chosen.versionsByName.has(name)) continue;
      if (state.excluded.has(offer) || !isReachable(state, offer)) continue;
      if (installIf.every((one) => conditions.has(one))) added.set(name, offer);
    }
  }
  return [...added.keys()].sort().flatMap((name) => added.get(name) ?? []);
}

/** The conflicts of all packages and of the list, each once. */
function conflictsOf<Entry extends Solvable>(
  packages: readonly Offer<Entry>[],
  entries: readonly string[],
): readonly string[] {
  const texts = [...entries, ...packages.flatMap(({ entry }) => entry.depends)];
  return [...new Set(texts.filter((text) => text.startsWith('!')).map((text) => text.slice(1)))];
}
