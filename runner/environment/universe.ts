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
 * Puts name tables together. Between packages that are equal in every respect the earlier source wins, so the caller
 * gives repositories in their order, which is sorted by text. The table of a source is made once for as long as its
 * entries are the same array.
 */
export function buildUniverse<Entry extends Solvable>(
  sources: readonly UniverseSource<Entry>[],
): Universe<Entry> {
  return { layers: sources.map(layerOf) };
}

interface KnownLayer {
  readonly source: UniverseSource<Solvable>;
  readonly layer: Layer<Solvable>;
}

const known = new WeakMap<readonly Solvable[], KnownLayer>();

function layerOf<Entry extends Solvable>(source: UniverseSource<Entry>): Layer<Entry> {
  const before = known.get(source.entries);
  if (before?.source.repository === source.repository && before.source.pin === source.pin) {
    // Made of these entries, and so of their type.
    return before.layer as Layer<Entry>;
  }
  const layer = nameTable(source);
  known.set(source.entries, { source, layer });
  return layer;
}

function nameTable<Entry extends Solvable>({
  repository,
  pin,
  entries,
}: UniverseSource<Entry>): Layer<Entry> {
  const named = new Map<string, Offer<Entry>[]>();
  const triggered = new Map<string, Offer<Entry>[]>();
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
  return { named, triggered };
}

/** The packages that have or provide `name`, in any version, in table order. */
export function offersNamed<Entry extends Solvable>(
  universe: Universe<Entry>,
  name: string,
): readonly Offer<Entry>[] {
  return lookUp(universe, (layer) => layer.named.get(name));
}

/** The packages with the text `condition` among their `install_if`. */
export function offersTriggered<Entry extends Solvable>(
  universe: Universe<Entry>,
  condition: string,
): readonly Offer<Entry>[] {
  return lookUp(universe, (layer) => layer.triggered.get(condition));
}

function lookUp<Entry extends Solvable>(
  universe: Universe<Entry>,
  find: (layer: Layer<Entry>) => readonly Offer<Entry>[] | undefined,
): readonly Offer<Entry>[] {
  let found: readonly Offer<Entry>[] = [];
  for (const layer of universe.layers) {
    const here = find(layer);
    // Hardly any name is in two of them: nothing is copied for the others.
    if (here !== undefined) found = found.length === 0 ? here : [...found, ...here];
  }
  return found;
}

function list<Item>(table: Map<string, Item[]>, key: string, item: Item): void {
  const items = table.get(key);
  if (items === undefined) table.set(key, [item]);
  else if (items.at(-1) !== item) items.push(item);
}
