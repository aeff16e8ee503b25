/** What a dead process left undone, as real documents, and the reaper that takes it up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DocumentReference } from '@google-cloud/firestore';
import { createBackendPool } from '../../../runner/backends/backend-pool.ts';
import { claimJob } from '../../../runner/jobs/lease.ts';
import { createMetrics } from '../../../runner/metrics.ts';
import { type Reaper, startReaper } from '../../../runner/reaper.ts';
import { BUILD, buildRef, buildTransition } from '../../../shared/firestore/build-record.ts';
import {
  changeDocument,
  createDocument,
  NOW,
  type Patch,
  Timestamp,
} from '../../../shared/firestore/documents.ts';
import { JOB, jobRef } from '../../../shared/firestore/job-record.ts';
import { type BuildId, jobId } from '../../../shared/identity.ts';
import { type BuildEvent, parseBuildRequest } from '../../../shared/messages.ts';
import { REQUESTS_TOPIC } from '../../../shared/pubsub/topics.ts';
import type { JobState } from '../../../shared/states.ts';
import { silentLog } from './emulators-client.ts';
import { ARCH, hear, hearDoorbells, hearEvents, type Project, startEmulators } from './emulators-fixture.ts';
import { jobFields, keyOf, pendingBuild, plannedBuild, readBuild, readJob, setState } from './job-fixture.ts';

const LEASE_MS = 60_000;
const INTERVAL_MS = 60_000;
/** Older than every limit of the reaper. */
const LONG_AGO = Timestamp.fromMillis(Date.now() - 3600_000);

const emulators = await startEmulators();
const usual = await emulators.openProject();
const doorbells = await hearDoorbells(usual);
const requests = await hear(usual, REQUESTS_TOPIC, parseBuildRequest);
const events = await hearEvents(usual);

/** A reaper that has swept once, and sweeps again only when told. */
async function reaper(project: Project): Promise<Reaper> {
  const started = startReaper({
    ...project,
    repository: { add: () => undefined, idle: async () => undefined },
    pool: await createBackendPool([]),
    metrics: createMetrics(),
    log: silentLog,
    leaseMs: LEASE_MS,
    intervalMs: INTERVAL_MS,
  });
  await started.sweep();
  return started;
}

async function sweepOnce(project: Project = usual): Promise<void> {
  await using once = await reaper(project);
  await once.sweep();
  await project.events.idle();
}

function refOf(build: BuildId, name: string): DocumentReference {
  return jobRef(usual.firestore, keyOf(build, name));
}

async function write(ref: DocumentReference, fields: Patch): Promise<void> {
  await changeDocument({ type: JOB, ref, decide: () => fields });
}

/** A job that a runner has claimed and finished. */
async function runTo(ref: DocumentReference, state: JobState): Promise<void> {
  await setState(ref, 'queued', { rungAt: NOW });
  assert.ok((await claimJob(ref, 'dead', LEASE_MS)).claimed);
  await setState(ref, state);
}

function rings(build: BuildId): number {
  return doorbells.messages.filter((one) => one.buildId === build).length;
}

async function heardRing(build: BuildId): Promise<void> {
  await doorbells.until((all) => all.some((one) => one.buildId === build));
}

test('a job whose runner died is rung for, once until somebody had time to come', async () => {
  const build = await plannedBuild(usual.firestore, { hello: [] });
  const ref = refOf(build, 'hello');
  await setState(ref, 'queued', { rungAt: LONG_AGO });
  assert.ok((await claimJob(ref, 'dead', LEASE_MS)).claimed);
  await sweepOnce();
  assert.equal(rings(build), 0, 'its lease holds');
  await write(ref, { 'lease.renewedAt': LONG_AGO });
  await sweepOnce();
  await heardRing(build);
  await sweepOnce();
  assert.equal(rings(build), 1);
  const next = await claimJob(ref, 'next', LEASE_MS);
  assert.ok(next.claimed && next.stored.data.epoch === 2);
});

test('a queued job whose message was lost is rung for; one that was just rung for is not', async () => {
  const lost = await plannedBuild(usual.firestore, { hello: [] });
  await setState(refOf(lost, 'hello'), 'queued', { rungAt: LONG_AGO });
  const recent = await plannedBuild(usual.firestore, { hello: [] });
  await setState(refOf(recent, 'hello'), 'queued', { rungAt: NOW });
  const later = await plannedBuild(usual.firestore, { hello: [] });
  const notBefore = Timestamp.fromMillis(Date.now() + 3600_000);
  await setState(refOf(later, 'hello'), 'queued', { rungAt: LONG_AGO, notBefore });
  await sweepOnce();
  await heardRing(lost);
  assert.deepEqual([rings(lost), rings(recent), rings(later)], [1, 0, 0]);
});

