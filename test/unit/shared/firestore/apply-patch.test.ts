import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Timestamp } from '@google-cloud/firestore';
import fc from 'fast-check';
import { applyPatch, elapsedMs, NOW, REMOVE } from '../../../../shared/firestore/documents.ts';

const AT = new Timestamp(1_700_000_000, 5000);

test('a path with dots reaches into a map and leaves its neighbours', () => {
  const data = { lease: { owner: 'a', renewedAt: 1 }, state: 'running' };
  assert.deepEqual(applyPatch(data, { 'lease.renewedAt': 2 }, AT), {
    lease: { owner: 'a', renewedAt: 2 },
    state: 'running',
  });
  assert.deepEqual(data.lease, { owner: 'a', renewedAt: 1 }, 'the data that was read is left alone');
});

test('a name without dots replaces the whole field', () => {
  assert.deepEqual(applyPatch({ lease: { owner: 'a' } }, { lease: { other: 1 } }, AT), {
    lease: { other: 1 },
  });
});

test('a path through something that is no map makes one, as Firestore does', () => {
  assert.deepEqual(applyPatch({ lease: null }, { 'lease.owner': 'a' }, AT), { lease: { owner: 'a' } });
  assert.deepEqual(applyPatch({}, { 'a.b.c': 1 }, AT), { a: { b: { c: 1 } } });
});

test('NOW stands for the time of the write, also inside a value', () => {
  assert.deepEqual(applyPatch({}, { at: NOW, lease: { owner: 'a', renewedAt: NOW }, 'x.y': NOW }, AT), {
    at: AT,
    lease: { owner: 'a', renewedAt: AT },
    x: { y: AT },
  });
});

test('REMOVE takes a field away, also inside a map, and does not mind when it is not there', () => {
  assert.deepEqual(applyPatch({ a: 1, m: { b: 2, c: 3 } }, { a: REMOVE, 'm.b': REMOVE, z: REMOVE }, AT), {
    m: { c: 3 },
  });
});

test('times and lists are values, not maps', () => {
  const time = new Timestamp(1, 2);
  const patched = applyPatch({}, { time, list: [{ a: 1 }] }, AT);
  assert.deepEqual(patched, { time, list: [{ a: 1 }] });
});

test('an empty patch changes nothing', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), fc.jsonValue()), (data) => {
      assert.deepEqual(applyPatch(data, {}, AT), { ...data });
    }),
  );
});

test('the time between two moments counts seconds and fractions', () => {
  assert.equal(elapsedMs(new Timestamp(1, 900_000_000), new Timestamp(3, 100_000_000)), 1200);
  assert.equal(elapsedMs(new Timestamp(3, 0), new Timestamp(1, 0)), -2000);
});
