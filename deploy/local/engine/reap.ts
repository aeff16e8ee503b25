/**
 * Removes what a private Docker Engine left on the machine: a dockerd that is killed, or told to stop during a build,
 * leaves the build step's processes and mounts, and without a supervisor it lives on itself.
 */
import { rm, stat } from 'node:fs/promises';
import { PipelineError } from '../../../shared/errors.ts';
import { type MachineLock, tryLock } from '../parts/machine-lock.ts';
import { unmountBelow } from '../parts/mounts.ts';
import type { PartLog } from '../parts/part-log.ts';
import { endAll, findProcesses, killAll } from '../parts/processes.ts';
import { removeCgroup } from './cgroups.ts';
import { type EngineLayout, engineLayout } from './engine-layout.ts';

/** How long an engine that lost its supervisor may take to write down its state before it is killed. */
const ORPHAN_GRACE_MS = 5000;

export interface ReapOptions {
  /** Folder of the engine, as given to `startDockerEngine`. */
  readonly folder: string;
  readonly log: PartLog;
}

/**
 * Ends the engine of `folder` that nobody supervises any more and removes its processes, build steps, mounts, cgroups,
 * sockets and pid file. Image store and build cache stay. Does nothing where there is nothing.
 *
 * @throws PipelineError `process-failed` where the engine is supervised by a living process, or something cannot be
 *   removed; `prerequisite-missing` where there is something and we are not root.
 */
export async function reapDockerEngine(options: ReapOptions): Promise<void> {
  const layout = await engineLayout(options.folder);
  const lock = await lockEngine(layout);
  try {
    await reapLocked(layout, options.log);
  } finally {
    await lock.release();
  }
}

/**
 * Takes the engine of a folder for this process.
 *
 * @throws PipelineError `process-failed` where another supervisor has it.
 */
export async function lockEngine(layout: EngineLayout): Promise<MachineLock> {
  const lock = await tryLock(layout.cgroup);
  if (lock !== undefined) return lock;
  throw new PipelineError({
    code: 'process-failed',
    kind: 'infra',
    message: `the Docker Engine in ${layout.folder} is in use by another process`,
    hint: 'stop the other "make up" first',
  });
}

/** The reaping itself, for the holder of the engine's lock. */
export async function reapLocked(layout: EngineLayout, log: PartLog): Promise<void> {
  const left = await stat(layout.runtime).catch(() => undefined);
  if (left !== undefined && process.getuid?.() !== 0) {
    throw new PipelineError({
      code: 'prerequisite-missing',
      kind: 'infra',
      message: `a Docker Engine that ran as root left things in ${layout.runtime}`,
      hint: 'run the command again as root, to clean up',
    });
  }
  if (process.getuid?.() !== 0) return;
  const belonging = { marker: layout.marker, cgroup: layout.cgroup, folder: layout.folder };
  const found = await findProcesses(belonging);
  for (const name of ['dockerd', 'containerd']) {
    const orphans = found.filter((one) => one.name === name);
    if (orphans.length === 0) continue;
    log('stopping a part that lost its supervisor', { name, pids: orphans.map((one) => one.pid) });
    const find = async () => (await findProcesses(belonging)).filter((one) => one.name === name);
    await endAll(find, 'SIGTERM', ORPHAN_GRACE_MS);
  }
  const killed = (await findProcesses(belonging)).length;
  await killAll(belonging);
  const unmounted = await unmountBelow([layout.folder, layout.runtime]);
  await removeCgroup(layout.cgroup);
  await rm(layout.temporary, { recursive: true, force: true });
  // Last: as long as it exists, something may be left.
  await rm(layout.runtime, { recursive: true, force: true });
  if (killed + unmounted > 0)
    log('Docker Engine leftovers removed', { processes: killed, mounts: unmounted });
}
