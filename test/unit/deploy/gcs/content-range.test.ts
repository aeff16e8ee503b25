import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseByteRange, parseUploadRange } from '../../../../deploy/local/gcs/content-range.ts';
import { Refusal } from '../../../../deploy/local/gcs/refusal.ts';

describe('Content-Range of an upload', () => {
  for (const [header, range] of [
    [undefined, { kind: 'data', start: 0, bytes: undefined, totalBytes: undefined }],
    ['bytes 0-19999999/20000000', { kind: 'data', start: 0, bytes: 20000000, totalBytes: 20000000 }],
    ['bytes 0-*/*', { kind: 'data', start: 0, bytes: undefined, totalBytes: undefined }],
    ['bytes 7-*/12', { kind: 'data', start: 7, bytes: undefined, totalBytes: 12 }],
    ['bytes 0-262143/*', { kind: 'data', start: 0, bytes: 262144, totalBytes: undefined }],
    ['bytes 262144-299999/300000', { kind: 'data', start: 262144, bytes: 37856, totalBytes: 300000 }],
    ['bytes 0--1/0', { kind: 'data', start: 0, bytes: 0, totalBytes: 0 }],
    ['bytes */*', { kind: 'query', totalBytes: undefined }],
    ['bytes */12', { kind: 'query', totalBytes: 12 }],
  ] as const) {
    test(String(header), () => assert.deepEqual(parseUploadRange(header), range));
  }

  for (const header of ['bytes', 'bytes 5-2/9', 'bytes 0-9/5', 'bytes -5/9', 'items 0-1/2']) {
    test(`${header} is refused`, () => assert.throws(() => parseUploadRange(header), Refusal));
  }
});

describe('Range of a download of 10 bytes', () => {
  for (const [header, range] of [
    [undefined, undefined],
    ['bytes=0-9', { first: 0, last: 9 }],
    ['bytes=2-3', { first: 2, last: 3 }],
    ['bytes=8-', { first: 8, last: 9 }],
    ['bytes=8-100', { first: 8, last: 9 }],
    ['bytes=-3', { first: 7, last: 9 }],
    ['bytes=-30', { first: 0, last: 9 }],
    ['bytes=0-1,4-5', undefined],
    ['bytes=5-2', undefined],
    ['bytes=-', undefined],
    ['lines=1-2', undefined],
  ] as const) {
    test(String(header), () => assert.deepEqual(parseByteRange(header, 10), range));
  }

  for (const header of ['bytes=10-', 'bytes=10-20', 'bytes=-0']) {
    test(`${header} lies outside`, () =>
      assert.throws(() => parseByteRange(header, 10), { name: 'Refusal', status: 416 }));
  }

  test('an empty object has no range', () =>
    assert.throws(() => parseByteRange('bytes=0-', 0), { name: 'Refusal', status: 416 }));
});
