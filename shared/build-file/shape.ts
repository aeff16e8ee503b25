/**
 * Shapes describe what a part of a file may look like. One description gives the decoder (with positions, reporting
 * every problem), the known keys, the fields in which variables are replaced at parse time, and the printed form.
 */
import { compareBytes } from '../apk/byte-order.ts';
import type { Reporter } from './diagnostic.ts';
import type { Place, Text } from './place.ts';
import { parseBoolean, parseDuration, parseUnsigned } from './scalars.ts';
import { isNull, type Node } from './source.ts';

export interface DecodeContext {
  readonly reporter: Reporter;
  readonly unknownKeys: 'refuse' | 'ignore';
}

export interface Shape<T> {
  /** What the shape is made of, for schemas and documentation. */
  readonly outline: Outline;
  /** Reports `wrong-type`, `unknown-key` or `invalid-value` and gives undefined where the node does not fit. */
  decode(node: Node, context: DecodeContext): T | undefined;
  /** A copy in which every text marked as replaceable went through `replace`. */
  replace(value: T, replace: (text: Text) => Text): T;
  /** Plain data to print; undefined for an empty value. */
  encode(value: T): unknown;
}

export type Outline =
  | { readonly type: 'text' | 'boolean' | 'unsigned' | 'duration' }
  | { readonly type: 'list' | 'map'; readonly of: () => Outline }
  | { readonly type: 'struct'; readonly fields: () => ReadonlyMap<string, Outline> };

/** Text of a mapping, with the place of its key. */
export interface KeyedText extends Text {
  readonly keyPlace: Place;
}

export type TextMap = ReadonlyMap<string, KeyedText>;

export interface Duration {
  readonly ms: number;
  /** As written. */
  readonly text: string;
}

function textShape(replaceable: 'replaceable' | 'verbatim'): Shape<Text> {
  return {
    outline: { type: 'text' },
    decode: decodeText,
    replace: (value, replace) => (replaceable === 'replaceable' ? replace(value) : value),
    encode: (value) => value.value || undefined,
  };
}

/** A string: the source text of any scalar. */
export const text: Shape<Text> = textShape('verbatim');

/** A string in which variables are replaced when the file is parsed. */
export const replaceableText: Shape<Text> = textShape('replaceable');

function decodeText(node: Node, context: DecodeContext): Text | undefined {
  if (node.kind !== 'scalar') {
    const hint =
      node.kind === 'sequence' ? 'write several values as the lines of a block: "key: |"' : undefined;
    wrongType(node, 'a text', context, hint);
    return undefined;
  }
  return { value: isNull(node) ? '' : node.value, place: node };
}

export const boolean: Shape<boolean> = {
  outline: { type: 'boolean' },
  decode(node, context) {
    if (isNull(node)) return undefined;
    const value = node.kind === 'scalar' ? parseBoolean(node) : undefined;
    if (value === undefined) wrongType(node, 'true or false without quotes', context);
    return value;
  },
  replace: (value) => value,
  encode: (value) => value || undefined,
};

export const unsigned: Shape<number> = {
  outline: { type: 'unsigned' },
  decode(node, context) {
    if (isNull(node)) return undefined;
    const value = node.kind === 'scalar' && node.plain ? parseUnsigned(node.value) : undefined;
    if (value === undefined) wrongType(node, 'a whole number without quotes', context);
    return value;
  },
  replace: (value) => value,
  encode: (value) => value || undefined,
};

export const duration: Shape<Duration> = {
  outline: { type: 'duration' },
  decode(node, context) {
    if (isNull(node)) return undefined;
    const ms = node.kind === 'scalar' ? parseDuration(node.value) : undefined;
    if (ms === undefined || node.kind !== 'scalar') {
      wrongType(node, 'a duration such as 90s or 1h30m', context);
      return undefined;
    }
    return { ms, text: node.value };
  },
  replace: (value) => value,
  encode: (value) => value.text,
};

export function list<T>(item: Shape<T>): Shape<readonly T[]> {
  return {
    outline: { type: 'list', of: () => item.outline },
    decode(node, context) {
      if (isNull(node)) return [];
      if (node.kind !== 'sequence') {
        wrongType(node, 'a list', context, 'begin each item in a line of its own with a dash and a blank');
        return undefined;
      }
      return node.items.flatMap((one) => item.decode(one, context) ?? []);
    },
    replace: (value, replace) => value.map((one) => item.replace(one, replace)),
    encode(value) {
      // An empty item still takes its place.
      const empty = item.outline.type === 'text' ? '' : null;
      return value.length === 0 ? undefined : value.map((one) => item.encode(one) ?? empty);
    },
  };
}

export function map<T>(item: Shape<T>): Shape<ReadonlyMap<string, T>> {
  return {
    outline: { type: 'map', of: () => item.outline },
    decode(node, context) {
      if (isNull(node)) return new Map();
      if (node.kind !== 'mapping') {
        wrongType(node, 'a mapping', context);
        return undefined;
      }
      const values = new Map<string, T>();
      for (const entry of node.entries) {
        const value = item.decode(entry.value, context);
        if (value !== undefined) values.set(entry.key.value, value);
      }
      return values;
    },
    replace: (value, replace) => new Map([...value].map(([key, one]) => [key, item.replace(one, replace)])),
    encode: (value) => encodeMap(value, (one) => item.encode(one) ?? {}),
  };
}

/** A mapping of names to strings. */
export const textMap: Shape<TextMap> = textMapShape('verbatim');

/** The same, with variables replaced in the values when the file is parsed. */
export const replaceableTextMap: Shape<TextMap> = textMapShape('replaceable');

function textMapShape(replaceable: 'replaceable' | 'verbatim'): Shape<TextMap> {
  return {
    outline: { type: 'map', of: () => text.outline },
    decode(node, context) {
      if (isNull(node)) return new Map();
      if (node.kind !== 'mapping') {
        wrongType(node, 'a mapping of names to texts', context);
        return undefined;
      }
      const values = new Map<string, KeyedText>();
      for (const { key, value } of node.entries) {
        const decoded = decodeText(value, context);
        if (decoded !== undefined) values.set(key.value, { ...decoded, keyPlace: key });
      }
      return values;
    },
    replace(value, replace) {
      if (replaceable === 'verbatim') return value;
      return new Map([...value].map(([key, one]) => [key, { ...replace(one), keyPlace: one.keyPlace }]));
    },
    encode: (value) => encodeMap(value, (one) => one.value),
  };
}

/** Keys in bytewise order, so that the printed form does not depend on theirs. */
function encodeMap<T>(value: ReadonlyMap<string, T>, encode: (one: T) => unknown): unknown {
  if (value.size === 0) return undefined;
  const sorted = [...value].sort(([a], [b]) => compareBytes(a, b));
  return Object.fromEntries(sorted.map(([key, one]) => [key, encode(one)]));
}

/** Reports a node that is not what a shape wants. */
export function wrongType(node: Node, wanted: string, { reporter }: DecodeContext, hint?: string): void {
  const found = node.kind === 'scalar' ? describeScalar(node.value) : `a ${node.kind}`;
  reporter.report(node.kind === 'scalar' ? node : opening(node), {
    code: 'wrong-type',
    hint,
    message: `expected ${wanted}, found ${found.replace('a sequence', 'a list')}`,
  });
}

function describeScalar(value: string): string {
  return value === '' ? 'nothing' : `"${value.length > 40 ? `${value.slice(0, 40)}…` : value}"`;
}

/** A collection's first character: underlining all its lines would help nobody. */
function opening(place: Place): Place {
  return { source: place.source, start: place.start, end: place.start + 1 };
}
