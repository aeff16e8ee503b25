/** The locks that a request brings, each for one of its jobs. */
import type { BuildPlan } from '../../shared/build-file/plan.ts';
import { asPipelineError, PipelineError } from '../../shared/errors.ts';
import { type LockDocument, parseLockDocument, requireLockFor } from '../environment/lock-document.ts';
import type { GatheredInputs } from './inputs.ts';

/** By architecture. */
export type LocksOfPackage = Readonly<Record<string, LockDocument>>;

/**
 * The locks by package.
 *
 * @param locks as the request has them, by `package@arch`.
 * @throws PipelineError `request-invalid` (`user`) with the path of each value that is wrong.
 */
export function readLocks(
  locks: Readonly<Record<string, unknown>> | undefined,
): ReadonlyMap<string, LocksOfPackage> {
  const read = new Map<string, LocksOfPackage>();
  for (const [job, value] of Object.entries(locks ?? {})) {
    const [name = '', arch = ''] = job.split('@');
    read.set(name, { ...read.get(name), [arch]: parseLockDocument(value, placeOf(name, arch)) });
  }
  return read;
}

/** @throws PipelineError `request-invalid` (`user`) for a lock of a package that the request does not have. */
export function requirePackages(locks: ReadonlyMap<string, LocksOfPackage>, names: readonly string[]): void {
  for (const [name, ofPackage] of locks) {
    if (names.includes(name)) continue;
    throw withoutJob(name, Object.keys(ofPackage)[0] ?? '');
  }
}

/**
 * Sees that each lock is for a job of the build and for what that job asks for.
 *
 * @param plans what the build is made of, by architecture.
 * @throws PipelineError `request-invalid` (`user`).
 */
export function requireLocksFit(
  gathered: readonly GatheredInputs[],
  plans: ReadonlyMap<string, ReadonlyMap<BuildPlan, GatheredInputs>>,
): void {
  for (const one of gathered) {
    for (const [arch, lock] of Object.entries(one.document.locks ?? {})) {
      const [plan] = [...(plans.get(arch) ?? [])].find(([, from]) => from === one) ?? [];
      if (plan === undefined) throw withoutJob(one.buildFile?.name ?? '', arch);
      try {
        requireLockFor(lock, { arch, world: plan.environment.packages });
      } catch (thrown) {
        const cause = asPipelineError(thrown);
        throw invalid(`${placeOf(plan.name, arch)}: ${cause.message}`, cause.hint);
      }
    }
  }
}

function withoutJob(name: string, arch: string): PipelineError {
  return invalid(
    `${placeOf(name, arch)}: the build has no such job`,
    'name the job of each lock as <package>@<arch>, the package being that of the build file',
  );
}

function placeOf(name: string, arch: string): string {
  return `locks.${name}@${arch}`;
}

function invalid(message: string, hint: string | undefined): PipelineError {
  return new PipelineError({ code: 'request-invalid', kind: 'user', message, hint });
}
