import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { dockerInfo } from '../../../deploy/local/engine/docker-api.ts';
import { type DockerEngine, startDockerEngine } from '../../../deploy/local/engine/docker-engine.ts';
import { engineLayout } from '../../../deploy/local/engine/engine-layout.ts';
import { reapDockerEngine } from '../../../deploy/local/engine/reap.ts';
import { unmountBelow } from '../../../deploy/local/parts/mounts.ts';
import { isAlive } from '../../../deploy/local/parts/processes.ts';
import { runProcess } from '../../../deploy/local/parts/run-process.ts';
import {
  assertNothingLeft,
  buildImage,
  commandLinesWith,
  debianFolder,
  freshFolder,
  getStatus,
  skipReason,
  startEndlessStep,
  upgradeStatus,
} from './engine-fixture.ts';

const options = { skip: skipReason, timeout: 300_000 };
const log = () => undefined;

/** An engine that is closed also where a test fails: one left alive would keep the test's process from ending. */
async function start(folder: string, signal?: AbortSignal): Promise<DockerEngine & AsyncDisposable> {
  const engine = await startDockerEngine({ folder, debianFolder, log, ...(signal ? { signal } : {}) });
  return { ...engine, [Symbol.asyncDispose]: engine.close };
}

/** Another process that starts an engine and holds it. */
function spawnSupervisor(folder: string) {
  const script = fileURLToPath(new URL('start-engine.ts', import.meta.url));
  const supervisor = spawn(process.execPath, [script, folder, debianFolder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return { supervisor, gone: once(supervisor, 'exit') };
}

async function startAndClose(folder: string, signal?: AbortSignal): Promise<void> {
  await using _engine = await start(folder, signal);
}

test('a private engine has the containerd image store, and its BuildKit answers', options, async (t) => {
  await using folder = await freshFolder();
  const began = performance.now();
  await using engine = await start(folder.path);
  t.diagnostic(`start: ${((performance.now() - began) / 1000).toFixed(2)} s`);
  const info = await dockerInfo(engine.address.slice('docker+unix://'.length));
  assert.equal(info.containerdStore, true);
  t.diagnostic(`Docker ${info.version}, cgroup version ${info.cgroupVersion}`);
  assert.equal(info.storageDriver, 'overlayfs');
  assert.ok(Number.parseInt(info.version, 10) >= 28, `Docker ${info.version} has the symlink action`);
  assert.equal(await upgradeStatus(engine.address), 101);
  await engine.close();
  assert.equal(await engine.ended, undefined);
  await assertNothingLeft(folder.path, Object.values(engine.pids));
});

test('images survive a stop, and the next start takes seconds at most', options, async (t) => {
  await using folder = await freshFolder();
  await using first = await start(folder.path);
  const answer = await buildImage(first.address, folder.path, 'kept');
  await first.close();
  assert.match(answer, /moby\.image\.id/);
  await assertNothingLeft(folder.path, Object.values(first.pids));

  const began = performance.now();
  await using second = await start(folder.path);
  const seconds = (performance.now() - began) / 1000;
  t.diagnostic(`second start: ${seconds.toFixed(2)} s`);
  const found = await getStatus(second.address, '/images/kept/json');
  await second.close();
  assert.equal(found, 200);
  assert.ok(seconds < 10, `${seconds} s`);
});

test('an engine whose programs are killed tells so, and the next start repairs it', options, async () => {
  await using folder = await freshFolder();
  await using killed = await start(folder.path);
  process.kill(killed.pids.dockerd, 'SIGKILL');
  process.kill(killed.pids.containerd, 'SIGKILL');
  assert.equal((await killed.ended)?.code, 'process-failed');
  await killed.close();
  await assertNothingLeft(folder.path, Object.values(killed.pids));

  await using next = await start(folder.path);
  assert.equal(await upgradeStatus(next.address), 101);
  await next.close();
  await assertNothingLeft(folder.path, Object.values(next.pids));
});

test('a build step whose dockerd is killed is ended with its mounts', options, async () => {
  await using folder = await freshFolder();
  await using engine = await start(folder.path);
  const step = await startEndlessStep(engine.address, folder.path);
  process.kill(engine.pids.dockerd, 'SIGKILL');
  await engine.ended;
  assert.equal(await isAlive(step.pid), true, 'the step outlives dockerd, which is what reaping is for');
  await engine.close();
  await step.over;
  assert.deepEqual(await commandLinesWith(step.text), []);
  await assertNothingLeft(folder.path, Object.values(engine.pids));
});

test('closing an engine during a build step leaves nothing', options, async (t) => {
  await using folder = await freshFolder();
  await using engine = await start(folder.path);
  const step = await startEndlessStep(engine.address, folder.path);
  const began = performance.now();
  await engine.close();
  t.diagnostic(`close during a step: ${((performance.now() - began) / 1000).toFixed(2)} s`);
  await step.over;
  assert.deepEqual(await commandLinesWith(step.text), []);
  await assertNothingLeft(folder.path, Object.values(engine.pids));
});

test('reaping one engine leaves the steps of another one alone', options, async () => {
  await using folder = await freshFolder();
  await using otherFolder = await freshFolder();
  await using engine = await start(folder.path);
  await using other = await start(otherFolder.path);
  const step = await startEndlessStep(engine.address, folder.path);
  const otherStep = await startEndlessStep(other.address, otherFolder.path);
  process.kill(engine.pids.dockerd, 'SIGKILL');
  await engine.ended;
  await engine.close();
  assert.deepEqual(await commandLinesWith(step.text), []);
  assert.equal(await isAlive(otherStep.pid), true);
  assert.equal(await upgradeStatus(other.address), 101);
  await other.close();
  await assertNothingLeft(otherFolder.path, [...Object.values(other.pids), otherStep.pid]);
});

test(
  'an engine that lost its supervisor is reaped with its build step, and starts again',
  options,
  async () => {
    await using folder = await freshFolder();
    const script = fileURLToPath(new URL('start-engine.ts', import.meta.url));
    const supervisor = spawn(process.execPath, [script, folder.path, debianFolder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = once(supervisor, 'exit');
    await using _supervised = {
      async [Symbol.asyncDispose]() {
        supervisor.kill('SIGKILL');
        await gone;
        await reapDockerEngine({ folder: folder.path, log });
      },
    };
    const lines = createInterface({ input: supervisor.stdout });
    const [line] = (await once(lines, 'line')) as [string];
    const { address, pids } = JSON.parse(line) as { address: string; pids: Record<string, number> };
    await assert.rejects(
      start(folder.path),
      { code: 'process-failed' },
      'a supervised engine is not taken over',
    );
    await assert.rejects(reapDockerEngine({ folder: folder.path, log }), { code: 'process-failed' });
    const step = await startEndlessStep(address, folder.path);

    supervisor.kill('SIGKILL');
    await gone;
    for (const pid of [...Object.values(pids), step.pid]) assert.equal(await isAlive(pid), true);
    await reapDockerEngine({ folder: folder.path, log });
    await assertNothingLeft(folder.path, [...Object.values(pids), step.pid]);
    await reapDockerEngine({ folder: folder.path, log });

    await using next = await start(folder.path);
    assert.equal(await upgradeStatus(next.address), 101);
    await next.close();
    await assertNothingLeft(folder.path, Object.values(next.pids));
  },
);

test(
  'a supervisor that is killed at any moment of its start leaves nothing that is not reaped',
  options,
  async () => {
    await using folder = await freshFolder();
    for (let killAfterMs = 120; killAfterMs <= 540; killAfterMs += 60) {
      const { supervisor, gone } = spawnSupervisor(folder.path);
      await delay(killAfterMs);
      supervisor.kill('SIGKILL');
      await gone;
      await reapDockerEngine({ folder: folder.path, log });
      await assertNothingLeft(folder.path, []);
    }
    await using engine = await start(folder.path);
    assert.equal(await upgradeStatus(engine.address), 101);
  },
);

test('a start that is cancelled leaves nothing', options, async () => {
  await using folder = await freshFolder();
  const cancel = new AbortController();
  const starting = startAndClose(folder.path, cancel.signal);
  const { dockerLog } = await engineLayout(folder.path);
  const failing = assert.rejects(starting, { code: 'cancelled' });
  while (!existsSync(dockerLog)) await delay(5);
  cancel.abort();
  await failing;
  await assertNothingLeft(folder.path, []);
});

test('a dockerd that ends at its start is told with the end of its log', options, async () => {
  await using folder = await freshFolder();
  await mkdir(join(folder.path, 'docker', 'network', 'files', 'local-kv.db'), { recursive: true });
  await assert.rejects(startAndClose(folder.path), {
    code: 'prerequisite-missing',
    message: /dockerd ended with exit code 1 at its start.*local-kv\.db/s,
  });
  await assertNothingLeft(folder.path, []);
});

test('a folder where no overlay can be mounted is told as such', options, async () => {
  await using folder = await freshFolder();
  const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) =>
    join(folder.path, name),
  );
  assert.ok(lower && upper && work && merged);
  for (const one of [lower, upper, work, merged]) await mkdir(one);
  const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  await runProcess('mount', ['-t', 'overlay', 'overlay', '-o', layers, merged]);
  try {
    await assert.rejects(startAndClose(join(merged, 'engine')), {
      code: 'prerequisite-missing',
      message: /no overlay can be mounted in .* \(its file system is overlay\)/,
    });
    await assertNothingLeft(join(merged, 'engine'), []);
  } finally {
    await unmountBelow([merged]);
  }
});
