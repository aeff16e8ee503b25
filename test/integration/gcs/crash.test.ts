/** `kill -9` at any moment: no half object, no lost object, no lost event, no event for what never was. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startProcess } from './endpoint-process.ts';
import { call, eventually, startListener, temporaryFolder } from './local-endpoint.ts';

const ROUNDS = 12;
const WRITERS = 6;
const PUT_BYTES = 100_000;

interface Listed {
  readonly name: string;
  readonly generation: string;
  readonly md5Hash: string;
}

test('a killed endpoint loses nothing it confirmed and shows nothing half done', async () => {
  const folder = await temporaryFolder();
  let deliveries = 0;
  // Two of three deliveries fail, so each death finds events under way.
  const listener = await startListener(() => {
    deliveries += 1;
    return deliveries % 3 === 0 ? 204 : 500;
  });
  const flags = [`--folder=${folder}`, '--bucket=specs', `--notify=specs=${listener.url}`];
  const quickly = [...flags, '--first-retry-ms=20', '--max-retry-ms=100'];
  const confirmed = new Map<string, string>();

  for (let round = 0; round < ROUNDS; round += 1) {
    const endpoint = await startProcess(quickly);
    let alive = true;
    const writer = async (id: number): Promise<void> => {
      for (let turn = 0; alive; turn += 1) {
        const own = `round${round}/writer${id}/${turn}`;
        const name = turn % 3 === 2 ? `shared/${id % 2}` : own;
        const content = randomBytes(1 + ((turn * 37_511) % 400_000));
        const upload = turn % 2 === 0 ? uploadAtOnce : uploadInPieces;
        const generation = await upload(endpoint.url, name, content).catch(() => undefined);
        if (generation === undefined) return;
        confirmed.set(generation, name);
      }
    };
    const writers = Array.from({ length: WRITERS }, (_, id) => writer(id));
    await delay(20 + Math.random() * 250);
    await endpoint.end('SIGKILL');
    alive = false;
    await Promise.all(writers);
  }

  const endpoint = await startProcess(quickly);
  const objects = await listAll(endpoint.url);
  assert.ok(confirmed.size > ROUNDS, `only ${confirmed.size} uploads were confirmed`);
  const newest = new Map(objects.map((object) => [object.name, object]));
  for (const [generation, name] of confirmed) {
    assert.ok(Number(newest.get(name)?.generation) >= Number(generation), `${name} was lost`);
  }
  for (const object of objects) {
    const { body } = await call(`${endpoint.url}/specs/${object.name}`);
    assert.equal(createHash('md5').update(body).digest('base64'), object.md5Hash, object.name);
  }
  const contents = await readdir(join(folder, 'content'));
  const open = await readdir(join(folder, 'uploads'));
  assert.equal(contents.length, objects.length + open.length);
  assert.deepEqual(await readdir(join(folder, 'staging')), []);

  const finalized = new Set([...confirmed.keys(), ...objects.map((object) => object.generation)]);
  await listener.until((events) => {
    const told = new Set(events.map((event) => event.generation));
    return [...finalized].every((generation) => told.has(generation));
  });
  for (const event of listener.events) {
    assert.ok(newest.has(event.name), `an event tells of ${event.name}, which never was`);
    assert.ok(Number(event.generation) <= Number(newest.get(event.name)?.generation));
  }
  await eventually(async () => (await readdir(join(folder, 'outbox'))).length === 0);
  assert.equal(await endpoint.end('SIGTERM'), 0);
});

test('generations rise over restarts even where the newest object was deleted', async () => {
  const folder = await temporaryFolder();
  let last = 0;
  for (let round = 0; round < 3; round += 1) {
    const endpoint = await startProcess([`--folder=${folder}`, '--bucket=specs']);
    const generation = Number(await uploadAtOnce(endpoint.url, 'x', Buffer.from('x')));
    assert.ok(generation > last);
    last = generation;
    await call(`${endpoint.url}/storage/v1/b/specs/o/x`, { method: 'DELETE' });
    await endpoint.end('SIGKILL');
  }
});

async function uploadAtOnce(url: string, name: string, content: Buffer): Promise<string> {
  const query = new URLSearchParams({ uploadType: 'media', name });
  const answer = await call(`${url}/upload/storage/v1/b/specs/o?${query.toString()}`, {
    method: 'POST',
    body: content,
  });
  assert.equal(answer.status, 200);
  return JSON.parse(answer.body.toString()).generation;
}

async function uploadInPieces(url: string, name: string, content: Buffer): Promise<string> {
  const query = new URLSearchParams({ uploadType: 'resumable', name });
  const opened = await call(`${url}/upload/storage/v1/b/specs/o?${query.toString()}`, { method: 'POST' });
  const location = opened.headers.location ?? '';
  for (let at = 0; ; at += PUT_BYTES) {
    const end = Math.min(at + PUT_BYTES, content.length);
    const total = end === content.length ? String(end) : '*';
    const answer = await call(location, {
      method: 'PUT',
      headers: { 'Content-Range': `bytes ${at}-${end - 1}/${total}` },
      body: content.subarray(at, end),
    });
    if (answer.status === 200) return JSON.parse(answer.body.toString()).generation;
    assert.equal(answer.status, 308);
  }
}

async function listAll(url: string): Promise<Listed[]> {
  const found: Listed[] = [];
  let pageToken = '';
  do {
    const answer = await call(`${url}/storage/v1/b/specs/o?pageToken=${pageToken}`);
    const page = JSON.parse(answer.body.toString());
    found.push(...(page.items ?? []));
    pageToken = page.nextPageToken ?? '';
  } while (pageToken !== '');
  return found;
}
