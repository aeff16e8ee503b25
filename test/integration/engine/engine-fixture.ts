/** What the engine tests share: folders, a look at the machine, and builds through Docker's REST API. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type EngineLayout, engineLayout } from '../../../deploy/local/engine/engine-layout.ts';
import { downloadPackages } from '../../../deploy/local/engine/unpacked-packages.ts';
import { mountsBelow } from '../../../deploy/local/parts/mounts.ts';
import { findProcesses, isAlive } from '../../../deploy/local/parts/processes.ts';
import { runProcess } from '../../../deploy/local/parts/run-process.ts';

const carryall = fileURLToPath(new URL('../../../.carryall/', import.meta.url));

/** The downloads the whole checkout shares. */
export const debianFolder = join(carryall, 'debian');

/** Why the tests cannot run here, or false. */
export const skipReason =
  process.getuid?.() !== 0
    ? 'a private Docker Engine needs root'
    : existsSync('/etc/debian_version')
      ? false
      : 'a private Docker Engine is made from Debian packages';

export const skipWithoutDebian = existsSync('/etc/debian_version') ? false : 'needs Debian packages';

/** A folder for one test; its name has a blank, and is longer than a socket's path may be. */
export async function freshFolder(): Promise<{ path: string } & AsyncDisposable> {
  const parent = join(carryall, 'test-engine');
  await mkdir(parent, { recursive: true });
  const path = await mkdtemp(join(parent, `a folder ${'with a long name '.repeat(5)}`));
  return {
    path,
    async [Symbol.asyncDispose]() {
      assert.deepEqual(await mountsBelow([path]), [], 'nothing is mounted in a folder that is removed');
      await rm(path, { recursive: true });
    },
  };
}

/** Asserts that nothing of the engine is left on the machine but its data. */
export async function assertNothingLeft(folder: string, pids: readonly number[]): Promise<void> {
  const layout = await engineLayout(folder);
  for (const pid of pids) assert.equal(await isAlive(pid), false, `process ${pid} is gone`);
  assert.deepEqual(await findProcesses(belonging(layout)), []);
  assert.deepEqual(await commandLinesWith(layout.folder), []);
  assert.deepEqual(await mountsBelow([layout.folder, layout.runtime]), []);
  assert.equal(await stat(layout.runtime).catch(() => undefined), undefined, 'sockets and pid file are gone');
  assert.deepEqual(await cgroupFolders(layout.cgroup), []);
}

/** Pids of living processes that have `text` in their command line; the test's own ones are left out. */
export async function commandLinesWith(text: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.replaceAll('\0', ' ').includes(text) && (await isAlive(pid))) found.push(pid);
  }
  return found;
}

/** Status of `POST /grpc` with an upgrade to HTTP/2: 101 where BuildKit answers. */
export async function upgradeStatus(address: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const asked = request({
    socketPath: socketOf(address),
    path: '/grpc',
    method: 'POST',
    headers: { Connection: 'Upgrade', Upgrade: 'h2c' },
  });
  asked.once('upgrade', (response, socket) => {
    socket.destroy();
    resolve(response.statusCode);
  });
  asked.once('response', (response) => {
    response.resume();
    resolve(response.statusCode);
  });
  asked.once('error', reject);
  asked.end();
  return promise;
}

export interface RunningStep {
  readonly pid: number;
  /** Text that is in the step's command line and in no other. */
  readonly text: string;
  /** Settles when the answer to the build request ends or breaks. */
  readonly over: Promise<void>;
}

/** Starts a build whose one step sleeps for ever, and waits for that step. */
export async function startEndlessStep(address: string, folder: string): Promise<RunningStep> {
  const text = `sleep 9${Math.floor(Math.random() * 1e8)}`;
  const context = await buildContext(
    folder,
    `RUN ["/bin/busybox", "sleep", "${text.slice('sleep '.length)}"]`,
  );
  const response = await postBuild(address, context, 'networkmode=host');
  const over = readAnswer(response).then(
    () => undefined,
    () => undefined,
  );
  const deadline = performance.now() + 30_000;
  for (;;) {
    const [pid] = await commandLinesWith(`/bin/busybox ${text}`);
    if (pid !== undefined) return { pid, text, over };
    assert.ok(performance.now() < deadline, 'the build step starts');
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Builds an image named `name` of one step that ends; gives what Docker answered. */
export async function buildImage(address: string, folder: string, name: string): Promise<string> {
  const context = await buildContext(folder, 'RUN ["/bin/busybox", "true"]');
  return readAnswer(await postBuild(address, context, `networkmode=host&t=${name}`));
}

/** Status of a GET request to a Docker Engine. */
export async function getStatus(address: string, path: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  request({ socketPath: socketOf(address), path }, (response) => {
    response.resume();
    resolve(response.statusCode);
  })
    .once('error', reject)
    .end();
  return promise;
}

function belonging(layout: EngineLayout) {
  return { marker: layout.marker, cgroup: layout.cgroup, folder: layout.folder };
}

function socketOf(address: string): string {
  return address.slice('docker+unix://'.length);
}

async function cgroupFolders(name: string): Promise<string[]> {
  const hierarchies = await readdir('/sys/fs/cgroup').catch(() => []);
  return [name, ...hierarchies.map((one) => join(one, name))].filter((path) =>
    existsSync(join('/sys/fs/cgroup', path)),
  );
}

/** A tar of a build context with a static busybox and a Dockerfile that ends in `step`. */
async function buildContext(folder: string, step: string): Promise<string> {
  const context = join(folder, 'context');
  const unpacked = join(folder, 'busybox');
  const [busybox] = await downloadPackages({ debianFolder }, 'own', ['busybox-static']);
  assert.ok(busybox);
  await runProcess('dpkg-deb', ['-x', busybox.path, unpacked]);
  await mkdir(context, { recursive: true });
  const places = ['bin', 'usr/bin'].map((bin) => join(unpacked, bin, 'busybox'));
  await copyFile(places.find((place) => existsSync(place)) ?? '', join(context, 'busybox'));
  await writeFile(join(context, 'Dockerfile'), `FROM scratch\nCOPY busybox /bin/busybox\n${step}\n`);
  return context;
}

/** `POST /build` with BuildKit (`version=2`) and the context as its body. */
async function postBuild(address: string, context: string, query: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const asked = request(
    {
      socketPath: socketOf(address),
      path: `/build?version=2&${query}`,
      method: 'POST',
      headers: { 'Content-Type': 'application/x-tar' },
    },
    resolve,
  );
  asked.once('error', reject);
  spawn('tar', ['-C', context, '-cf', '-', '.'], { stdio: ['ignore', 'pipe', 'inherit'] }).stdout.pipe(asked);
  return promise;
}

async function readAnswer(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
