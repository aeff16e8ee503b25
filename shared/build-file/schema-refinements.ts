/** What the values of a build file may be, as JSON Schemas. Keys are the paths of `schema-descriptions.ts`. */
import { ARCHITECTURE_NAMES, architectureVariables } from './architecture.ts';
import { builtinPipelineNames } from './builtin-pipelines.ts';
import type { Outline } from './shape.ts';
import { FILE_CAPABILITIES } from './validate.ts';

/** A JSON Schema that is an object. */
export type SchemaObject = Readonly<Record<string, unknown>>;

type LeafType = Exclude<Outline['type'], 'list' | 'map' | 'struct'>;

/** The parser takes the text of any scalar; an editor sees what YAML makes of it. */
const ANY_SCALAR = ['string', 'number', 'boolean', 'null'];

/** A text that a variable will be part of, of which nothing is known yet. */
const VARIABLE = '\\$\\{\\{';

/** Words for true and false of YAML 1.1, which are texts in YAML 1.2; they count also in quotes. */
const OLD_BOOLEANS = ['y', 'yes', 'on', 'n', 'no', 'off'].flatMap((word) => [
  word,
  ...new Set([`${word[0]?.toUpperCase()}${word.slice(1)}`, word.toUpperCase()]),
]);

const LEAVES: Readonly<Record<LeafType, SchemaObject>> = {
  text: { type: ANY_SCALAR },
  boolean: { anyOf: [{ type: ['boolean', 'null'] }, { enum: OLD_BOOLEANS }] },
  // Forms of go-yaml that are texts in YAML 1.2: binary, and digits in groups.
  unsigned: {
    type: ['integer', 'string', 'null'],
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    pattern: '^\\+?(?:0b[01_]+|0[xo]?[0-9a-fA-F]*_[0-9a-fA-F_]*|[0-9]+_[0-9_]*)$',
  },
  duration: {
    type: ['string', 'null'],
    pattern: '^\\+?(?:(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+$',
  },
};

const REFERENCE = '\\$\\{\\{[^{}]*\\}\\}';
const PACKAGE_NAME: SchemaObject = {
  type: ['string', 'number', 'boolean'],
  pattern: `^(?:[A-Za-z0-9]|${REFERENCE})(?:[A-Za-z0-9+_.-]|${REFERENCE})*$`,
};

const PRIORITY: SchemaObject = {
  type: ['integer', 'string', 'null'],
  pattern: `^(?:[+-]?[0-9]+)?$|${VARIABLE}`,
};

const CPE_WORD: SchemaObject = {
  type: ['string', 'number', 'boolean', 'null'],
  pattern: '^(?:[a-z0-9][a-z0-9+_.-]*)?$',
};

const ARCHITECTURES: SchemaObject = {
  anyOf: [{ enum: architectureWords() }, { type: 'string', pattern: VARIABLE }],
};

const REFINEMENTS: Readonly<Record<string, () => SchemaObject>> = {
  'package.name': () => PACKAGE_NAME,
  'package.version': () => ({
    type: ['string', 'number'],
    pattern:
      '^[0-9]+(?:\\.[0-9]+)*[a-z]?(?:_(?:alpha|beta|pre|rc)[0-9]*)?(?:_(?:cvs|svn|git|hg|p)[0-9]*)?$' +
      `|${VARIABLE}`,
  }),
  'package.target-architecture': () => ARCHITECTURES,
  'package.cpe.part': () => ({ enum: ['a', 'o', '', null] }),
  'package.cpe.vendor': () => CPE_WORD,
  'package.cpe.product': () => CPE_WORD,
  'package.cpe.edition': () => CPE_WORD,
  'package.cpe.language': () => CPE_WORD,
  'package.cpe.sw_edition': () => CPE_WORD,
  'package.cpe.target_sw': () => CPE_WORD,
  'package.cpe.target_hw': () => CPE_WORD,
  'package.cpe.other': () => CPE_WORD,
  'dependencies.provider-priority': () => PRIORITY,
  'dependencies.replaces-priority': () => PRIORITY,
  'setcap.reason': () => ({ type: ['string', 'number', 'boolean'], minLength: 1 }),
  'subpackages.name': () => PACKAGE_NAME,
  // The names are for completion; any other may be a local pipeline.
  'step.uses': () => ({
    anyOf: [
      { enum: builtinPipelineNames() },
      { type: ANY_SCALAR, pattern: '^(?!/)(?!.*\\.\\.)[^\\\\\\u0000]*$' },
    ],
  }),
  'environment.archs': () => ARCHITECTURES,
  'environment.paths.type': () => ({
    enum: ['directory', 'empty-file', 'hardlink', 'symlink', 'permissions'],
  }),
  'environment.format': () => ({ enum: ['tar', 'erofs', '', null] }),
  'environment.include': () => ({ ...LEAVES.text, deprecated: true }),
  'update.schedule.period': () => ({ enum: ['daily', 'weekly', 'monthly'] }),
  'update.github.tag-filter': () => ({ ...LEAVES.text, deprecated: true }),
};

/** The schema of a scalar. */
export function leafRefinement(type: LeafType, path: string): SchemaObject {
  return REFINEMENTS[path]?.() ?? LEAVES[type];
}

/** Rules for the keys of mappings whose keys are not fixed. */
export const MAP_KEYS: Readonly<Record<string, SchemaObject>> = {
  'setcap.add': {
    propertyNames: {
      pattern: `^(?:${[...FILE_CAPABILITIES.keys()].join('|')})(?:,(?:${[...FILE_CAPABILITIES.keys()].join('|')}))*$`,
    },
  },
};

const NOT_EMPTY = { type: 'string', minLength: 1 };

/** Rules for mappings with fixed keys: what must be there, and what goes together. */
export const BUILD_FILE_RULES: Readonly<Record<string, SchemaObject>> = {
  '': { type: 'object', required: ['package'] },
  package: { type: 'object', required: ['name', 'version'] },
  'package.cpe': { dependentRequired: { vendor: ['product'], product: ['vendor'] } },
  setcap: { required: ['reason'] },
  subpackages: { type: 'object', required: ['name'] },
  step: {
    not: { required: ['uses', 'runs'], properties: { uses: NOT_EMPTY, runs: NOT_EMPTY } },
    anyOf: [{ required: ['uses'] }, { properties: { with: { type: ['object', 'null'], maxProperties: 0 } } }],
  },
};

/** Every name of an architecture, and the word for all of them. */
function architectureWords(): string[] {
  const oci = ARCHITECTURE_NAMES.map(
    (arch) => architectureVariables(arch, 'gnu').get('build.goarch') ?? arch,
  );
  return [...new Set([...ARCHITECTURE_NAMES, ...oci, 'all'])];
}
