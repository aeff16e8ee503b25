/** Which offers a constraint or a choice rules out. */
import { satisfies, type VersionRequirement } from '../../shared/apk/constraint.ts';
import type { Offer, Solvable } from './solvable.ts';
import { constraintOf, type Demand, offersOf, providesOf, type SolveState } from './solve-state.ts';

/**
 * Rules out what a list of constraints forbids: what `!x` describes, and of the packages with the name in `x>=2` those
 * that have it with another version. Providers of the bare name are left alone by the latter, and a package never
 * rules itself out by a `!x` of its own.
 */
export function excludeByConstraints<Entry extends Solvable>(
  state: SolveState<Entry>,
  texts: Iterable<string>,
  by?: Offer<Entry>,
): void {
  for (const text of texts) {
    const { conflict, name, requirement } = constraintOf(state, text);
    if (!conflict && requirement === undefined) continue;
    const demand: Demand<Entry> = by === undefined ? { text } : { by, text };
    for (const offer of offersOf(state, name)) {
      if (state.excluded.has(offer)) continue;
      const excluded = conflict
        ? offer !== by && answersTo(state, offer, { name, requirement })
        : requirement !== undefined && mismatches(state, offer, { name, requirement });
      if (excluded) state.excluded.set(offer, { kind: 'demand', demand });
    }
  }
}

/**
 * Rules out what cannot be installed beside a chosen package. A name provided with a version has one owner; a virtual
 * name may be shared by packages that provide it without a version.
 */
export function excludeRivals<Entry extends Solvable>(state: SolveState<Entry>, chosen: Offer<Entry>): void {
  for (const { name, version } of providesOf(state, chosen)) {
    for (const offer of offersOf(state, name)) {
      if (offer === chosen || state.excluded.has(offer)) continue;
      if (version !== undefined || owns(state, offer, name)) {
        state.excluded.set(offer, { kind: 'rival', rival: chosen, name });
      }
    }
  }
}

interface NamedRequirement {
  readonly name: string;
  readonly requirement: VersionRequirement | undefined;
}

/**
 * Whether an offer is what `name` and a version ask for: by its own name, or by a provide of that name. A provide
 * without a version answers only where none is asked.
 */
export function answersTo<Entry extends Solvable>(
  state: SolveState<Entry>,
  offer: Offer<Entry>,
  wanted: NamedRequirement,
): boolean {
  const { name, requirement } = wanted;
  if (offer.entry.name === name && satisfies(offer.entry.version, requirement)) return true;
  return providesOf(state, offer).some((provide) => {
    if (provide.name !== name) return false;
    if (requirement === undefined) return true;
    return provide.version !== undefined && satisfies(provide.version, requirement);
  });
}

/** Whether a package has the name as its own or provides it with a version. */
export function owns<Entry extends Solvable>(
  state: SolveState<Entry>,
  offer: Offer<Entry>,
  name: string,
): boolean {
  if (offer.entry.name === name) return true;
  return providesOf(state, offer).some((provide) => provide.name === name && provide.version !== undefined);
}

function mismatches<Entry extends Solvable>(
  state: SolveState<Entry>,
  offer: Offer<Entry>,
  wanted: NamedRequirement,
): boolean {
  const { name, requirement } = wanted;
  if (offer.entry.name === name && !satisfies(offer.entry.version, requirement)) return true;
  return providesOf(state, offer).some(
    (provide) =>
      provide.name === name && provide.version !== undefined && !satisfies(provide.version, requirement),
  );
}
