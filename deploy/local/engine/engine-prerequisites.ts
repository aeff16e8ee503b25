/** What a private Docker Engine needs of the machine, told before it fails in a less clear way. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PipelineError } from '../../../shared/errors.ts';
import { readMounts } from '../parts/mounts.ts';
import { runProcess } from '../parts/run-process.ts';
import type { EngineLayout } from './engine-layout.ts';
import { releaseName } from './unpacked-packages.ts';

const OTHER_WAYS =
  'set BUILDKIT_ADDR to a BuildKit of yours (tcp://, unix://, docker+unix://), or start a Docker that has the containerd image store';

/** @throws PipelineError `prerequisite-missing` unless this is Linux with Debian's packages, and we are root. */
export async function requireDebianRoot(): Promise<void> {
  if (process.platform !== 'linux') {
    throw missing('a private Docker Engine needs Linux', OTHER_WAYS);
  }
  await releaseName();
  if (process.getuid?.() !== 0) {
    throw missing('a private Docker Engine needs root', `run the command as root; or ${OTHER_WAYS}`);
  }
}

/**
 * Mounts an overlay in the engine's folder and takes it off again: that fails where the folder itself lies on an
 * overlay (as in a container without a volume) or on a network file system.
 *
 * @throws PipelineError `prerequisite-missing` where it fails.
 */
export async function requireOverlay(layout: EngineLayout): Promise<void> {
  const trial = join(layout.temporary, 'overlay');
  const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) =>
    join(trial, name),
  ) as [string, string, string, string];
  for (const folder of [lower, upper, work, merged]) await mkdir(folder, { recursive: true });
  try {
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    await runProcess('mount', ['-t', 'overlay', 'overlay', '-o', options, merged]);
    await runProcess('umount', [merged]);
  } catch (cause) {
    const mounts = await readMounts();
    const holding = mounts.filter(({ path }) => path === '/' || layout.folder.startsWith(`${path}/`)).at(-1);
    throw missing(
      `no overlay can be mounted in ${layout.folder} (its file system is ${holding?.fileSystem ?? 'unknown'})`,
      `put the folder on ext4, xfs, btrfs or tmpfs (in a container: on a volume), with the rights to mount; or ${OTHER_WAYS}`,
      cause,
    );
  }
  await rm(trial, { recursive: true, force: true });
}

function missing(message: string, hint: string, cause?: unknown): PipelineError {
  return new PipelineError({ code: 'prerequisite-missing', kind: 'infra', message, hint, cause });
}