test('a job that waits for nothing any more is queued and rung for', async () => {
  const build = await plannedBuild(usual.firestore, { hello: [] });
  await sweepOnce();
  assert.equal((await readJob(refOf(build, 'hello'))).data.state, 'queued');
  await heardRing(build);
});

test('the dependents of a job whose runner died at its end are released', async () => {
  const build = await plannedBuild(usual.firestore, { lib: [], app: ['lib'], tool: ['app', 'lib'] });
  await runTo(refOf(build, 'lib'), 'success');
  await sweepOnce();
  const app = await readJob(refOf(build, 'app'));
  assert.deepEqual([app.data.state, app.data.waitsFor], ['queued', []]);
  const tool = await readJob(refOf(build, 'tool'));
  assert.deepEqual([tool.data.state, tool.data.waitsFor], ['pending', [jobId('app', ARCH)]]);
  await heardRing(build);
});

test('the dependents of a job that failed with its runner are skipped, and the build ends', async () => {
  const build = await plannedBuild(usual.firestore, { lib: [], app: ['lib'], tool: ['app'], other: [] });
  await runTo(refOf(build, 'other'), 'success');
  await runTo(refOf(build, 'lib'), 'failed');
  await sweepOnce();
  for (const [name, reason] of [
    ['app', 'lib ended as failed'],
    ['tool', 'app ended as skipped'],
  ] as const) {
    const { data } = await readJob(refOf(build, name));
    assert.deepEqual([data.state, data.reason], ['skipped', reason]);
  }
  const record = await readBuild(usual.firestore, build);
  assert.deepEqual([record.state, record.counts], ['partial', { success: 1, failed: 1, skipped: 2 }]);
});

test('a job that waited for uploads in vain fails with its error; one whose time is not over waits', async () => {
  const error = { code: 'build-step-failed', kind: 'user', message: 'no such file' } as const;
  const over = await plannedBuild(usual.firestore, { hello: [] });
  await write(refOf(over, 'hello'), { heldUntilMs: LONG_AGO.toMillis(), error });
  const waits = await plannedBuild(usual.firestore, { hello: [] });
  await write(refOf(waits, 'hello'), { heldUntilMs: Date.now() + 3600_000, error });
  await sweepOnce();
  const ended = await readJob(refOf(over, 'hello'));
  assert.deepEqual([ended.data.state, ended.data.error, ended.data.heldUntilMs], ['failed', error, null]);
  const build = await readBuild(usual.firestore, over);
  assert.deepEqual([build.state, build.error], ['failed', error]);
  assert.equal((await readJob(refOf(waits, 'hello'))).data.state, 'pending');
});

test('events whose process died before their publication are published in order, with their ids', async () => {
  const build = await plannedBuild(usual.firestore, { hello: [] });
  const ref = refOf(build, 'hello');
  await runTo(ref, 'success');
  const { data } = await readJob(ref);
  assert.deepEqual([data.eventSeq, data.eventsPublished], [4, 0]);
  await sweepOnce();
  assert.equal((await readJob(ref)).data.eventsPublished, 0, 'their process may still be at it');
  const past = Object.fromEntries(Object.keys(data.outbox).map((key) => [`outbox.${key}.at`, LONG_AGO]));
  await write(ref, past);
  await sweepOnce();
  const of = (all: readonly BuildEvent[]): BuildEvent[] =>
    all.filter((event) => event.kind === 'job' && event.buildId === build);
  await events.until((all) => of(all).length >= 4);
  assert.deepEqual(
    of(events.messages)
      .toSorted((a, b) => a.seq - b.seq)
      .map((event) => [event.seq, event.state, event.id]),
    [
      [1, 'pending', `${build}/hello@${ARCH}:0:1`],
      [2, 'queued', `${build}/hello@${ARCH}:0:2`],
      [3, 'running', `${build}/hello@${ARCH}:1:3`],
      [4, 'success', `${build}/hello@${ARCH}:1:4`],
    ],
  );
  const after = await readJob(ref);
  assert.deepEqual([after.data.eventsPublished, after.data.eventsWaiting, after.data.outbox], [4, false, {}]);
});

test('a build that nobody planned is asked for again', async () => {
  const forgotten = await pendingBuild(usual.firestore);
  await changeDocument({
    type: BUILD,
    ref: buildRef(usual.firestore, forgotten),
    decide: () => ({ createdAt: LONG_AGO }),
  });
  const recent = await pendingBuild(usual.firestore);
  await sweepOnce();
  const asked = (build: BuildId): boolean =>
    requests.messages.some((one) => one.type === 'plan' && one.message.buildId === build);
  await requests.until(() => asked(forgotten));
  assert.equal(asked(recent), false);
});

