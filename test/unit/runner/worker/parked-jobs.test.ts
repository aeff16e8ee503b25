import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createParkedJobs } from '../../../../runner/worker/parked-jobs.ts';
import type { JobKey } from '../../../../shared/firestore/job-record.ts';
import { asBuildId, jobId } from '../../../../shared/identity.ts';
import { createLog } from '../../../../shared/log.ts';
import type { Topics } from '../../../../shared/pubsub/topics.ts';

function parking(): { parked: ReturnType<typeof createParkedJobs>; rung: string[] } {
  const rung: string[] = [];
  const nothing = async (): Promise<void> => undefined;
  const topics: Topics = {
    requestPlan: nothing,
    announce: nothing,
    bury: nothing,
    flush: nothing,
    ringJob: async (key) => void rung.push(key.job),
  };
  return { parked: createParkedJobs(topics, createLog('test', 'silent')), rung };
}

function key(name: string, arch: string): JobKey {
  return { build: asBuildId('bld-1'), job: jobId(name, arch) };
}

test('the job that has waited longest is rung for, each once', () => {
  const { parked, rung } = parking();
  for (const name of ['a', 'b', 'a']) parked.add(key(name, 'x86_64'), 'x86_64');
  assert.equal(parked.size, 2);
  parked.ringNext();
  assert.deepEqual([rung, parked.size], [['a@x86_64'], 1]);
  parked.ringNext();
  parked.ringNext();
  assert.deepEqual([rung, parked.size], [['a@x86_64', 'b@x86_64'], 0]);
});

test('a job of a rare architecture at the head does not keep the others waiting', () => {
  const { parked, rung } = parking();
  for (const name of ['a', 'b']) parked.add(key(name, 's390x'), 's390x');
  for (const name of ['c', 'd']) parked.add(key(name, 'x86_64'), 'x86_64');
  parked.ringNext();
  assert.deepEqual(rung, ['a@s390x', 'c@x86_64']);
});
