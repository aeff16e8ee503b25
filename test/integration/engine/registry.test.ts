import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { type Registry, startRegistry } from '../../../deploy/local/engine/registry.ts';
import { isAlive } from '../../../deploy/local/parts/processes.ts';
import { debianFolder, freshFolder, skipWithoutDebian } from './engine-fixture.ts';

const options = { skip: skipWithoutDebian, timeout: 120_000 };
const log = () => undefined;

/** A registry that is closed also where a test fails. */
async function start(folder: string, port = 0): Promise<Registry & AsyncDisposable> {
  const registry = await startRegistry({ folder, debianFolder, port, log });
  return { ...registry, [Symbol.asyncDispose]: registry.close };
}

test('a registry keeps what was pushed when it is stopped and started again', options, async () => {
  await using folder = await freshFolder();
  const blob = Buffer.from('a layer');
  const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`;

  await using first = await start(folder.path);
  const opened = await fetch(`http://${first.address}/v2/cache/blobs/uploads/`, { method: 'POST' });
  assert.equal(opened.status, 202);
  const upload = new URL(opened.headers.get('location') ?? '');
  upload.searchParams.set('digest', digest);
  assert.equal((await fetch(upload, { method: 'PUT', body: blob })).status, 201);
  await first.close();
  assert.equal(await first.ended, undefined);
  assert.equal(await isAlive(first.pid), false);

  await using second = await start(folder.path, Number(first.address.split(':')[1]));
  const read = await fetch(`http://${second.address}/v2/cache/blobs/${digest}`);
  const text = await read.text();
  await second.close();
  assert.equal(text, 'a layer');
});

test('a registry that is killed tells so and starts again', options, async () => {
  await using folder = await freshFolder();
  await using first = await start(folder.path);
  process.kill(first.pid, 'SIGKILL');
  assert.equal((await first.ended)?.code, 'process-failed');
  await first.close();
  await using second = await start(folder.path);
  await assert.rejects(start(folder.path), { code: 'process-failed' }, 'one registry per folder');
  await second.close();
});

test('a taken port is told as such', options, async () => {
  await using folder = await freshFolder();
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  await assert.rejects(start(folder.path, address.port), { code: 'process-failed', message: /EADDRINUSE/ });
  await new Promise((done) => server.close(done));
  await (await start(folder.path, address.port)).close();
});
