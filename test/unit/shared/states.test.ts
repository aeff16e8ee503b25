import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PipelineError } from '../../../shared/errors.ts';
import {
  BUILD_STATES,
  type BuildState,
  buildStateOf,
  checkBuildTransition,
  checkJobTransition,
  isTerminalBuild,
  isTerminalJob,
  JOB_STATES,
  type JobState,
} from '../../../shared/states.ts';

const JOB_ENDS: readonly JobState[] = ['failed', 'skipped', 'cancelled', 'superseded', 'expired'];
/** The table of the design, written down a second time. */
const JOB_TABLE: Readonly<Partial<Record<JobState, readonly JobState[]>>> = {
  pending: ['queued', 'blocked', ...JOB_ENDS],
  blocked: ['queued', 'pending', ...JOB_ENDS],
  queued: ['running', 'pending', 'blocked', ...JOB_ENDS],
  running: ['running', 'success', 'queued', 'pending', 'blocked', ...JOB_ENDS],
};
const BUILD_TABLE: Readonly<Partial<Record<BuildState, readonly BuildState[]>>> = {
  pending: ['running', 'failed', 'rejected', 'cancelled', 'superseded', 'expired'],
  running: ['success', 'failed', 'partial', 'cancelled', 'superseded', 'expired'],
};

function isForbidden(error: unknown): boolean {
  return error instanceof PipelineError && error.code === 'state-transition' && error.kind === 'bug';
}

test('a job changes its state as the table says and in no other way', () => {
  for (const from of JOB_STATES) {
    for (const to of JOB_STATES) {
      if (JOB_TABLE[from]?.includes(to) === true) checkJobTransition(from, to);
      else assert.throws(() => checkJobTransition(from, to), isForbidden, `${from} → ${to}`);
    }
  }
});

test('a build changes its state as the table says and in no other way', () => {
  for (const from of BUILD_STATES) {
    for (const to of BUILD_STATES) {
      if (BUILD_TABLE[from]?.includes(to) === true) checkBuildTransition(from, to);
      else assert.throws(() => checkBuildTransition(from, to), isForbidden, `${from} → ${to}`);
    }
  }
});

test('a forbidden change is named in the error', () => {
  assert.throws(() => checkJobTransition('success', 'running'), /a job cannot go from success to running/);
  assert.throws(
    () => checkBuildTransition('rejected', 'running'),
    /a build cannot go from rejected to running/,
  );
});

test('a job is terminal in six states, a build in seven', () => {
  assert.deepEqual(JOB_STATES.filter(isTerminalJob), [
    'success',
    'failed',
    'skipped',
    'cancelled',
    'superseded',
    'expired',
  ]);
  assert.deepEqual(
    BUILD_STATES.filter((state) => !isTerminalBuild(state)),
    ['pending', 'running'],
  );
});

test('from every state that is not terminal some end can be reached', () => {
  for (const from of JOB_STATES.filter((state) => !isTerminalJob(state))) {
    assert.ok(JOB_TABLE[from]?.some(isTerminalJob), from);
  }
});

const counts = fc.dictionary(fc.constantFrom(...JOB_STATES), fc.integer({ min: 0, max: 3 }), { maxKeys: 10 });

test('a build is open exactly as long as one of its jobs is', () => {
  fc.assert(
    fc.property(counts, (jobs) => {
      const open = JOB_STATES.some((state) => !isTerminalJob(state) && (jobs[state] ?? 0) > 0);
      assert.equal(buildStateOf(jobs) === undefined, open);
    }),
  );
});

test('a build whose jobs have ended ends as a running build may', () => {
  fc.assert(
    fc.property(counts, (jobs) => {
      const state = buildStateOf(jobs);
      if (state !== undefined) checkBuildTransition('running', state);
    }),
  );
});

test('a build succeeds only where nothing went wrong, and is partial only where something succeeded', () => {
  const bad: readonly JobState[] = ['failed', 'cancelled', 'superseded', 'expired'];
  fc.assert(
    fc.property(counts, (jobs) => {
      const wrong = bad.some((state) => (jobs[state] ?? 0) > 0);
      const good = (jobs.success ?? 0) > 0;
      const state = buildStateOf(jobs);
      if (state === undefined) return;
      assert.equal(state === 'success', !wrong);
      assert.equal(state === 'partial', wrong && good);
    }),
  );
});

test('how many jobs are in a state does not matter, only whether there are any', () => {
  fc.assert(
    fc.property(counts, (jobs) => {
      const once = Object.fromEntries(
        Object.entries(jobs).map(([state, count]) => [state, Math.min(count, 1)]),
      );
      assert.equal(buildStateOf(jobs), buildStateOf(once));
    }),
  );
});

const ENDS: readonly (readonly [Partial<Record<JobState, number>>, BuildState | undefined])[] = [
  [{ success: 3 }, 'success'],
  [{ success: 2, failed: 1 }, 'partial'],
  [{ success: 2, failed: 1, skipped: 4 }, 'partial'],
  [{ failed: 1, skipped: 4 }, 'failed'],
  [{ cancelled: 2 }, 'cancelled'],
  [{ cancelled: 1, skipped: 1 }, 'cancelled'],
  [{ superseded: 1 }, 'superseded'],
  [{ expired: 2 }, 'expired'],
  [{ cancelled: 1, expired: 1 }, 'failed'],
  [{ failed: 1, cancelled: 1 }, 'failed'],
  [{ success: 1, cancelled: 1 }, 'partial'],
  [{ success: 9, pending: 1 }, undefined],
  [{ failed: 1, running: 1 }, undefined],
];

for (const [jobs, expected] of ENDS) {
  test(`a build with the jobs ${JSON.stringify(jobs)} is ${expected ?? 'not done'}`, () => {
    assert.equal(buildStateOf(jobs), expected);
  });
}
