/** What one solve has decided so far. */
import { type Constraint, type Provide, parseConstraint, parseProvide } from '../../shared/apk/constraint.ts';
import type { Offer, Solvable } from './solvable.ts';
import { offersNamed, type Universe } from './universe.ts';

/** Who wrote a constraint: a package in its dependencies, or, without `by`, the package list. */
export interface Demand<Entry extends Solvable> {
  readonly by?: Offer<Entry>;
  readonly text: string;
}

/** Why an offer must not be chosen: a constraint excludes it, or a chosen package owns a name it has too. */
export type Exclusion<Entry extends Solvable> =
  | { readonly kind: 'demand'; readonly demand: Demand<Entry> }
  | { readonly kind: 'rival'; readonly rival: Offer<Entry>; readonly name: string };

export interface SolveState<Entry extends Solvable> {
  readonly universe: Universe<Entry>;
  /** Offers that must not be chosen, each with the first reason found. Only grows. */
  readonly excluded: Map<Offer<Entry>, Exclusion<Entry>>;
  /** Packages whose dependencies were taken up, by own name and versioned provides. */
  readonly selected: Map<string, Offer<Entry>>;
  /** The choices for the package list, and for dependencies in subtrees that are finished. */
  readonly chosen: ChosenSet<Entry>;
  /** From an entry of the package list down to the package being expanded. */
  readonly path: Demand<Entry>[];
  readonly packagesOnPath: Set<Offer<Entry>>;
  /** Tag of the entry of the package list being expanded. */
  pin: string | undefined;
  /** Read constraints and provides, so each is parsed once a solve. */
  readonly constraints: Map<string, Constraint>;
  readonly provides: Map<Offer<Entry>, readonly Provide[]>;
  readonly offers: Map<string, readonly Offer<Entry>[]>;
}

/** Chosen packages, and their versions by name and by origin. */
export interface ChosenSet<Entry extends Solvable> {
  readonly offers: Set<Offer<Entry>>;
  readonly versionsByName: Map<string, Set<string>>;
  readonly versionsByOrigin: Map<string, Set<string>>;
}

export function newSolveState<Entry extends Solvable>(universe: Universe<Entry>): SolveState<Entry> {
  return {
    universe,
    excluded: new Map(),
    selected: new Map(),
    chosen: newChosenSet(),
    path: [],
    packagesOnPath: new Set(),
    pin: undefined,
    constraints: new Map(),
    provides: new Map(),
    offers: new Map(),
  };
}

export function newChosenSet<Entry extends Solvable>(): ChosenSet<Entry> {
  return { offers: new Set(), versionsByName: new Map(), versionsByOrigin: new Map() };
}

export function addChosen<Entry extends Solvable>(chosen: ChosenSet<Entry>, offer: Offer<Entry>): void {
  if (chosen.offers.has(offer)) return;
  const { name, version, origin = '' } = offer.entry;
  chosen.offers.add(offer);
  addTo(chosen.versionsByName, name, version);
  if (origin !== '') addTo(chosen.versionsByOrigin, origin, version);
}

/** A dependency that is no constraint is read as the name of a package, which nothing will have. */
export function constraintOf<Entry extends Solvable>(state: SolveState<Entry>, text: string): Constraint {
  const known = state.constraints.get(text);
  if (known !== undefined) return known;
  const constraint = parseConstraint(text) ?? { conflict: false, name: text };
  state.constraints.set(text, constraint);
  return constraint;
}

export function providesOf<Entry extends Solvable>(
  state: SolveState<Entry>,
  offer: Offer<Entry>,
): readonly Provide[] {
  const known = state.provides.get(offer);
  if (known !== undefined) return known;
  const provides = offer.entry.provides.flatMap((text) => parseProvide(text) ?? []);
  state.provides.set(offer, provides);
  return provides;
}

export function offersOf<Entry extends Solvable>(
  state: SolveState<Entry>,
  name: string,
): readonly Offer<Entry>[] {
  const known = state.offers.get(name);
  if (known !== undefined) return known;
  const offers = offersNamed(state.universe, name);
  state.offers.set(name, offers);
  return offers;
}

function addTo(table: Map<string, Set<string>>, key: string, value: string): void {
  const values = table.get(key);
  if (values === undefined) table.set(key, new Set([value]));
  else values.add(value);
}
