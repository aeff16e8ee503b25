/** The names of one bucket in byte order, with their records; what a listing walks over. */
import type { ObjectRecord } from './resources.ts';

export interface ObjectIndex {
  readonly size: number;
  get(name: string): ObjectRecord | undefined;
  set(record: ObjectRecord): void;
  delete(name: string): void;
  values(): Iterable<ObjectRecord>;
  page(query: ListQuery): ListPage;
}

export interface ListQuery {
  readonly prefix: string;
  readonly delimiter?: string | undefined;
  /** Names before this one are left out. */
  readonly startOffset?: string | undefined;
  /** This name and those after it are left out. */
  readonly endOffset?: string | undefined;
  /** At least 1; items and prefixes both count. */
  readonly maxResults: number;
  /** `next` of the page before. */
  readonly pageToken?: string | undefined;
}

export interface ListPage {
  readonly items: readonly ObjectRecord[];
  readonly prefixes: readonly string[];
  readonly next?: string;
}

export function createObjectIndex(records: Iterable<ObjectRecord>): ObjectIndex {
  const byName = new Map<string, ObjectRecord>();
  for (const record of records) byName.set(record.name, record);
  const names = [...byName.keys()].sort(compareNames);

  /** First position whose name does not satisfy `before`, which holds for a first stretch of names. */
  const firstNot = (from: number, before: (name: string) => boolean): number => {
    let low = from;
    let high = names.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (before(names[middle] ?? '')) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  return {
    get size() {
      return byName.size;
    },
    get: (name) => byName.get(name),
    set(record) {
      if (!byName.has(record.name)) {
        names.splice(
          firstNot(0, (name) => compareNames(name, record.name) < 0),
          0,
          record.name,
        );
      }
      byName.set(record.name, record);
    },
    delete(name) {
      if (!byName.delete(name)) return;
      names.splice(
        firstNot(0, (other) => compareNames(other, name) < 0),
        1,
      );
    },
    values: () => byName.values(),
    page(query) {
      const { prefix, delimiter, startOffset, endOffset, maxResults, pageToken } = query;
      const from = startOffset !== undefined && compareNames(startOffset, prefix) > 0 ? startOffset : prefix;
      let at = firstNot(0, (name) => compareNames(name, from) < 0);
      if (pageToken !== undefined) {
        const after = Buffer.from(pageToken, 'base64url').toString();
        const folded = delimiter !== undefined && after.length > prefix.length && after.endsWith(delimiter);
        const resume = firstNot(
          0,
          (name) => compareNames(name, after) <= 0 || (folded && name.startsWith(after)),
        );
        at = Math.max(at, resume);
      }

      const items: ObjectRecord[] = [];
      const prefixes: string[] = [];
      let last = '';
      while (at < names.length) {
        const name = names[at] ?? '';
        if (!name.startsWith(prefix)) break;
        if (endOffset !== undefined && compareNames(name, endOffset) >= 0) break;
        if (items.length + prefixes.length === maxResults) {
          return { items, prefixes, next: Buffer.from(last).toString('base64url') };
        }
        const cut = delimiter ? name.indexOf(delimiter, prefix.length) : -1;
        if (delimiter && cut >= 0) {
          last = name.slice(0, cut + delimiter.length);
          prefixes.push(last);
          const folder = last;
          at = firstNot(at, (other) => other.startsWith(folder));
        } else {
          const record = byName.get(name);
          if (record !== undefined) items.push(record);
          last = name;
          at += 1;
        }
      }
      return { items, prefixes };
    },
  };
}

/**
 * Order of the names' UTF-8 bytes. Differs from that of UTF-16 units only where a surrogate meets a unit above the
 * surrogates.
 */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left === right) continue;
    const leftSurrogate = left >= 0xd800 && left < 0xe000;
    const rightSurrogate = right >= 0xd800 && right < 0xe000;
    if (leftSurrogate === rightSurrogate) return left - right;
    if (leftSurrogate) return right >= 0xe000 ? 1 : left - right;
    return left >= 0xe000 ? -1 : left - right;
  }
  return a.length - b.length;
}
