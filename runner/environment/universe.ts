/** Everything that could be installed: the packages of a set of indexes, findable by each name they answer to. */
import { stripConstraint } from '../../shared/apk/constraint.ts';
import type { Offer, Solvable } from './solvable.ts';

/** The content of one repository's index. */
export interface UniverseSource<Entry extends Solvable> {
  /** The repository as the user wrote it, without its tag. */
  readonly repository: string;
  /** Tag of an `@tag` repository. */
  readonly pin?: string | undefined;
  readonly entries: readonly Entry[];
}

/** Made once and shared by any number of solves, none of which changes it. */
export interface Universe<Entry extends Solvable> {
  /** Earlier layers come first wherever order decides. */
  readonly layers: readonly Layer<Entry>[];
}

interface Layer<Entry extends Solvable> {
  /** Packages by own and provided names, each once a name. */
  readonly named: ReadonlyMap<string, readonly Offer<Entry>[]>;
  /** Packages by the texts of their `install_if`. */
  readonly triggered: ReadonlyMap<string, readonly Offer<Entry>[]>;
}

/**
 * Makes the name table. Between packages that are equal in every respect the earlier source wins, so the caller gives
 * repositories in their order, which is sorted by text.
 */
export function buildUniverse<Entry extends Solvable>(
  sources: readonly UniverseSource<Entry>[],
): Universe<Entry> {
  const named = new Map<string, Offer<Entry>[]>();
  const triggered = new Map<string, Offer<Entry>[]>();
  for (const { repository, pin, entries } of sources) {
    for (const entry of entries) {
      if (entry.name === '') continue;
      const offer = { entry, repository, pin };
      list(named, entry.name, offer);
      for (const provide of entry.provides) {
        if (provide.startsWith('!')) continue;
        list(named, stripConstraint(provide), offer);
      }
      for (const condition of entry.installIf) list(triggered, condition, offer);
    }
  }
  return { layers: [{ named, triggered }] };
}

/** The universe with more packages ahead of its own, which are shared and not copied. */
export function extendUniverse<Entry extends Solvable>(
  universe: Universe<Entry>,
  ahead: readonly UniverseSource<Entry>[],
): Universe<Entry> {
  return { layers: [...buildUniverse(ahead).layers, ...universe.layers] };
}

/** The packages that have or provide `name`, in any version, in table order. */
export function offersNamed<Entry extends Solvable>(
  universe: Universe<Entry>,
  name: string,
): readonly Offer<Entry>[] {
  return lookUp(universe.layers.map((layer) => layer.named.get(name)));
}

/** The packages with the text `condition` among their `install_if`. */
export function offersTriggered<Entry extends Solvable>(
  universe: Universe<Entry>,
  condition: string,
): readonly Offer<Entry>[] {
  return lookUp(universe.layers.map((layer) => layer.triggered.get(condition)));
}

function lookUp<Item>(found: readonly (readonly Item[] | undefined)[]): readonly Item[] {
  return found.length === 1 ? (found[0] ?? []) : found.flatMap((items) => items ?? []);
}

function list<Item>(table: Map<string, Item[]>, key: string, item: Item): void {
  const items = table.get(key);
  if (items === undefined) table.set(key, [item]);
  else if (items.at(-1) !== item) items.push(item);
}
