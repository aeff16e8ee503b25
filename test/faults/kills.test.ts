import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message, Subscription } from '@google-cloud/pubsub';
import { BUILDS_BUCKET } from '../../deploy/local/local-cloud.ts';
import { mountsBelow } from '../../deploy/local/parts/mounts.ts';
import { loadPublicKey } from '../../shared/apk/keys.ts';
import { readIndexArchive } from '../../shared/apk/package-index.ts';
import type { JobRecord } from '../../shared/firestore/job-record.ts';
import type { BuildId } from '../../shared/identity.ts';
import { type BuildEvent, buildEvent } from '../../shared/messages.ts';
import { EVENTS_TOPIC } from '../../shared/pubsub/topics.ts';
import { listObjects, readObject } from '../../shared/storage/objects.ts';
import {
  SHORT_LEASES,
  skipReason,
  sleepingPackage,
  startTestCloud,
  type TestCloud,
} from '../cloud/test-cloud.ts';
import { type StallingProxy, startStallingProxy } from './stalling-proxy.ts';

/** As many builds as the local backend runs at once. */
const AT_ONCE = 4;
const KILLED = 20;

describe('processes killed at any moment', { skip: skipReason, timeout: 1_200_000 }, () => {
  let t: TestCloud;
  let proxy: StallingProxy;
  let subscription: Subscription;
  const events: BuildEvent[] = [];

  before(async () => {
    proxy = await startStallingProxy(() => t.cloud.ports.pubsub);
    t = await startTestCloud({
      name: 'kills',
      runnerEnvironment: SHORT_LEASES,
      functionEnvironment: { PUBSUB_EMULATOR_HOST: proxy.address },
    });
    [subscription] = await t.pubsub.topic(EVENTS_TOPIC).createSubscription('test-events');
    subscription.on('message', (message: Message) => {
      events.push(buildEvent.parse(JSON.parse(message.data.toString())));
      message.ack();
    });
  });
  after(async () => {
    await subscription?.close();
    const { folder } = t.cloud;
    await t?.[Symbol.asyncDispose]();
    await proxy?.[Symbol.asyncDispose]();
    assert.deepEqual(await mountsBelow([folder]), [], 'nothing stays mounted');
    assert.deepEqual(await processesIn(folder), [], 'no process stays');
  });

  const kill = (part: string, signal: NodeJS.Signals = 'SIGKILL'): void => {
    const [pid] = t.cloud.part(part).pids();
    assert.ok(pid !== undefined, `${part} runs`);
    process.kill(pid, signal);
  };

  const untilRunning = (build: BuildId): Promise<unknown> =>
    t.until(
      build,
      (_, all) => all.length > 0 && all.every((job) => job.state === 'running' && job.log !== null),
    );

  /** What must hold for a finished build, however often processes died. */
  const checkFinished = async (build: BuildId): Promise<JobRecord> => {
    const record = await t.ended(build, 120_000);
    assert.equal(record.state, 'success', JSON.stringify(record.error));
    const settled = await untilPublished(build);
    const [job, ...others] = settled;
    assert.ok(job !== undefined && others.length === 0);
    const bucket = t.storage.bucket(BUILDS_BUCKET);
    const packages = (await listObjects(bucket, `builds/${build}/`)).filter((one) =>
      one.name.endsWith('.apk'),
    );
    assert.deepEqual(
      packages.map((one) => one.name),
      job.artifacts.map((one) => one.object),
      'one set of artifacts',
    );
    const keyPem = await readObject(bucket, 'keys/local.rsa.pub', { maxBytes: 10_000 });
    const index = await readObject(bucket, 'repo/x86_64/APKINDEX.tar.gz', { maxBytes: 10_000_000 });
    assert.ok(keyPem !== undefined && index !== undefined);
    const keys = new Map([['local.rsa.pub', loadPublicKey(keyPem, 'local.rsa.pub')]]);
    const { entries } = await readIndexArchive(index, keys);
    assert.equal(entries.filter((entry) => entry.name === job.package).length, 1, 'one index entry');
    return job;
  };

  /** Waits for the repository and for every event of the build; gives its jobs. */
  const untilPublished = async (build: BuildId): Promise<JobRecord[]> => {
    await t.until(
      build,
      (record, all) =>
        !record.eventsWaiting && all.every((job) => job.repository === 'published' && !job.eventsWaiting),
      60_000,
    );
    const all = await t.jobs(build);
    const expected = all.reduce((sum, job) => sum + job.eventSeq, 0);
    const seen = (): Set<number | string> =>
      new Set(
        events.filter((event) => event.buildId === build && event.kind === 'job').map((event) => event.id),
      );
    for (let tries = 0; tries < 100 && seen().size < expected; tries += 1) await sleep(100);
    assert.equal(seen().size, expected, 'every event was published');
    return all;
  };

  test(`${KILLED} builds, the runner killed with -9 once in the middle of each: all are finished by the next`, async () => {
    // Not every build of a round need be running at its kill; those that are count.
    let killed = 0;
    for (let round = 0; killed < KILLED; round += 1) {
      assert.ok(round < 3 * KILLED, `only ${killed} builds were running when their runner was killed`);
      const names = Array.from({ length: AT_ONCE }, (_, index) => `killed-${round}-${index}`);
      const ids = await Promise.all(names.map((name) => t.upload(`${name}.yaml`, sleepingPackage(name, 10))));
      await Promise.race(ids.map(untilRunning));
      await sleep(1500 + Math.random() * 4000);
      kill('runner');
      for (const job of await Promise.all(ids.map(checkFinished))) {
        assert.deepEqual([job.attempts, job.epoch], [0, job.crashes + 1], job.package);
        if (job.crashes === 1) killed += 1;
      }
    }
  });

  test('a build whose runner is killed three times is finished by the fourth', async () => {
    const build = await t.upload('thrice-killed.yaml', sleepingPackage('thrice-killed', 10));
    for (let epoch = 1; epoch <= 3; epoch += 1) {
      await t.until(
        build,
        (_, all) => all.some((job) => job.state === 'running' && job.epoch === epoch),
        60_000,
      );
      await sleep(1500);
      kill('runner');
    }
    const job = await checkFinished(build);
    assert.deepEqual([job.crashes, job.epoch], [3, 4]);
  });

  test('the function killed between record and message, five times: each upload is built once', async () => {
    for (let round = 0; round < 5; round += 1) {
      proxy.stall();
      const build = await t.upload(`unsent-${round}.yaml`, sleepingPackage(`unsent-${round}`, 0.5));
      await t.until(build, (record) => record.state === 'pending');
      await sleep(200);
      assert.equal((await t.build(build))?.state, 'pending', 'the message has not gone out');
      kill('function');
      proxy.resume();
      const job = await checkFinished(build);
      assert.deepEqual([job.crashes, job.attempts, job.epoch], [0, 0, 1]);
    }
  });

  test("BuildKit's daemon killed in the middle of a build, five times: built by the next, nothing left behind", async () => {
    for (let round = 0; round < 5; round += 1) {
      const name = `lost-daemon-${round}`;
      const build = await t.upload(`${name}.yaml`, sleepingPackage(name, 10));
      await untilRunning(build);
      await sleep(2000 + Math.random() * 3000);
      kill('buildkit');
      const job = await checkFinished(build);
      assert.equal(job.crashes, 0);
      assert.ok(job.attempts >= 1 && job.attempts <= 2, `attempts ${job.attempts}`);
    }
  });

  test('SIGTERM during a build that is too long for the grace time gives it to the next runner', async () => {
    const build = await t.upload('given-back.yaml', sleepingPackage('given-back', 12));
    await untilRunning(build);
    await sleep(1000);
    kill('runner', 'SIGTERM');
    const job = await checkFinished(build);
    assert.deepEqual([job.crashes, job.attempts, job.epoch], [0, 0, 2]);
  });

  test('SIGTERM during a build that fits into the grace time lets it finish', async () => {
    const build = await t.upload('fits.yaml', sleepingPackage('fits', 3));
    await untilRunning(build);
    kill('runner', 'SIGTERM');
    const job = await checkFinished(build);
    assert.deepEqual([job.crashes, job.attempts, job.epoch], [0, 0, 1]);
  });
});

/** Commands of living processes that have the folder in their command line. */
async function processesIn(folder: string): Promise<string[]> {
  const { readFile } = await import('node:fs/promises');
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const line = await readFile(join('/proc', pid, 'cmdline'), 'latin1').catch(() => '');
    if (line.includes(folder)) found.push(line.replaceAll('\0', ' '));
  }
  return found;
}
