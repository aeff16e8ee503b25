/** Finalize events over real sockets, to listeners that misbehave. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { clientOf, eventually, startEndpoint, startListener, temporaryFolder } from './local-endpoint.ts';

const retry = { firstRetryMs: 5, maxRetryMs: 40 };

test('each finalized object is told once, as a binary CloudEvent with the resource', async () => {
  const listener = await startListener();
  const endpoint = await startEndpoint({ notify: [{ bucket: 'specs', url: listener.url }], retry });
  const storage = clientOf(endpoint.url);
  const bucket = storage.bucket('specs');
  const file = bucket.file('a b/ü.yaml');
  await file.save('one', { resumable: false });
  await file.setMetadata({ metadata: { a: 'b' } });
  const [copy] = await file.copy('copy');
  const [whole] = await bucket.combine([file, copy], 'whole');
  await storage.createBucket('quiet');
  await storage.bucket('quiet').file('x').save('x');
  await listener.until((events) => events.length >= 3);
  assert.deepEqual(listener.events.map((event) => event.name).sort(), ['a b/ü.yaml', 'copy', 'whole']);
  const event = listener.events.find((one) => one.name === 'a b/ü.yaml');
  assert.ok(event !== undefined);
  assert.equal(event.headers['ce-specversion'], '1.0');
  assert.equal(event.headers['ce-type'], 'google.cloud.storage.object.v1.finalized');
  assert.equal(event.headers['ce-source'], '//storage.googleapis.com/projects/_/buckets/specs');
  assert.equal(event.headers['ce-subject'], 'objects/a%20b/%C3%BC.yaml');
  assert.equal(event.headers['content-type'], 'application/json');
  assert.ok(!Number.isNaN(Date.parse(String(event.headers['ce-time']))));
  assert.ok(event.headers['ce-id']);
  const [metadata] = await whole.getMetadata();
  assert.ok(listener.events.some((one) => one.generation === metadata.generation));
});

test('an event is repeated with the same id until the listener answers 2xx', async () => {
  const answers = [500, 302, 404, 503];
  const listener = await startListener(() => answers.shift() ?? 200);
  const folder = await temporaryFolder();
  const endpoint = await startEndpoint({ folder, notify: [{ bucket: 'specs', url: listener.url }], retry });
  await clientOf(endpoint.url).bucket('specs').file('x').save('x', { resumable: false });
  await listener.until((events) => events.length === 5);
  assert.equal(new Set(listener.events.map((event) => event.headers['ce-id'])).size, 1);
  await eventually(async () => (await readdir(join(folder, 'outbox'))).length === 0);
});

test('events of a listener that is not there yet come when it is', async () => {
  const placeholder = await startListener();
  placeholder.close();
  const endpoint = await startEndpoint({ notify: [{ bucket: 'specs', url: placeholder.url }], retry });
  const bucket = clientOf(endpoint.url).bucket('specs');
  const names = Array.from({ length: 30 }, (_, file) => `late/${file}`);
  await Promise.all(names.map((name) => bucket.file(name).save(name, { resumable: false })));
  const listener = await startListener(() => 204, placeholder.port);
  await listener.until((events) => new Set(events.map((event) => event.name)).size === names.length);
});

test('an event whose delivery hangs holds up no other', async () => {
  const hanging = Promise.withResolvers<number>();
  const listener = await startListener((event) => (event.name === 'slow' ? hanging.promise : 204));
  const endpoint = await startEndpoint({ notify: [{ bucket: 'specs', url: listener.url }], retry });
  const bucket = clientOf(endpoint.url).bucket('specs');
  await bucket.file('slow').save('x', { resumable: false });
  for (let file = 0; file < 20; file += 1) await bucket.file(`fast/${file}`).save('x', { resumable: false });
  await listener.until((events) => events.length === 21);
  hanging.resolve(204);
});

test('no more deliveries run at once than allowed', async () => {
  let running = 0;
  let most = 0;
  const listener = await startListener(async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    return 204;
  });
  const endpoint = await startEndpoint({
    notify: [{ bucket: 'specs', url: listener.url }],
    retry: { ...retry, concurrency: 2 },
  });
  const bucket = clientOf(endpoint.url).bucket('specs');
  await Promise.all(
    Array.from({ length: 40 }, (_, file) => bucket.file(`many/${file}`).save('x', { resumable: false })),
  );
  await listener.until((events) => events.length === 40);
  assert.ok(most <= 2, `${most} at once`);
});

test('a delivery without an answer is given up and repeated', async () => {
  const never = new Promise<number>(() => undefined);
  let attempts = 0;
  const listener = await startListener(() => {
    attempts += 1;
    return attempts === 1 ? never : 204;
  });
  const endpoint = await startEndpoint({
    notify: [{ bucket: 'specs', url: listener.url }],
    retry: { ...retry, attemptTimeoutMs: 50 },
  });
  await clientOf(endpoint.url).bucket('specs').file('x').save('x', { resumable: false });
  await listener.until((events) => events.length === 2);
});

test('undelivered events outlive the endpoint', async () => {
  const folder = await temporaryFolder();
  const failing = await startListener(() => 500);
  const first = await startEndpoint({ folder, notify: [{ bucket: 'specs', url: failing.url }], retry });
  await clientOf(first.url).bucket('specs').file('kept').save('x', { resumable: false });
  await first.close();
  const listener = await startListener();
  await startEndpoint({ folder, notify: [{ bucket: 'specs', url: listener.url }], retry });
  await listener.until((events) => events.length === 1);
  assert.equal(listener.events[0]?.name, 'kept');
});
