/** Errors of the solver: which package's which dependency, and what stands in the way of each candidate. */
import { PipelineError } from '../../shared/errors.ts';
import { hasVersionFor, isReachable } from './candidates.ts';
import { type Offer, offerText, type Solvable } from './solvable.ts';
import { constraintOf, type Demand, type Exclusion, offersOf, type SolveState } from './solve-state.ts';

/** Packages named in one sentence before the rest is only counted. */
const NAMED_PACKAGES = 4;

/** The error for a constraint that no package can meet. */
export function nothingFits<Entry extends Solvable>(
  state: SolveState<Entry>,
  demand: Demand<Entry>,
): PipelineError {
  const { name } = constraintOf(state, demand.text);
  const offers = offersOf(state, name);
  if (offers.length === 0) {
    return unsolvable(state, demand, {
      why: `nothing provides ${name}`,
      hint: `check the name ${name}, or add the repository that has it`,
    });
  }
  const reasons = new Map<string, string[]>();
  for (const offer of offers) {
    const reason = obstacle(state, demand, offer);
    reasons.set(reason, [...(reasons.get(reason) ?? []), offerText(offer)]);
  }
  const why = [...reasons]
    .map(([reason, names]) => `${enumerate(names)} cannot be used (${reason})`)
    .join('; ');
  return unsolvable(state, demand, { why });
}

/** The error for a constraint whose name already belongs to a package that does not meet it. */
export function alreadySelected<Entry extends Solvable>(
  state: SolveState<Entry>,
  demand: Demand<Entry>,
  holder: Offer<Entry>,
): PipelineError {
  const { name } = constraintOf(state, demand.text);
  const role = holder.entry.name === name ? '' : ` as ${name}`;
  return unsolvable(state, demand, {
    why: `${offerText(holder)} is already selected${role}`,
    hint: adviceFor(demand),
  });
}

/** The error for a constraint that packages chosen for others contradict. */
export function contradiction<Entry extends Solvable>(
  state: SolveState<Entry>,
  demand: Demand<Entry>,
  culprits: readonly Offer<Entry>[],
): PipelineError {
  const names = enumerate(culprits.map(offerText));
  const why = culprits.length === 0 ? 'nothing chosen provides it' : `${names} is already chosen`;
  return unsolvable(state, demand, { why, hint: adviceFor(demand) });
}

function adviceFor<Entry extends Solvable>({ text }: Demand<Entry>): string {
  return `where the other packages can do with it, add ${text} to the package list: that is heeded before any choice`;
}

/** The error for two packages that would own one name. */
export function nameTaken<Entry extends Solvable>(
  state: SolveState<Entry>,
  offer: Offer<Entry>,
  { name, holder }: { readonly name: string; readonly holder: Offer<Entry> },
): PipelineError {
  const clash = `${offerText(offer)} and ${offerText(holder)} cannot be installed together, both own the name ${name}`;
  return new PipelineError({
    code: 'unsolvable',
    kind: 'user',
    message: `cannot solve the environment: ${chain(state.path)}${clash}`,
  });
}

function unsolvable<Entry extends Solvable>(
  state: SolveState<Entry>,
  demand: Demand<Entry>,
  { why, hint }: { readonly why: string; readonly hint?: string | undefined },
): PipelineError {
  return new PipelineError({
    code: 'unsolvable',
    kind: 'user',
    message: `cannot solve the environment: ${chain(state.path)}${demandText(demand)}, but ${why}`,
    hint,
  });
}

/** Why this offer cannot be taken for this demand. */
function obstacle<Entry extends Solvable>(
  state: SolveState<Entry>,
  demand: Demand<Entry>,
  offer: Offer<Entry>,
): string {
  const exclusion = state.excluded.get(offer);
  if (exclusion?.kind === 'demand' && isSame(exclusion.demand, demand)) return 'wrong version';
  if (exclusion !== undefined) return exclusionText(exclusion);
  if (!isReachable(state, offer)) return `only in the repository tagged @${offer.pin}`;
  return hasVersionFor(state, offer, constraintOf(state, demand.text)) ? 'unusable' : 'wrong version';
}

function exclusionText<Entry extends Solvable>(exclusion: Exclusion<Entry>): string {
  switch (exclusion.kind) {
    case 'demand':
      return demandText(exclusion.demand);
    case 'rival':
      return `${offerText(exclusion.rival)} already provides ${exclusion.name}`;
  }
}

function chain<Entry extends Solvable>(demands: readonly Demand<Entry>[]): string {
  return demands.map((demand) => `${demandText(demand)}, `).join('');
}

/** `foo-1.0-r0 needs bar>=2`, `foo-1.0-r0 conflicts with bar`, `the package list asks for bar>=2`. */
function demandText<Entry extends Solvable>({ by, text }: Demand<Entry>): string {
  if (by === undefined) {
    return text.startsWith('!')
      ? `the package list excludes ${text.slice(1)}`
      : `the package list asks for ${text}`;
  }
  return text.startsWith('!')
    ? `${offerText(by)} conflicts with ${text.slice(1)}`
    : `${offerText(by)} needs ${text}`;
}

function isSame<Entry extends Solvable>(a: Demand<Entry>, b: Demand<Entry>): boolean {
  return a.by === b.by && a.text === b.text;
}

function enumerate(names: readonly string[]): string {
  const shown = names.slice(0, NAMED_PACKAGES).join(', ');
  return names.length > NAMED_PACKAGES ? `${shown} and ${names.length - NAMED_PACKAGES} more` : shown;
}
