import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Timestamp } from '@google-cloud/firestore';
import fc from 'fast-check';
import { z } from 'zod';
import { applyPatch, NOW } from '../../../../shared/firestore/documents.ts';
import {
  eventsDone,
  firstEvent,
  nextEvent,
  type Outbox,
  outboxFields,
  waitingEvents,
} from '../../../../shared/firestore/outbox.ts';
import { buildEvent } from '../../../../shared/messages.ts';

const schema = z.object(outboxFields);
const AT = Timestamp.fromMillis(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
const SUBJECT = { kind: 'job', buildId: 'bld-1', package: 'hello', arch: 'x86_64' } as const;

function after(record: Outbox, patch: Readonly<Record<string, unknown>>): Outbox {
  return schema.parse(applyPatch(record, patch, AT));
}

function born(): Outbox {
  return schema.parse(applyPatch({}, firstEvent({ state: 'pending', epoch: 0 }), AT));
}

test('the creation of a record is its first event', () => {
  const record = born();
  assert.deepEqual([record.eventSeq, record.eventsPublished, record.eventsWaiting], [1, 0, true]);
  assert.deepEqual(waitingEvents(record, SUBJECT), [
    {
      id: 'bld-1/hello@x86_64:0:1',
      kind: 'job',
      buildId: 'bld-1',
      package: 'hello',
      arch: 'x86_64',
      state: 'pending',
      epoch: 0,
      seq: 1,
      time: '2026-01-02T03:04:05.678Z',
    },
  ]);
});

test('events are numbered without gaps and given in order, also the tenth after the ninth', () => {
  let record = born();
  for (let turn = 0; turn < 11; turn += 1) {
    record = after(record, nextEvent(record, { state: 'queued', epoch: turn }));
  }
  const events = waitingEvents(record, SUBJECT);
  assert.deepEqual(
    events.map((event) => event.seq),
    Array.from({ length: 12 }, (_, index) => index + 1),
  );
});

test('the id of an event does not depend on when or how often it is published', () => {
  let record = born();
  record = after(record, nextEvent(record, { state: 'queued', epoch: 0 }));
  const before = waitingEvents(record, SUBJECT).map((event) => event.id);
  record = after(record, nextEvent(record, { state: 'running', epoch: 1 }));
  assert.deepEqual(
    waitingEvents(record, SUBJECT)
      .map((event) => event.id)
      .slice(0, 2),
    before,
  );
  record = after(record, eventsDone(record, 1));
  assert.deepEqual(
    waitingEvents(record, SUBJECT).map((event) => event.id),
    ['bld-1/hello@x86_64:0:2', 'bld-1/hello@x86_64:1:3'],
  );
});

test('published events leave, later ones stay and still wait', () => {
  let record = born();
  record = after(record, nextEvent(record, { state: 'queued', epoch: 0 }));
  record = after(record, eventsDone(record, 1));
  assert.deepEqual(
    [record.eventsPublished, record.eventsWaiting, Object.keys(record.outbox)],
    [1, true, ['e2']],
  );
  record = after(record, eventsDone(record, 2));
  assert.deepEqual(
    [record.eventsPublished, record.eventsWaiting, Object.keys(record.outbox)],
    [2, false, []],
  );
});

test('an event carries its error, and reads as the message that other systems are promised', () => {
  const error = { code: 'build-step-failed', kind: 'user', message: 'make failed', step: 'make' } as const;
  const record = after(born(), nextEvent(born(), { state: 'failed', epoch: 3, error }));
  const event = waitingEvents(record, SUBJECT).at(-1);
  assert.deepEqual(event?.error, { code: 'build-step-failed', kind: 'user', message: 'make failed' });
  assert.deepEqual(buildEvent.parse(JSON.parse(JSON.stringify(event))), event);
});

test('an event of a build has no package', () => {
  const record = schema.parse(applyPatch({}, firstEvent({ state: 'pending' }), AT));
  const [event] = waitingEvents(record, { kind: 'build', buildId: 'bld-1' });
  assert.equal(event?.id, 'bld-1:0:1');
  assert.ok(event !== undefined && !('package' in event) && !('epoch' in event));
});

test('whatever happens in whatever order, no event is lost before it was published', () => {
  const step = fc.oneof(fc.constant('change' as const), fc.nat({ max: 20 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      let record = born();
      for (const one of steps) {
        if (one === 'change') {
          record = after(record, nextEvent(record, { state: 'running' }));
          continue;
        }
        const waiting = waitingEvents(record, SUBJECT);
        const upTo = waiting[one % Math.max(1, waiting.length)];
        if (upTo !== undefined) record = after(record, eventsDone(record, upTo.seq));
      }
      const waiting = waitingEvents(record, SUBJECT).map((event) => event.seq);
      const expected = Array.from(
        { length: record.eventSeq - record.eventsPublished },
        (_, index) => record.eventsPublished + index + 1,
      );
      assert.deepEqual(waiting, expected);
      assert.equal(record.eventsWaiting, expected.length > 0);
    }),
  );
});

test('the time of an event is the time of its write', () => {
  const patch = nextEvent(born(), { state: 'queued' });
  assert.deepEqual(patch['outbox.e2'], { state: 'queued', epoch: null, at: NOW, error: null });
});
