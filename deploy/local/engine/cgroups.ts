/** Removes the cgroups an engine made, in version 1's hierarchies and in version 2's. */
import { readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readMounts } from '../parts/mounts.ts';

/** Removes the cgroup `name` of every hierarchy with all below it, as far as no process lives there. */
export async function removeCgroup(name: string): Promise<void> {
  const mounts = await readMounts();
  for (const mount of mounts) {
    if (mount.fileSystem === 'cgroup' || mount.fileSystem === 'cgroup2') {
      await removeTree(join(mount.path, name));
    }
  }
}

/** The files in a cgroup's folder are the kernel's and go with it. */
async function removeTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (entry.isDirectory()) await removeTree(join(folder, entry.name));
  }
  // Missing, or a process that is just ending holds it: an empty cgroup costs nothing, and the next start tries again.
  await rmdir(folder).catch(() => undefined);
}
