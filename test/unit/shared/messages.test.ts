import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PipelineError } from '../../../shared/errors.ts';
import { REQUEST_BYTES } from '../../../shared/limits.ts';
import { parseBuildRequest, parseJobMessage } from '../../../shared/messages.ts';

const BUILD = `bld-${'0123456789abcdef'.repeat(2).slice(0, 26)}`;

function bytes(value: unknown): Uint8Array {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
}

/** The message of the refusal. */
function refusal(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    assert.ok(error instanceof PipelineError);
    assert.deepEqual([error.code, error.kind], ['message-malformed', 'user']);
    assert.ok(error.hint);
    return error.message;
  }
  assert.fail('it was accepted');
}

const MALFORMED_REQUESTS: readonly (readonly [string, unknown, RegExp])[] = [
  ['an empty message', '', /not JSON/],
  ['half a document', '{"configs": [', /not JSON/],
  ['a number', 42, /object/],
  ['null', null, /object/],
  ['a list', [{ config_yaml: 'x' }], /object/],
  ['nothing to build', {}, /one of configs, config_yaml or source/],
  ['an empty list of files', { configs: [] }, /one of configs, config_yaml or source/],
  ['an empty file', { config_yaml: '' }, /config_yaml: /],
  ['a file that is no text', { configs: ['a', 7] }, /configs\.1: .*string/],
  ['configs that are one text', { configs: 'package: {}' }, /configs: .*array/],
  [
    'a source that is no gs:// URL',
    { source: 'https://example.com/a.yaml' },
    /source: gs:\/\/bucket\/object/,
  ],
  ['a source without an object', { source: 'gs://specs/' }, /source: /],
  ['an unknown architecture', { config_yaml: 'x', arch: 'vax' }, /arch: .*x86_64/],
  ['an unknown architecture in a list', { config_yaml: 'x', arch: ['x86_64', 'vax'] }, /arch\.1: .*x86_64/],
  ['a number as architecture', { config_yaml: 'x', arch: 3 }, /arch: /],
  ['a selector that is a text', { config_yaml: 'x', backend_selector: 'big' }, /backend_selector: /],
  [
    'a selector with a number',
    { config_yaml: 'x', backend_selector: { cores: 8 } },
    /backend_selector\.cores: /,
  ],
  ['a flag that is a text', { config_yaml: 'x', debug: 'yes' }, /debug: .*boolean/],
  ['an unknown mode', { config_yaml: 'x', mode: 'fast' }, /mode: .*flat/],
  [
    'an absolute pipeline',
    { config_yaml: 'x', pipelines: { '/etc/a.yaml': '' } },
    /pipelines\.\/etc\/a\.yaml: .*relative/,
  ],
  ['a pipeline above', { config_yaml: 'x', pipelines: { 'a/../../b': '' } }, /pipelines\..*relative/],
  ['a pipeline that is no text', { config_yaml: 'x', pipelines: { a: {} } }, /pipelines\.a: /],
  [
    'a source file above',
    { config_yaml: 'x', source_files: { p: { '../x': '' } } },
    /source_files\.p\.\.\.\/x: .*relative/,
  ],
  [
    'an absolute source file',
    { config_yaml: 'x', source_files: { p: { '/x': '' } } },
    /source_files\.p\.\/x: .*relative/,
  ],
  [
    'a source file that is a folder',
    { config_yaml: 'x', source_files: { p: { 'a/': '' } } },
    /source_files\.p\.a\/: .*relative/,
  ],
  [
    'a source file without a name',
    { config_yaml: 'x', source_files: { p: { '': '' } } },
    /source_files\.p.*relative/,
  ],
  ['source files without a package', { config_yaml: 'x', source_files: { p: 'text' } }, /source_files\.p: /],
  ['a lock of no job', { config_yaml: 'x', locks: { hello: {} } }, /locks\.hello: must be <package>@<arch>/],
  ['locks in a list', { config_yaml: 'x', locks: [{}] }, /locks: /],
  ['a build id that is none', { buildId: 'bld-1' }, /buildId: must be bld-/],
  ['a build id with a path', { buildId: `${BUILD}/jobs/x` }, /buildId: must be bld-/],
  ['a build id that is a number', { buildId: 5 }, /buildId: /],
];

