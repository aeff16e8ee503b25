/** `range`: one subpackage for each item of a data table. */
import { compareBytes } from '../apk/byte-order.ts';
import type { Reporter } from './diagnostic.ts';
import { MAX_RANGE_NODES, MAX_SUBPACKAGES } from './limits.ts';
import type { Place } from './place.ts';
import type { Document, SubpackageSection } from './schema.ts';
import type { TextMap } from './shape.ts';
import type { Node } from './source.ts';
import { didYouMean } from './spelling.ts';

/** A subpackage as written, and the values of `range.*` for one copy of it. */
export interface SubpackageTemplate {
  readonly section: SubpackageSection;
  readonly rangeValues: ReadonlyMap<string, string>;
}

/**
 * The subpackages in file order; copies stand where their template stood, ordered by key (bytewise). An undefined
 * table is reported; of two tables with one name the later counts.
 */
export function expandRanges(document: Document, reporter: Reporter): SubpackageTemplate[] {
  const tables = new Map<string, TextMap>();
  for (const table of document.data ?? []) tables.set(table.name?.value ?? '', table.items ?? new Map());
  const templates: SubpackageTemplate[] = [];
  let nodes = 0;
  for (const section of document.subpackages ?? []) {
    const { range } = section;
    if (range === undefined || range.value === '') {
      templates.push({ section, rangeValues: new Map() });
      continue;
    }
    const items = tables.get(range.value);
    if (items === undefined) {
      reporter.report(range.place, {
        code: 'unknown-variable',
        message: `there is no data table named "${range.value}"`,
        hint: didYouMean(range.value, tables.keys()) ?? 'tables are declared under "data:" at the top level',
      });
      continue;
    }
    nodes += items.size * countNodes(section.place);
    if (nodes > MAX_RANGE_NODES || templates.length + items.size > MAX_SUBPACKAGES) {
      reporter.report(range.place, {
        code: 'build-file-too-large',
        message: 'the range makes too many subpackages',
      });
      break;
    }
    const sorted = [...items].sort(([a], [b]) => compareBytes(a, b));
    for (const [key, item] of sorted) {
      templates.push({
        section: { ...section, range: undefined },
        rangeValues: new Map([
          ['range.key', key],
          ['range.value', item.value],
        ]),
      });
    }
  }
  return templates;
}

function countNodes(place: Place & Partial<Node>): number {
  if (place.kind === 'mapping' && place.entries !== undefined) {
    return place.entries.reduce((sum, entry) => sum + 1 + countNodes(entry.value), 1);
  }
  if (place.kind === 'sequence' && place.items !== undefined) {
    return place.items.reduce((sum, item) => sum + countNodes(item), 1);
  }
  return 1;
}
