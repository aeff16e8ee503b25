/**
 * The last look at a solution. The greedy choices may contradict each other, since a package that needed nothing is
 * not recorded as selected and a `!x` may come after x was chosen: an environment like that is refused, not installed.
 */
import { hasVersionFor } from './candidates.ts';
import { answersTo, owns } from './exclusion.ts';
import type { Offer, Solvable } from './solvable.ts';
import { constraintOf, type Demand, providesOf, type SolveState } from './solve-state.ts';
import { contradiction, nameTaken } from './unsolvable.ts';

/**
 * Sees that every constraint of the list and of the packages is met, conflicts included, and that names provided with a
 * version have one owner. Packages not `expanded`, which `install_if` brought, keep their dependencies to themselves.
 *
 * @throws PipelineError `unsolvable`.
 */
export function checkClosure<Entry extends Solvable>(
  state: SolveState<Entry>,
  packages: readonly Offer<Entry>[],
  { world, expanded }: { readonly world: readonly string[]; readonly expanded: ReadonlySet<Offer<Entry>> },
): void {
  const holders = new Map<string, Offer<Entry>[]>();
  for (const offer of packages) {
    for (const name of new Set([offer.entry.name, ...providesOf(state, offer).map((one) => one.name)])) {
      const others = holders.get(name);
      if (others === undefined) holders.set(name, [offer]);
      else others.push(offer);
    }
  }
  const check = (demand: Demand<Entry>): void => {
    const constraint = constraintOf(state, demand.text);
    const named = holders.get(constraint.name) ?? [];
    if (constraint.conflict) {
      const { name, requirement } = constraint;
      const culprits = named.filter(
        (offer) => offer !== demand.by && answersTo(state, offer, { name, requirement }),
      );
      if (culprits.length > 0) throw contradiction(state, demand, culprits);
    } else if (!named.some((offer) => meets(state, offer, demand))) {
      throw contradiction(state, demand, named);
    }
  };
  for (const text of world) check({ text });
  for (const offer of packages) {
    if (!expanded.has(offer)) continue;
    for (const text of offer.entry.depends) check({ by: offer, text });
  }
  for (const [name, named] of holders) {
    const [holder, other] = named.length > 1 ? named.filter((offer) => owns(state, offer, name)) : [];
    if (holder !== undefined && other !== undefined) throw nameTaken(state, other, { name, holder });
  }
}

/**
 * Whether an offer that goes by the name asked for will do, by the rules of the choice: a package is not held to the
 * version it asks of a name that it provides itself.
 */
function meets<Entry extends Solvable>(
  state: SolveState<Entry>,
  offer: Offer<Entry>,
  { by, text }: Demand<Entry>,
): boolean {
  const constraint = constraintOf(state, text);
  const { name, requirement } = constraint;
  if (answersTo(state, offer, { name, requirement })) return true;
  if (offer === by && providesOf(state, offer).some((provide) => provide.name === name)) return true;
  return !owns(state, offer, name) && hasVersionFor(state, offer, constraint);
}