for (const [what, value, expected] of MALFORMED_REQUESTS) {
  test(`a request with ${what} is refused with the reason`, () => {
    const message = refusal(() => parseBuildRequest(bytes(value)));
    assert.match(message, /build-requests/);
    assert.match(message, expected);
  });
}

test('every problem of a request is named, not only the first', () => {
  const message = refusal(() => parseBuildRequest(bytes({ config_yaml: 'x', mode: 'fast', debug: 1 })));
  assert.match(message, /debug: /);
  assert.match(message, /mode: /);
});

test('a message that is not UTF-8 is refused', () => {
  const data = Buffer.from([0x22, 0xff, 0xfe, 0x22]);
  assert.match(
    refusal(() => parseBuildRequest(data)),
    /not JSON in UTF-8/,
  );
});

test('a message may be as large as the limit and no larger', () => {
  const head = '{"config_yaml":"';
  const fitting = `${head}${'x'.repeat(REQUEST_BYTES - head.length - 2)}"}`;
  assert.equal(parseBuildRequest(bytes(fitting)).type, 'request');
  const message = refusal(() => parseBuildRequest(bytes(`${fitting} `)));
  assert.match(message, new RegExp(`${REQUEST_BYTES + 1} bytes are more than ${REQUEST_BYTES}`));
});

test('a request has defaults for what it leaves out', () => {
  const parsed = parseBuildRequest(bytes({ configs: ['package: {}'] }));
  assert.deepEqual(parsed, {
    type: 'request',
    message: {
      configs: ['package: {}'],
      pipelines: {},
      source_files: {},
      backend_selector: {},
      with_test: false,
      debug: false,
      mode: 'dag',
    },
  });
});

test('a request may name one architecture or several', () => {
  for (const arch of ['aarch64', ['x86_64', 'aarch64']]) {
    const parsed = parseBuildRequest(bytes({ config_yaml: 'x', arch }));
    assert.ok(parsed.type === 'request');
    assert.deepEqual(parsed.message.arch, arch);
  }
});

test('a message with a build id asks for the planning of that build', () => {
  assert.deepEqual(parseBuildRequest(bytes({ buildId: BUILD })), {
    type: 'plan',
    message: { buildId: BUILD },
  });
});

const MALFORMED_DOORBELLS: readonly (readonly [string, unknown, RegExp])[] = [
  ['nothing in it', {}, /buildId: .*job: /],
  ['no job', { buildId: BUILD }, /job: /],
  ['a build id with a slash', { buildId: 'a/b', job: 'a@x86_64' }, /buildId: must be/],
  ['a job with a slash', { buildId: BUILD, job: '../x@x86_64' }, /job: must be/],
  ['a job without an architecture', { buildId: BUILD, job: 'hello' }, /job: must be <package>@<arch>/],
  ['a job with two of them', { buildId: BUILD, job: 'a@b@c' }, /job: must be/],
  ['a job without a package', { buildId: BUILD, job: '@x86_64' }, /job: must be/],
];

for (const [what, value, expected] of MALFORMED_DOORBELLS) {
  test(`a doorbell with ${what} is refused, since it can name no document`, () => {
    assert.match(
      refusal(() => parseJobMessage(bytes(value))),
      expected,
    );
  });
}

test('a doorbell names a build and a job', () => {
  const message = { buildId: BUILD, job: 'lib+c++-dev.1@x86_64' };
  assert.deepEqual(parseJobMessage(bytes(message)), message);
});

test('whatever comes is either read or refused as malformed', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json().map(bytes), fc.uint8Array()), (data) => {
      for (const parse of [parseBuildRequest, parseJobMessage]) {
        try {
          parse(data);
        } catch (error) {
          assert.ok(error instanceof PipelineError && error.code === 'message-malformed');
        }
      }
    }),
  );
});
