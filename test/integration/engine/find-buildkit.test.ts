import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDockerEngine } from '../../../deploy/local/engine/docker-engine.ts';
import { findBuildkit } from '../../../deploy/local/engine/find-buildkit.ts';
import { debianFolder, freshFolder, skipReason, upgradeStatus } from './engine-fixture.ts';

const options = { skip: skipReason, timeout: 300_000 };
const log = () => undefined;
const nowhere = { dockerHost: undefined, folder: '/nonexistent', debianFolder, log };

async function listening(server: Server, at: { port: number; host: string } | { path: string }) {
  await new Promise<void>((done) => server.listen(at, done));
  return {
    server,
    [Symbol.asyncDispose]: async () => void (await new Promise((done) => server.close(done))),
  };
}

test('a given address that answers is used as it is', async () => {
  await using held = await listening(createServer(), { port: 0, host: '127.0.0.1' });
  const bound = held.server.address();
  assert.ok(bound !== null && typeof bound === 'object');
  const address = `tcp://127.0.0.1:${bound.port}`;
  const found = await findBuildkit({ ...nowhere, address });
  assert.equal(found.address, address);
  assert.equal(found.origin, 'given');
  await found.close();
  assert.equal(await found.ended, undefined);
});

test('a given address where nobody listens is an error, not a reason to take another BuildKit', async () => {
  for (const address of [
    'tcp://127.0.0.1:1',
    'unix:///nonexistent/socket',
    'docker+unix:///nonexistent/socket',
  ]) {
    await assert.rejects(findBuildkit({ ...nowhere, address }), { code: 'backend-unreachable' });
  }
});

test('a malformed address is told as such', async () => {
  for (const address of [
    'localhost:1234',
    'tcp://host',
    'unix://relative',
    'ssh://host',
    'tcp://host:99999',
  ]) {
    await assert.rejects(findBuildkit({ ...nowhere, address }), { code: 'config-invalid' });
  }
});

test('a Docker with the containerd image store is used, and left running', options, async () => {
  await using folder = await freshFolder();
  const docker = await startDockerEngine({ folder: folder.path, debianFolder, log });
  try {
    const dockerHost = docker.address.replace('docker+', '');
    const found = await findBuildkit({ ...nowhere, address: undefined, dockerHost });
    assert.equal(found.origin, 'docker');
    assert.equal(found.address, docker.address);
    await found.close();
    assert.equal(await upgradeStatus(docker.address), 101);
  } finally {
    await docker.close();
  }
});

test('a Docker with the old image store is passed over for a private engine', options, async () => {
  await using folder = await freshFolder();
  const path = join(tmpdir(), `carryall-old-docker-${process.pid}.sock`);
  const old = createHttpServer((asked, answer) => {
    const info = {
      ServerVersion: '20.10.24',
      Driver: 'overlay2',
      DriverStatus: [['Backing Filesystem', 'extfs']],
    };
    answer.end(asked.url === '/_ping' ? 'OK' : JSON.stringify(info));
  });
  await using _held = await listening(old, { path });
  const told: unknown[] = [];
  const found = await findBuildkit({
    address: '',
    dockerHost: `unix://${path}`,
    folder: folder.path,
    debianFolder,
    log: (message, fields) => told.push([message, fields]),
  });
  await using _closed = { [Symbol.asyncDispose]: found.close };
  assert.equal(found.origin, 'private');
  assert.equal(await upgradeStatus(found.address), 101);
  assert.match(JSON.stringify(told), /overlay2.*containerd-snapshotter/);
});
