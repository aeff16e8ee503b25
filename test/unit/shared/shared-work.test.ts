import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSharedWork } from '../../../shared/shared-work.ts';

const never = new AbortController().signal;

/** Work that ends when it is told to, and tells when it has been given up. */
function held(): {
  readonly work: (signal: AbortSignal) => Promise<string>;
  readonly begun: () => number;
  readonly given: () => boolean;
  end(result: string | Error): void;
} {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let begun = 0;
  let given: AbortSignal | undefined;
  return {
    begun: () => begun,
    given: () => given?.aborted === true,
    end: (result) => (typeof result === 'string' ? resolve(result) : reject(result)),
    work(signal) {
      begun += 1;
      given = signal;
      return promise;
    },
  };
}

test('whoever comes while the work is done shares its result', async () => {
  const shared = createSharedWork<string>();
  const one = held();
  const waiting = [1, 2, 3].map(() => shared.join('a', one.work, never));
  one.end('done');
  assert.deepEqual(await Promise.all(waiting), ['done', 'done', 'done']);
  assert.equal(one.begun(), 1);
});

test('work that has ended is not shared any more', async () => {
  const shared = createSharedWork<string>();
  for (const result of ['first', 'second']) {
    const one = held();
    one.end(result);
    assert.equal(await shared.join('a', one.work, never), result);
  }
});

test('a failure is told to everybody, and the next one tries again', async () => {
  const shared = createSharedWork<string>();
  const one = held();
  const waiting = [1, 2].map(() => shared.join('a', one.work, never));
  const failure = new Error('no');
  one.end(failure);
  for (const outcome of await Promise.allSettled(waiting)) {
    assert.ok(outcome.status === 'rejected' && outcome.reason === failure);
  }
  const next = held();
  next.end('yes');
  assert.equal(await shared.join('a', next.work, never), 'yes');
});

test('one who gives up leaves the work to the others', async () => {
  const shared = createSharedWork<string>();
  const one = held();
  const stop = new AbortController();
  const leaving = shared.join('a', one.work, stop.signal);
  const staying = shared.join('a', one.work, never);
  const reason = new Error('cancelled');
  stop.abort(reason);
  await assert.rejects(leaving, reason);
  assert.equal(one.given(), false);
  one.end('done');
  assert.equal(await staying, 'done');
});

test('work that everybody has given up is stopped, and whoever comes then begins anew', async () => {
  const shared = createSharedWork<string>();
  const one = held();
  const stop = new AbortController();
  const leaving = shared.join('a', one.work, stop.signal);
  stop.abort(new Error('cancelled'));
  await assert.rejects(leaving);
  assert.ok(one.given());
  const next = held();
  const fresh = shared.join('a', next.work, never);
  // The end of the work that was given up changes nothing for its successor.
  one.end('old');
  assert.equal(next.begun(), 1);
  const third = shared.join('a', held().work, never);
  next.end('new');
  assert.deepEqual(await Promise.all([fresh, third]), ['new', 'new']);
});

test('who comes with an aborted signal begins nothing', async () => {
  const shared = createSharedWork<string>();
  const one = held();
  await assert.rejects(shared.join('a', one.work, AbortSignal.abort(new Error('late'))), /late/);
  assert.equal(one.begun(), 0);
});
