/** Which offers may meet a constraint, and which of them is best. */
import { type Constraint, satisfies } from '../../shared/apk/constraint.ts';
import { compareVersions, parseVersion } from '../../shared/apk/version.ts';
import type { Offer, Solvable } from './solvable.ts';
import { type ChosenSet, offersOf, providesOf, type SolveState } from './solve-state.ts';

/**
 * The offers for a constraint's name that are neither ruled out, nor from a repository with another tag than
 * `state.pin`, nor of a wrong version. As in apko, a version matches when it is the package's own or that of any
 * provide, whatever its name: where that differs, `excludeByConstraints` has ruled the package out before.
 */
export function findCandidates<Entry extends Solvable>(
  state: SolveState<Entry>,
  constraint: Constraint,
): readonly Offer<Entry>[] {
  return offersOf(state, constraint.name).filter(
    (offer) =>
      !state.excluded.has(offer) && isReachable(state, offer) && hasVersionFor(state, offer, constraint),
  );
}

/** Whether the repository of an offer may be used for the entry of the package list being worked on. */
export function isReachable<Entry extends Solvable>(state: SolveState<Entry>, offer: Offer<Entry>): boolean {
  return offer.pin === undefined || offer.pin === state.pin || state.chosen.offers.has(offer);
}

export function hasVersionFor<Entry extends Solvable>(
  state: SolveState<Entry>,
  offer: Offer<Entry>,
  { requirement }: Constraint,
): boolean {
  if (requirement === undefined || satisfies(offer.entry.version, requirement)) return true;
  return providesOf(state, offer).some(
    ({ version }) => version !== undefined && satisfies(version, requirement),
  );
}

/** The best of at least one candidate for `name`, given what was chosen before; the first of equally good ones. */
export function bestCandidate<Entry extends Solvable>(
  state: SolveState<Entry>,
  candidates: readonly [Offer<Entry>, ...Offer<Entry>[]],
  context: { readonly name: string; readonly chosen: ChosenSet<Entry> },
): Offer<Entry> {
  const [first, ...others] = candidates;
  let best = first;
  for (const offer of others) {
    if (prefer(state, context, offer, best) < 0) best = offer;
  }
  return best;
}

/** Negative where `a` is to be preferred. The first difference decides; the order of repositories plays no role. */
function prefer<Entry extends Solvable>(
  state: SolveState<Entry>,
  { name, chosen }: { readonly name: string; readonly chosen: ChosenSet<Entry> },
  a: Offer<Entry>,
  b: Offer<Entry>,
): number {
  const holds = (test: (offer: Offer<Entry>) => boolean): number => Number(test(b)) - Number(test(a));
  return (
    holds(({ entry }) => chosen.versionsByName.get(entry.name)?.has(entry.version) === true) ||
    holds(({ entry }) => chosen.versionsByOrigin.get(entry.origin ?? '')?.has(entry.version) === true) ||
    holds(({ pin }) => pin === state.pin) ||
    higherFirst(versionAs(state, a, name), versionAs(state, b, name)) ||
    (a.entry.name === b.entry.name ? higherFirst(a.entry.version, b.entry.version) : 0) ||
    (b.entry.providerPriority ?? 0) - (a.entry.providerPriority ?? 0) ||
    higherFirst(a.entry.version, b.entry.version) ||
    compareText(a.entry.name, b.entry.name)
  );
}

/** The version under which a package goes by `name`; none for a virtual name. */
function versionAs<Entry extends Solvable>(
  state: SolveState<Entry>,
  offer: Offer<Entry>,
  name: string,
): string | undefined {
  if (offer.entry.name === name) return offer.entry.version;
  return providesOf(state, offer).find((provide) => provide.name === name)?.version;
}

/** Versions outside the grammar rank below all others and are equal among themselves. */
function higherFirst(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined || a === b) return 0;
  const left = parseVersion(a);
  const right = parseVersion(b);
  if (left !== undefined && right !== undefined) return compareVersions(right, left);
  return Number(right !== undefined) - Number(left !== undefined);
}

function compareText(a: string, b: string): number {
  if (a < b) return -1;
  return a > b ? 1 : 0;
}