test('a build whose last job ended with its runner is ended', async () => {
  const build = await plannedBuild(usual.firestore, { hello: [] });
  await runTo(refOf(build, 'hello'), 'success');
  await sweepOnce();
  const record = await readBuild(usual.firestore, build);
  assert.deepEqual([record.state, record.counts, record.error], ['success', { success: 1 }, null]);
  assert.ok(record.finishedAt);
});

test('the jobs of a build whose planning is not done are left alone', async () => {
  const build = await pendingBuild(usual.firestore);
  await createDocument(refOf(build, 'hello'), jobFields('hello'));
  await sweepOnce();
  assert.equal((await readJob(refOf(build, 'hello'))).data.state, 'pending');
  assert.equal(rings(build), 0);
});

test('the jobs that planning left behind in a build that was rejected or replaced end with it', async () => {
  for (const [end, state] of [
    ['rejected', 'skipped'],
    ['superseded', 'superseded'],
    ['cancelled', 'cancelled'],
  ] as const) {
    const build = await pendingBuild(usual.firestore);
    await createDocument(refOf(build, 'hello'), jobFields('hello'));
    await createDocument(refOf(build, 'app'), jobFields('app', ['hello']));
    await changeDocument({
      type: BUILD,
      ref: buildRef(usual.firestore, build),
      decide: ({ data }) => buildTransition(data, { state: end }),
    });
    await sweepOnce();
    for (const name of ['hello', 'app']) {
      assert.equal((await readJob(refOf(build, name))).data.state, state, `${name} of a ${end} build`);
    }
    assert.equal(rings(build), 0);
  }
});

test('a forgotten job is found behind any number of jobs that rightly wait', async () => {
  const crowded = await emulators.openProject();
  const build = await plannedBuild(crowded.firestore, { base: [], zlib: [] });
  await setState(jobRef(crowded.firestore, keyOf(build, 'base')), 'queued', { rungAt: NOW });
  const writer = crowded.firestore.bulkWriter();
  const example = (await jobRef(crowded.firestore, keyOf(build, 'zlib')).get()).data() ?? {};
  for (let index = 0; index < 1100; index += 1) {
    const name = `middle-${String(index).padStart(4, '0')}`;
    const waitsFor = [jobId('base', ARCH)];
    const fields = {
      ...example,
      package: name,
      dependencies: waitsFor,
      waitsFor,
      eventsWaiting: false,
      outbox: {},
    };
    void writer.create(jobRef(crowded.firestore, keyOf(build, name)), fields);
  }
  await writer.close();
  await sweepOnce(crowded);
  assert.equal((await readJob(jobRef(crowded.firestore, keyOf(build, 'zlib')))).data.state, 'queued');
});

test('a record that cannot be read keeps no other from being repaired', async () => {
  const broken = await plannedBuild(usual.firestore, { 'a-first': [] });
  await refOf(broken, 'a-first').update({ crashes: 'many' });
  const build = await plannedBuild(usual.firestore, { hello: [] });
  await sweepOnce();
  assert.equal((await readJob(refOf(build, 'hello'))).data.state, 'queued');
  await refOf(broken, 'a-first').delete();
});

test('two reapers at once do no harm', async () => {
  const packages = { lib: [], app: ['lib'], doc: ['lib'], bad: [], lost: ['bad'] };
  const builds = await Promise.all(Array.from({ length: 4 }, () => plannedBuild(usual.firestore, packages)));
  for (const build of builds) {
    await runTo(refOf(build, 'lib'), 'success');
    await runTo(refOf(build, 'bad'), 'failed');
  }
  await Promise.all([sweepOnce(), sweepOnce(), sweepOnce()]);
  for (const build of builds) {
    for (const name of ['app', 'doc']) {
      const { data } = await readJob(refOf(build, name));
      assert.deepEqual([data.state, data.epoch, data.eventSeq], ['queued', 0, 2], name);
      await finish(refOf(build, name));
    }
    const lost = await readJob(refOf(build, 'lost'));
    assert.deepEqual([lost.data.state, lost.data.eventSeq], ['skipped', 2]);
  }
  await Promise.all([sweepOnce(), sweepOnce(), sweepOnce()]);
  for (const build of builds) {
    const record = await readBuild(usual.firestore, build);
    assert.deepEqual([record.state, record.eventSeq], ['partial', 3], 'the build ended once');
  }
});

async function finish(ref: DocumentReference): Promise<void> {
  assert.ok((await claimJob(ref, 'next', LEASE_MS)).claimed);
  await setState(ref, 'success');
}
