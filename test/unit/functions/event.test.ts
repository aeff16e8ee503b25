import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { uploadOf } from '../../../functions/spec-uploaded/event.ts';

const DATA = { bucket: 'specs', name: 'a/hello.yaml', generation: '1700000000000001', size: '42' };
const EVENT = { id: '1', type: 'google.cloud.storage.object.v1.finalized', data: DATA };

test('a finalize event tells which object of which generation came', () => {
  assert.deepEqual(uploadOf({ ...EVENT, source: 'x', data: { ...DATA, metadata: { Arch: 'x86_64' } } }), {
    bucket: 'specs',
    object: 'a/hello.yaml',
    generation: '1700000000000001',
    bytes: 42,
    metadata: { arch: 'x86_64' },
  });
});

test('numbers may come as numbers', () => {
  const upload = uploadOf({ ...EVENT, data: { ...DATA, generation: 17, size: 0 } });
  assert.deepEqual([upload?.generation, upload?.bytes], ['17', 0]);
});

for (const [what, event] of [
  ['nothing', undefined],
  ['a text', 'finalized'],
  ['an event of another type', { ...EVENT, type: 'google.cloud.storage.object.v1.deleted' }],
  ['an event without data', { ...EVENT, data: undefined }],
  ['an event without an object', { ...EVENT, data: { ...DATA, name: '' } }],
  ['an event without a bucket', { ...EVENT, data: { ...DATA, bucket: undefined } }],
  ['an event whose generation is no number', { ...EVENT, data: { ...DATA, generation: '1; drop' } }],
  ['an event with a negative size', { ...EVENT, data: { ...DATA, size: -1 } }],
] as const) {
  test(`${what} is no upload`, () => assert.equal(uploadOf(event), undefined));
}

test('whatever is posted to the function does not make it fail', () => {
  fc.assert(fc.property(fc.anything(), (event) => void uploadOf(event)));
});
