import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { CORE_SCHEMA, load } from 'js-yaml';
import { compiledYaml, parseBuildFile } from '../../../../shared/build-file/index.ts';
import { buildFileSchema, pipelineFileSchema } from '../../../../shared/build-file/json-schema.ts';
import { SCHEMA_DESCRIPTIONS } from '../../../../shared/build-file/schema-descriptions.ts';
import { compiled, fixture, withPackage } from './language.ts';

const buildFile = validator(buildFileSchema());
const pipelineFile = validator(pipelineFileSchema());
const corpus = fileURLToPath(new URL('../../../../../shared/corpus/wolfi/', import.meta.url));
const skip = existsSync(corpus) ? false : 'the corpus is not beside the project';
const builtins = fileURLToPath(new URL('../../../../shared/build-file/pipelines/', import.meta.url));

function validator(schema: object): ValidateFunction {
  // Strict mode also finds keywords that ajv does not know, and those that have no effect.
  return new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false, allErrors: true }).compile(
    schema,
  );
}

/** What the schema says against a text, as `path keyword`. */
function objections(validate: ValidateFunction, text: string): string[] {
  validate(load(text, { schema: CORE_SCHEMA }));
  return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.keyword}`);
}

test('every real build file is valid', { skip }, () => {
  const files = readdirSync(corpus).filter((name) => name.endsWith('.yaml'));
  assert.ok(files.length > 300);
  for (const name of files) {
    assert.deepEqual(objections(buildFile, readFileSync(join(corpus, name), 'utf8')), [], name);
  }
});

test('every pipeline file is valid, built in or real', () => {
  const folders = [builtins, ...(skip === false ? [join(corpus, 'pipelines')] : [])];
  for (const folder of folders) {
    const files = globSync('**/*.yaml', { cwd: folder });
    assert.ok(files.length > 10);
    for (const name of files) {
      assert.deepEqual(objections(pipelineFile, readFileSync(join(folder, name), 'utf8')), [], name);
    }
  }
});

test('what is recorded of a compiled build file is a valid build file', () => {
  const plan = compiled(fixture('lantern.yaml').text, { commit: 'abc' });
  assert.deepEqual(objections(buildFile, compiledYaml(plan)), []);
});

test('whatever form of a value the parser takes, the schema takes', () => {
  const accepted = [
    withPackage('  epoch: 0x1f\n'),
    withPackage('  epoch: 1_000\n  timeout: 1h30m\n'),
    withPackage('  epoch: 2.0\n  timeout: 1.5µs\n'),
    withPackage('  epoch:\n  description:\n  copyright:\n  dependencies: ~\n'),
    withPackage('  options: {no-provides: yes, no-depends: "off", no-commands: True}\n'),
    withPackage('  dependencies: {provider-priority: "-5", replaces-priority: 10}\n'),
    withPackage('  target-architecture: [arm64, "${{vars.a}}", all]\nvars: {a: x86_64}\n'),
    withPackage(
      'vars: {a: 1.10, b: true, c: , d: "x"}\npipeline: [{uses: fetch, with: {strip-components: 0}}]\n',
    ),
    withPackage('pipeline: [{uses: "", runs: x}, {with: {}, runs: y}, {uses: a/local/one}]\n'),
    withPackage('data: [{name: t, items: {a: 1}}]\nsubpackages: [{range: t, name: "s-${{range.key}}"}]\n'),
    withPackage('  setcap: [{path: /x, add: {"cap_net_raw,cap_net_admin": +ep}, reason: it pings}]\n'),
    'package: {name: 7zip, version: 24.09}\n',
  ];
  for (const text of accepted) {
    const { diagnostics } = parseBuildFile({ file: 'build.yaml', text });
    assert.deepEqual([objections(buildFile, text), diagnostics], [[], []], text);
  }
});

test('a broken build file is refused by the schema, at the place that is wrong, as it is by the parser', () => {
  const refused: readonly (readonly [text: string, objection: string])[] = [
    ['vars: {a: b}\n', ' required'],
    ['package:\n', '/package type'],
    ['package: {name: x}\n', '/package required'],
    ['package: {name: "a b", version: 1}\n', '/package/name pattern'],
    ['package: {name: x, version: 1.2.3-r4}\n', '/package/version pattern'],
    ['package: {name: x, version: true}\n', '/package/version type'],
    [withPackage('  epoch: -1\n'), '/package/epoch minimum'],
    [withPackage('  epoch: "1"\n'), '/package/epoch pattern'],
    [withPackage('  timeout: 30\n'), '/package/timeout type'],
    [withPackage('  timeout: 30 m\n'), '/package/timeout pattern'],
    [withPackage('  nmae: x\n'), '/package additionalProperties'],
    [withPackage('  options: {no-provides: "true"}\n'), '/package/options/no-provides anyOf'],
    [withPackage('  copyright: {license: MIT}\n'), '/package/copyright type'],
    [
      withPackage('  dependencies: {provider-priority: high}\n'),
      '/package/dependencies/provider-priority pattern',
    ],
    [withPackage('  cpe: {vendor: x}\n'), '/package/cpe dependentRequired'],
    [
      withPackage('  setcap: [{path: /x, add: {cap_chown: +ep}, reason: y}]\n'),
      '/package/setcap/0/add propertyNames',
    ],
    [withPackage('  setcap: [{path: /x, add: {cap_net_raw: +ep}}]\n'), '/package/setcap/0 required'],
    [withPackage('pipelines: []\n'), ' additionalProperties'],
    [withPackage('pipeline: {runs: x}\n'), '/pipeline type'],
    [withPackage('pipeline: [{uses: fetch, runs: x}]\n'), '/pipeline/0 not'],
    [withPackage('pipeline: [{runs: x, with: {a: b}}]\n'), '/pipeline/0 anyOf'],
    [withPackage('pipeline: [{pipeline: [{rnus: x}]}]\n'), '/pipeline/0/pipeline/0 additionalProperties'],
    [withPackage('pipeline: [{uses: fetch, with: {uri: [a]}}]\n'), '/pipeline/0/with/uri type'],
    [withPackage('subpackages: [{description: x}]\n'), '/subpackages/0 required'],
    [withPackage('environment: {contents: {packages: busybox}}\n'), '/environment/contents/packages type'],
    [withPackage('update: {enabled: maybe}\n'), '/update/enabled anyOf'],
  ];
  for (const [text, objection] of refused) {
    assert.ok(
      objections(buildFile, text).includes(objection),
      `${text}: ${objections(buildFile, text).join(', ')}`,
    );
    assert.ok(parseBuildFile({ file: 'build.yaml', text }).diagnostics.length > 0, text);
  }
});

test('words that a value must be one of are completed, and others refused', () => {
  const refused: readonly (readonly [text: string, objection: string])[] = [
    [withPackage('  target-architecture: [x86-64]\n'), '/package/target-architecture/0 anyOf'],
    [withPackage('environment: {paths: [{path: /x, type: dir}]}\n'), '/environment/paths/0/type enum'],
    [withPackage('update: {schedule: {period: hourly}}\n'), '/update/schedule/period enum'],
    [withPackage('pipeline: [{uses: ../x}]\n'), '/pipeline/0/uses anyOf'],
  ];
  for (const [text, objection] of refused) assert.ok(objections(buildFile, text).includes(objection), text);
});

test('a pipeline file may have keys that nobody knows, but not values of the wrong type', () => {
  assert.deepEqual(objections(pipelineFile, 'name: x\nunknown: y\npipeline: [{runs: a, more: b}]\n'), []);
  assert.deepEqual(objections(pipelineFile, 'pipeline: x\n'), ['/pipeline type']);
});

test('every field of the schema has a description, and every description a field', () => {
  const described = new Set<string>();
  const missing: string[] = [];
  const visit = (schema: unknown, path: string): void => {
    if (!isRecord(schema)) return;
    visit(schema['items'], path);
    visit(schema['additionalProperties'], path);
    for (const [key, field] of Object.entries(isRecord(schema['properties']) ? schema['properties'] : {})) {
      const inner = path === '' ? key : `${path}.${key}`;
      described.add(inner);
      const description = isRecord(field) ? field['description'] : undefined;
      if (typeof description !== 'string' || !/^[a-zA-Z].*[^ ]$/.test(description)) missing.push(inner);
      visit(field, inner);
    }
  };
  const schema = buildFileSchema();
  visit(schema, '');
  for (const [name, one] of Object.entries(isRecord(schema['$defs']) ? schema['$defs'] : {}))
    visit(one, name);
  assert.deepEqual(missing, []);
  assert.deepEqual(
    Object.keys(SCHEMA_DESCRIPTIONS).filter((key) => !described.has(key)),
    [],
  );
});

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
