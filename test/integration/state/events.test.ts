/** Events of builds and jobs, from the records to a real subscription. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEventPublisher } from '../../../runner/events/event-publisher.ts';
import { claimJob } from '../../../runner/jobs/lease.ts';
import { queueJob } from '../../../runner/jobs/queue-job.ts';
import { afterJobEnded } from '../../../runner/worker/release.ts';
import { PipelineError } from '../../../shared/errors.ts';
import { BUILD, buildRef } from '../../../shared/firestore/build-record.ts';
import { readDocument } from '../../../shared/firestore/documents.ts';
import { jobRef } from '../../../shared/firestore/job-record.ts';
import type { BuildEvent } from '../../../shared/messages.ts';
import { silentLog } from './emulators-client.ts';
import { ARCH, hearEvents, startEmulators } from './emulators-fixture.ts';
import { jobIn, keyOf, plannedBuild, readBuild, readJob, setState } from './job-fixture.ts';

const LEASE_MS = 60_000;
const emulators = await startEmulators();

test('every change of state is announced exactly once, in the order of its number', async () => {
  const project = await emulators.openProject();
  const { firestore, topics, events } = project;
  const heard = await hearEvents(project);
  const build = await plannedBuild(firestore, { lib: [], app: ['lib'], bad: [], lost: ['bad'] });
  const stored = await readDocument(BUILD, buildRef(firestore, build));
  assert.ok(stored);
  events.build(stored);
  const run = async (name: string, state: 'success' | 'failed'): Promise<void> => {
    const ref = jobRef(firestore, keyOf(build, name));
    events.job(await queueJob(firestore, topics, keyOf(build, name)));
    const claim = await claimJob(ref, 'me', LEASE_MS);
    assert.ok(claim.claimed);
    events.job(claim.stored);
    await afterJobEnded(project, await setState(ref, state));
  };
  await Promise.all([run('lib', 'success'), run('bad', 'failed')]);
  await run('app', 'success');
  await events.idle();

  const changes = 4 + 4 + 4 + 2 + 3;
  await heard.until((all) => all.length >= changes);
  const byRecord = Map.groupBy(heard.messages, (event) => `${event.kind} ${event.package ?? ''}`);
  const states = (record: string): string[] =>
    (byRecord.get(record) ?? [])
      .toSorted((a, b) => a.seq - b.seq)
      .map((event) => `${event.seq} ${event.state}`);
  assert.deepEqual(states('job lib'), ['1 pending', '2 queued', '3 running', '4 success']);
  assert.deepEqual(states('job app'), ['1 pending', '2 queued', '3 running', '4 success']);
  assert.deepEqual(states('job bad'), ['1 pending', '2 queued', '3 running', '4 failed']);
  assert.deepEqual(states('job lost'), ['1 pending', '2 skipped']);
  assert.deepEqual(states('build '), ['1 pending', '2 running', '3 partial']);
  assert.equal(new Set(heard.messages.map((event) => event.id)).size, changes);
  for (const name of ['lib', 'app', 'bad', 'lost']) {
    const { data } = await readJob(jobRef(firestore, keyOf(build, name)));
    assert.deepEqual([data.eventsPublished, data.eventsWaiting, data.outbox], [data.eventSeq, false, {}]);
  }
  assert.equal((await readBuild(firestore, build)).eventsWaiting, false);
});

test('events that a dead process left are published with the same ids by whoever comes next', async () => {
  const project = await emulators.openProject();
  const heard = await hearEvents(project);
  const ref = await jobIn(project.firestore, 'queued');
  const left = await readJob(ref);
  // The one that dies publishes, and dies before it has noted that.
  await project.topics.announce(
    Object.entries(left.data.outbox).map(
      ([key, event]): BuildEvent => ({
        id: `${ref.parent.parent?.id}/hello@${ARCH}:${event.epoch}:${key.slice(1)}`,
        kind: 'job',
        buildId: ref.parent.parent?.id ?? '',
        state: event.state,
        seq: Number(key.slice(1)),
        time: event.at.toDate().toISOString(),
      }),
    ),
  );
  project.events.job(left);
  await project.events.idle();
  await heard.until((all) => all.length >= 4);
  const ids = heard.messages.map((event) => event.id);
  assert.equal(new Set(ids).size, 2, 'a listener that remembers ids sees each event once');
  assert.equal((await readJob(ref)).data.eventsWaiting, false);
});

test('events that could not be published stay in the record, and go out at the next occasion', async () => {
  const project = await emulators.openProject();
  const heard = await hearEvents(project);
  let broken = true;
  const publisher = createEventPublisher(
    {
      ...project.topics,
      async announce(events) {
        if (broken) throw new PipelineError({ code: 'pubsub-failed', kind: 'infra', message: 'no network' });
        await project.topics.announce(events);
      },
    },
    silentLog,
  );
  const ref = await jobIn(project.firestore, 'queued');
  publisher.job(await readJob(ref));
  await publisher.idle();
  assert.equal((await readJob(ref)).data.eventsWaiting, true);
  broken = false;
  const claim = await claimJob(ref, 'me', LEASE_MS);
  assert.ok(claim.claimed);
  publisher.job(claim.stored);
  await publisher.idle();
  await heard.until((all) => all.length >= 3);
  assert.deepEqual(
    heard.messages.map((event) => event.seq).toSorted((a, b) => a - b),
    [1, 2, 3],
  );
});

test('an event that is added while others are published is neither lost nor taken out', async () => {
  const project = await emulators.openProject();
  const heard = await hearEvents(project);
  const ref = await jobIn(project.firestore, 'queued');
  const before = await readJob(ref);
  const claim = await claimJob(ref, 'me', LEASE_MS);
  assert.ok(claim.claimed);
  // Knows nothing of the third event, which waits already.
  project.events.job(before);
  await project.events.idle();
  const between = await readJob(ref);
  assert.deepEqual([between.data.eventsPublished, Object.keys(between.data.outbox)], [2, ['e3']]);
  assert.equal(between.data.eventsWaiting, true);
  project.events.job(between);
  await project.events.idle();
  await heard.until((all) => all.length >= 3);
  assert.equal(heard.messages.length, 3);
});
