/** What the solver reads of a package record; an entry of an APKINDEX has it all. */
export interface Solvable {
  readonly name: string;
  readonly version: string;
  readonly origin?: string | undefined;
  /** Constraints as written in `D:`, conflicts (`!x`) included. */
  readonly depends: readonly string[];
  /** As written in `p:`. */
  readonly provides: readonly string[];
  /** As written in `i:`; empty for a package that is never installed by itself. */
  readonly installIf: readonly string[];
  /** `k:`, 0 where the index says nothing. */
  readonly providerPriority?: number | undefined;
}

/** One package of one repository: what the solver chooses between. Compared by identity. */
export interface Offer<Entry extends Solvable> {
  readonly entry: Entry;
  readonly repository: string;
  /** Tag of the repository: only who asks for the tag gets its packages. */
  readonly pin: string | undefined;
}

/** `name-version`, as the file of a package is called. */
export function offerText(offer: Offer<Solvable>): string {
  return `${offer.entry.name}-${offer.entry.version}`;
}
