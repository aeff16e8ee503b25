/** Compare-and-set on the Firestore emulator. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FieldValue } from '@google-cloud/firestore';
import { z } from 'zod';
import { PipelineError } from '../../../shared/errors.ts';
import {
  changeDocument,
  compareAndSet,
  createDocument,
  type DocumentType,
  elapsedMs,
  NOW,
  REMOVE,
  readDocument,
  Timestamp,
  withDeadline,
} from '../../../shared/firestore/documents.ts';
import { FIRESTORE_TIMEOUT_MS } from '../../../shared/limits.ts';
import { startEmulators } from './emulators-fixture.ts';

interface Counter {
  readonly count: number;
  readonly nested?: Readonly<Record<string, unknown>> | undefined;
  readonly at?: Timestamp | undefined;
}

const COUNTER: DocumentType<Counter> = {
  name: 'counter',
  schema: z.object({
    count: z.number(),
    nested: z.record(z.string(), z.unknown()).optional(),
    at: z.instanceof(Timestamp).optional(),
  }),
};

const emulators = await startEmulators();
const { firestore } = await emulators.openProject();
const counters = firestore.collection('counters');

test('of 32 writers who change one document at the same moment, each is counted', async (context) => {
  // The first round warms up the emulator, whose first commits take seconds on a busy machine.
  for (const writers of [8, 32]) {
    const ref = counters.doc();
    await createDocument(ref, { count: 0 });
    const started = performance.now();
    await Promise.all(
      Array.from({ length: writers }, () =>
        changeDocument({ type: COUNTER, ref, decide: ({ data }) => ({ count: data.count + 1 }) }),
      ),
    );
    context.diagnostic(`${writers} writers took ${Math.round(performance.now() - started)} ms`);
    assert.equal((await readDocument(COUNTER, ref))?.data.count, writers);
  }
});

test('a document is created once, however many try', async () => {
  const ref = counters.doc();
  const outcomes = await Promise.all(Array.from({ length: 8 }, () => createDocument(ref, { count: 1 })));
  assert.equal(outcomes.filter(Boolean).length, 1);
  assert.equal(await createDocument(ref, { count: 2 }), false);
  assert.equal((await readDocument(COUNTER, ref))?.data.count, 1);
});

test('a write on the base of an old reading is refused and changes nothing', async () => {
  const ref = counters.doc();
  await createDocument(ref, { count: 0 });
  const old = await readDocument(COUNTER, ref);
  assert.ok(old);
  assert.ok(await compareAndSet(COUNTER, old, { count: 1 }));
  assert.equal(await compareAndSet(COUNTER, old, { count: 2 }), undefined);
  assert.equal((await readDocument(COUNTER, ref))?.data.count, 1);
});

test('a write to a document that is gone is refused and does not bring it back', async () => {
  const ref = counters.doc();
  await createDocument(ref, { count: 0 });
  const old = await readDocument(COUNTER, ref);
  assert.ok(old);
  await ref.delete();
  assert.equal(await compareAndSet(COUNTER, old, { count: 1 }), undefined);
  assert.equal(await readDocument(COUNTER, ref), undefined);
  await assert.rejects(
    changeDocument({ type: COUNTER, ref, decide: () => ({ count: 1 }) }),
    (error) => error instanceof PipelineError && error.code === 'record-missing',
  );
});

test('writes are chained: what a write gives is what a reader finds, times to within milliseconds', async () => {
  const ref = counters.doc();
  await createDocument(ref, { count: 0, nested: { keep: 1, drop: 2 } });
  let stored = await readDocument(COUNTER, ref);
  for (let turn = 1; turn <= 3; turn += 1) {
    assert.ok(stored);
    stored = await compareAndSet(COUNTER, stored, {
      count: turn,
      at: NOW,
      'nested.deep': { turn },
      'nested.drop': REMOVE,
    });
    const read = await readDocument(COUNTER, ref);
    assert.ok(stored?.data.at !== undefined && read?.data.at !== undefined);
    assert.deepEqual({ ...stored.data, at: undefined }, { ...read.data, at: undefined });
    assert.ok(read.updateTime.isEqual(stored.updateTime));
    assert.ok(elapsedMs(read.data.at, stored.data.at) >= 0, 'the time is not that of a later moment');
    assert.ok(elapsedMs(read.data.at, stored.data.at) < 2000);
    assert.ok(elapsedMs(read.data.at, read.readTime) >= 0);
  }
});

test('an empty patch writes nothing', async () => {
  const ref = counters.doc();
  await createDocument(ref, { count: 0 });
  const stored = await readDocument(COUNTER, ref);
  assert.ok(stored);
  assert.equal(await compareAndSet(COUNTER, stored, {}), stored);
  const again = await readDocument(COUNTER, ref);
  assert.ok(again?.updateTime.isEqual(stored.updateTime));
});

test('a document of another shape is a bug that names the document and the field', async () => {
  const ref = counters.doc('broken');
  await ref.set({ count: 'many' });
  await assert.rejects(
    readDocument(COUNTER, ref),
    (error) =>
      error instanceof PipelineError &&
      error.kind === 'bug' &&
      /counters\/broken .*count/.test(error.message),
  );
});

test('a change that is decided against touches nothing and reads once', async () => {
  const ref = counters.doc();
  await createDocument(ref, { count: 5 });
  let calls = 0;
  const change = await changeDocument({
    type: COUNTER,
    ref,
    decide: () => {
      calls += 1;
      return undefined;
    },
  });
  assert.deepEqual([change.changed, change.stored.data.count, calls], [false, 5, 1]);
});

test('a change whose reading is out of date is decided again on the newest', async () => {
  const ref = counters.doc();
  await createDocument(ref, { count: 0 });
  const known = await readDocument(COUNTER, ref);
  await ref.update({ count: FieldValue.increment(10) });
  const seen: number[] = [];
  const change = await changeDocument({
    type: COUNTER,
    ref,
    known,
    decide: ({ data }) => {
      seen.push(data.count);
      return { count: data.count + 1 };
    },
  });
  assert.deepEqual([seen, change.stored.data.count], [[0, 10], 11]);
});

test('a call without an answer ends at its deadline as an infrastructure failure', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const silent = Promise.withResolvers<never>();
  const call = withDeadline('reading x', silent.promise);
  const refused = assert.rejects(
    call,
    (error) =>
      error instanceof PipelineError &&
      error.code === 'firestore-failed' &&
      error.kind === 'infra' &&
      error.message.includes('reading x'),
  );
  context.mock.timers.tick(FIRESTORE_TIMEOUT_MS);
  await refused;
});
