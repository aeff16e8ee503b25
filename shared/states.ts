/** The states of builds and package jobs, and every change between them that is allowed. Anything else is a bug. */
import { PipelineError } from './errors.ts';

export const JOB_STATES = [
  'pending',
  'blocked',
  'queued',
  'running',
  'success',
  'failed',
  'skipped',
  'cancelled',
  'superseded',
  'expired',
] as const;

export type JobState = (typeof JOB_STATES)[number];

export const BUILD_STATES = [
  'pending',
  'running',
  'success',
  'failed',
  'partial',
  'rejected',
  'cancelled',
  'superseded',
  'expired',
] as const;

export type BuildState = (typeof BUILD_STATES)[number];

const ENDED_EARLY = ['failed', 'skipped', 'cancelled', 'superseded', 'expired'] as const;

const JOB_TRANSITIONS: Readonly<Record<JobState, readonly JobState[]>> = {
  // Waits for dependencies or uploads, then is queued.
  pending: ['queued', 'blocked', ...ENDED_EARLY],
  // What was missing has appeared: queued.
  blocked: ['queued', 'pending', ...ENDED_EARLY],
  // Claimed by a runner; planned again when uploads change its inputs.
  queued: ['running', 'pending', 'blocked', ...ENDED_EARLY],
  // `running` again: another runner took over an expired lease. `queued`: released, or retried after an
  // infrastructure failure. `pending`: its uploads were still arriving.
  running: ['running', 'success', 'queued', 'pending', 'blocked', ...ENDED_EARLY],
  success: [],
  failed: [],
  skipped: [],
  cancelled: [],
  superseded: [],
  expired: [],
};

const BUILD_TRANSITIONS: Readonly<Record<BuildState, readonly BuildState[]>> = {
  pending: ['running', 'failed', 'rejected', 'cancelled', 'superseded', 'expired'],
  running: ['success', 'failed', 'partial', 'cancelled', 'superseded', 'expired'],
  success: [],
  failed: [],
  partial: [],
  rejected: [],
  cancelled: [],
  superseded: [],
  expired: [],
};

export function isTerminalJob(state: JobState): boolean {
  return JOB_TRANSITIONS[state].length === 0;
}

export function isTerminalBuild(state: BuildState): boolean {
  return BUILD_TRANSITIONS[state].length === 0;
}

/** @throws PipelineError `state-transition` (`bug`) where the table does not allow the change. */
export function checkJobTransition(from: JobState, to: JobState): void {
  if (!JOB_TRANSITIONS[from].includes(to)) throw forbidden('job', from, to);
}

/** @throws PipelineError `state-transition` (`bug`) where the table does not allow the change. */
export function checkBuildTransition(from: BuildState, to: BuildState): void {
  if (!BUILD_TRANSITIONS[from].includes(to)) throw forbidden('build', from, to);
}

/** State of a build whose jobs stand as counted: undefined while any of them can still change. */
export function buildStateOf(counts: Readonly<Partial<Record<JobState, number>>>): BuildState | undefined {
  const present = JOB_STATES.filter((state) => (counts[state] ?? 0) > 0);
  if (present.some((state) => !isTerminalJob(state))) return undefined;
  const good = present.includes('success');
  const bad = present.filter((state) => state !== 'success' && state !== 'skipped');
  if (bad.length === 0) return 'success';
  if (good) return 'partial';
  const [only, ...others] = bad;
  return others.length === 0 && (only === 'cancelled' || only === 'superseded' || only === 'expired')
    ? only
    : 'failed';
}

function forbidden(what: string, from: string, to: string): PipelineError {
  return new PipelineError({
    code: 'state-transition',
    kind: 'bug',
    message: `a ${what} cannot go from ${from} to ${to}`,
  });
}
