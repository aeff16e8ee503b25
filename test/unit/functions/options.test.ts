import assert from 'node:assert/strict';
import { test } from 'node:test';
import { optionsOf } from '../../../functions/spec-uploaded/options.ts';
import { PipelineError } from '../../../shared/errors.ts';

test('an upload without metadata has the defaults', () => {
  const defaults = { arch: [], backend_selector: {}, with_test: false, debug: false, mode: 'dag' };
  assert.deepEqual(optionsOf({}), defaults);
  assert.deepEqual(
    optionsOf({ arch: '', selector: ' , ', test: '', debug: '', mode: '', owner: 'me' }),
    defaults,
  );
});

test('every option can be given', () => {
  const metadata = {
    arch: 'x86_64, arm64',
    selector: 'size=big,zone=a=b',
    test: 'Yes',
    debug: '1',
    mode: 'flat',
  };
  assert.deepEqual(optionsOf(metadata), {
    arch: ['x86_64', 'aarch64'],
    backend_selector: { size: 'big', zone: 'a=b' },
    with_test: true,
    debug: true,
    mode: 'flat',
  });
});

for (const [text, value] of [
  ['true', true],
  ['TRUE', true],
  ['no', false],
  ['0', false],
  ['false', false],
] as const) {
  test(`the flag "${text}" means ${value}`, () => assert.equal(optionsOf({ test: text }).with_test, value));
}

for (const [name, value] of [
  ['arch', 'x86_64,vax'],
  ['selector', 'big'],
  ['selector', '=big'],
  ['test', 'maybe'],
  ['debug', '2'],
  ['mode', 'fast'],
] as const) {
  test(`the metadata ${name}=${value} is refused by its name, with a hint`, () => {
    assert.throws(
      () => optionsOf({ [name]: value }),
      (error) =>
        error instanceof PipelineError &&
        error.code === 'request-invalid' &&
        error.kind === 'user' &&
        error.hint !== undefined &&
        error.message.includes(`metadata ${name} is "`),
    );
  });
}
