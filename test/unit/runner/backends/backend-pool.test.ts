import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBackendPool, type SlotRequest } from '../../../../runner/backends/backend-pool.ts';

// Nothing listens there: a probe fails at once, and without one nothing is sent.
const ONE = 'tcp://127.0.0.1:1';
const TWO = 'tcp://127.0.0.1:2';

function backend(
  addr: string,
  more: { readonly labels?: Record<string, string>; readonly maxJobs?: number } = {},
): { addr: string; arch: 'x86_64'; labels: Record<string, string>; maxJobs: number } {
  return { addr, arch: 'x86_64', labels: more.labels ?? {}, maxJobs: more.maxJobs ?? 2 };
}

function request(more: Partial<SlotRequest> = {}): SlotRequest {
  const { signal } = new AbortController();
  return { arch: 'x86_64', selector: {}, avoid: null, affinity: 'hello', waitMs: 0, signal, ...more };
}

test('a backend takes as many jobs as it may and no more', async () => {
  await using pool = await createBackendPool([backend(ONE)]);
  const slots = [await pool.acquire(request()), await pool.acquire(request()), await pool.acquire(request())];
  assert.deepEqual(
    slots.map((slot) => slot?.address),
    [ONE, ONE, undefined],
  );
  slots[0]?.release('ok');
  slots[0]?.release('ok');
  assert.equal(pool.status()[0]?.activeJobs, 1, 'a slot is given back once');
  assert.equal((await pool.acquire(request()))?.address, ONE);
});

test('only a backend of the architecture with the labels is taken', async () => {
  await using pool = await createBackendPool([backend(ONE), backend(TWO, { labels: { size: 'big' } })]);
  assert.equal((await pool.acquire(request({ selector: { size: 'big' } })))?.address, TWO);
  assert.equal(await pool.acquire(request({ selector: { size: 'huge' } })), undefined);
  assert.equal(await pool.acquire(request({ arch: 'aarch64' })), undefined);
  assert.deepEqual([pool.serves('x86_64', { size: 'big' }), pool.serves('aarch64', {})], [true, false]);
});

test('jobs of one package go to one backend as long as it has room', async () => {
  await using pool = await createBackendPool([backend(ONE, { maxJobs: 3 }), backend(TWO, { maxJobs: 3 })]);
  const first = (await pool.acquire(request()))?.address;
  assert.equal((await pool.acquire(request()))?.address, first);
  assert.equal((await pool.acquire(request()))?.address, first);
  assert.notEqual((await pool.acquire(request()))?.address, first);
});

test('a job that failed on a backend goes to another one, and waits for it while that is busy', async () => {
  await using pool = await createBackendPool([backend(ONE, { maxJobs: 1 }), backend(TWO, { maxJobs: 1 })]);
  const slot = await pool.acquire(request({ avoid: ONE }));
  assert.equal(slot?.address, TWO);
  assert.equal(await pool.acquire(request({ avoid: ONE })), undefined);
  slot?.release('ok');
  assert.equal((await pool.acquire(request({ avoid: ONE })))?.address, TWO);
});

test('a job that failed on the only backend in order goes there again, not nowhere', async () => {
  await using pool = await createBackendPool([backend(ONE), backend(TWO)]);
  const gone = await pool.acquire(request({ avoid: ONE }));
  assert.equal(gone?.address, TWO);
  gone?.release('infrastructure-failure');
  const slot = await pool.acquire(request({ avoid: ONE }));
  assert.equal(slot?.address, ONE, 'the other one is away');
});

test('a backend that fails three times in a row is left alone, and a success forgives it', async () => {
  await using pool = await createBackendPool([backend(ONE, { maxJobs: 4 })]);
  const slots = await Promise.all(Array.from({ length: 4 }, () => pool.acquire(request())));
  slots[0]?.release('infrastructure-failure');
  slots[1]?.release('infrastructure-failure');
  assert.equal(pool.status()[0]?.circuitOpen, false);
  slots[2]?.release('infrastructure-failure');
  assert.equal(pool.status()[0]?.circuitOpen, true);
  assert.equal(await pool.acquire(request()), undefined);
  slots[3]?.release('ok');
  assert.equal(pool.status()[0]?.circuitOpen, false);
});

test('whoever wants to know is told of each free slot', async () => {
  await using pool = await createBackendPool([backend(ONE)]);
  let freed = 0;
  pool.onFree(() => {
    freed += 1;
  });
  const slot = await pool.acquire(request());
  slot?.release('ok');
  assert.equal(freed, 1);
});

test('a job that waits for a slot gets the first that is free', async () => {
  await using pool = await createBackendPool([backend(ONE, { maxJobs: 1 })]);
  const slot = await pool.acquire(request());
  const waiting = pool.acquire(request({ waitMs: 20_000 }));
  slot?.release('ok');
  assert.equal((await waiting)?.address, ONE);
});
