/**
 * JSON Schemas (https://json-schema.org/draft/2020-12) of build files and pipeline files, for editors. They are made
 * from the shapes that decode the files, so that both know the same keys; what a value may be beyond its type stands in
 * `schema-refinements.ts`.
 */
import { documentShape, stepShape } from './schema.ts';
import { SCHEMA_DESCRIPTIONS } from './schema-descriptions.ts';
import { BUILD_FILE_RULES, leafRefinement, MAP_KEYS, type SchemaObject } from './schema-refinements.ts';
import type { Outline } from './shape.ts';

export type { SchemaObject } from './schema-refinements.ts';

/** The schema of build files. A key that no build file has is an error, as it is for the parser. */
export function buildFileSchema(): SchemaObject {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'melange build file',
    ...createSchema(documentShape.outline, { unknownKeys: 'refuse', rules: BUILD_FILE_RULES }),
  };
}

/** The schema of pipeline files, which are one step each. Unknown keys are passed over. */
export function pipelineFileSchema(): SchemaObject {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'melange pipeline file',
    ...createSchema(stepShape.outline, { unknownKeys: 'ignore', rules: {} }),
  };
}

/** Definitions whose names would otherwise not say what they are, by the field that is met first. */
const NAMES: Readonly<Record<string, string>> = {
  '': 'step',
  pipeline: 'step',
  options: 'package-options',
  runtime_keyring: 'named-content',
};

interface SchemaOptions {
  readonly unknownKeys: 'refuse' | 'ignore';
  /** What is added to the schema of a mapping with fixed keys, by its path. */
  readonly rules: Readonly<Record<string, SchemaObject>>;
}

type Struct = Extract<Outline, { readonly type: 'struct' }>;

/** A struct that occurs more than once, or within itself, becomes a definition; all others stand where they are. */
function createSchema(root: Outline, { unknownKeys, rules }: SchemaOptions): SchemaObject {
  const definitionNames = nameDefinitions(root);
  const definitions = new Map<string, SchemaObject>();

  const schemaOf = (outline: Outline, path: string): SchemaObject => {
    switch (outline.type) {
      case 'list':
        return { type: ['array', 'null'], items: schemaOf(outline.of(), path) };
      case 'map':
        return {
          type: ['object', 'null'],
          additionalProperties: schemaOf(outline.of(), path),
          ...MAP_KEYS[path],
        };
      case 'struct': {
        const name = definitionNames.get(outline);
        if (name === undefined) return structSchema(outline, path);
        if (!definitions.has(name)) {
          // The place is taken before the struct is looked into, since it may contain itself.
          definitions.set(name, {});
          definitions.set(name, structSchema(outline, name));
        }
        return { $ref: `#/$defs/${name}` };
      }
      default:
        return leafRefinement(outline.type, path);
    }
  };

  const structSchema = (outline: Struct, path: string): SchemaObject => {
    const properties = [...outline.fields()].map(([key, field]) => {
      const inner = path === '' ? key : `${path}.${key}`;
      return [key, { description: SCHEMA_DESCRIPTIONS[inner], ...schemaOf(field, inner) }] as const;
    });
    return {
      type: ['object', 'null'],
      properties: Object.fromEntries(properties),
      ...(unknownKeys === 'refuse' ? { additionalProperties: false } : {}),
      ...rules[path],
    };
  };

  const schema = schemaOf(root, '');
  return definitions.size === 0 ? schema : { ...schema, $defs: Object.fromEntries(definitions) };
}

/** Names for the structs that are reached in more than one way: the last field of the first way. */
function nameDefinitions(root: Outline): ReadonlyMap<Outline, string> {
  const firstField = new Map<Outline, string>();
  const names = new Map<Outline, string>();
  const visit = (outline: Outline, field: string): void => {
    if (outline.type === 'list' || outline.type === 'map') {
      visit(outline.of(), field);
    } else if (outline.type === 'struct') {
      const first = firstField.get(outline);
      if (first !== undefined) {
        names.set(outline, NAMES[first] ?? first);
        return;
      }
      firstField.set(outline, field);
      for (const [key, inner] of outline.fields()) visit(inner, key);
    }
  };
  visit(root, '');
  return names;
}
