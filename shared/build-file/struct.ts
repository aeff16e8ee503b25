/** Shapes of mappings with fixed keys. */
import type { Place, Text } from './place.ts';
import { type DecodeContext, type Shape, wrongType } from './shape.ts';
import { isNull, type MappingNode } from './source.ts';
import { didYouMean } from './spelling.ts';

type Fields = Readonly<Record<string, Shape<unknown>>>;

type Camel<S extends string> = S extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : S extends `${infer Head}_${infer Tail}`
    ? `${Head}${Capitalize<Camel<Tail>>}`
    : S;

type ValueOf<S> = S extends Shape<infer T> ? T : never;

/** A decoded struct: keys in camel case, undefined where the file has none, and the place of the whole. */
export type StructOf<F> = {
  readonly [K in keyof F & string as Camel<K>]: ValueOf<F[K]> | undefined;
} & { readonly place: Place };

interface Field {
  readonly key: string;
  readonly property: string;
  readonly shape: Shape<unknown>;
}

/** The shape of a mapping with fixed keys. */
export interface StructShape<F> extends Shape<StructOf<F>> {
  /** A value without any key, as if written at `place`. */
  empty(place: Place): StructOf<F>;
}

/** A mapping with fixed keys. */
export function struct<const F extends Fields>(fields: F): StructShape<F> {
  const known = new Map<string, Field>();
  for (const [key, shape] of Object.entries(fields)) {
    known.set(key, {
      key,
      property: key.replace(/[-_](.)/g, (_, letter: string) => letter.toUpperCase()),
      shape,
    });
  }
  const empty = Object.fromEntries([...known.values()].map(({ property }) => [property, undefined]));
  return {
    outline: {
      type: 'struct',
      fields: () => new Map([...known].map(([key, field]) => [key, field.shape.outline])),
    },
    decode(node, context) {
      if (node.kind !== 'mapping' && !isNull(node)) {
        wrongType(node, `a mapping with ${someOf(known.keys())}`, context);
        return undefined;
      }
      const value: Record<string, unknown> = { ...empty, place: node };
      for (const entry of node.kind === 'mapping' ? node.entries : []) {
        const field = known.get(entry.key.value);
        if (field !== undefined) value[field.property] = field.shape.decode(entry.value, context);
        else if (context.unknownKeys === 'refuse') unknownKey(entry.key, known.keys(), context);
      }
      // Every property comes from the field's own shape, which the type says field by field.
      return value as StructOf<F>;
    },
    empty: (place) => ({ ...empty, place }) as StructOf<F>,
    replace(value, replace) {
      const copy: Record<string, unknown> = { ...value };
      for (const { property, shape } of known.values()) {
        const old = copy[property];
        if (old !== undefined) copy[property] = shape.replace(old, replace);
      }
      return copy as StructOf<F>;
    },
    encode(value) {
      const properties: Readonly<Record<string, unknown>> = value;
      const entries = [...known.values()].flatMap(({ key, property, shape }) => {
        const one = properties[property];
        const encoded = one === undefined ? undefined : shape.encode(one);
        return encoded === undefined ? [] : [[key, encoded] as const];
      });
      return entries.length === 0 ? undefined : Object.fromEntries(entries);
    },
  };
}

/** A shape that contains itself. */
export function lazy<T>(shape: () => Shape<T>): Shape<T> {
  return {
    get outline() {
      return shape().outline;
    },
    decode: (node, context) => shape().decode(node, context),
    replace: (value, replace) => shape().replace(value, replace),
    encode: (value) => shape().encode(value),
  };
}

/** The keys of a struct, in the order of the schema. */
export function keysOf(shape: Shape<unknown>): string[] {
  return shape.outline.type === 'struct' ? [...shape.outline.fields().keys()] : [];
}

/** The place of a key of a decoded struct, or of the struct where the key is not there. */
export function keyPlace(value: { readonly place: Place }, key: string): Place {
  const place: Place & Partial<Pick<MappingNode, 'entries'>> = value.place;
  return place.entries?.find((entry) => entry.key.value === key)?.key ?? value.place;
}

function unknownKey(
  key: Text['place'] & { readonly value: string },
  known: Iterable<string>,
  context: DecodeContext,
): void {
  const words = [...known];
  context.reporter.report(key, {
    code: 'unknown-key',
    message: `unknown key "${key.value}"`,
    hint: didYouMean(key.value, words) ?? `known keys here: ${words.join(', ')}`,
  });
}

function someOf(known: Iterable<string>): string {
  return [...known].slice(0, 3).join(', ');
}
