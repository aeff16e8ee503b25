/** Mounts of this machine, as /proc/self/mountinfo tells them (proc_pid_mountinfo(5)). */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { PipelineError } from '../../../shared/errors.ts';
import { runProcess } from '../parts/run-process.ts';

export interface Mount {
  /** Mount point. */
  readonly path: string;
  readonly fileSystem: string;
  /** Options of the file system itself; an overlay's name its layers' folders. */
  readonly superOptions: string;
}

/** The mounts a process sees, oldest first. */
export async function readMounts(pid: number | 'self' = 'self'): Promise<Mount[]> {
  const text = await readFile(`/proc/${pid}/mountinfo`, 'utf8');
  return text.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ');
    const path = before?.split(' ')[4];
    const [fileSystem, , superOptions] = after?.split(' ') ?? [];
    if (path === undefined || fileSystem === undefined) return [];
    return [{ path: decodeOctal(path), fileSystem, superOptions: decodeOctal(superOptions ?? '') }];
  });
}

/** The mount points at or below any of `folders` (canonical paths), oldest first. */
export async function mountsBelow(folders: readonly string[]): Promise<string[]> {
  const mounts = await readMounts();
  return mounts
    .map((mount) => mount.path)
    .filter((path) => folders.some((folder) => path === folder || path.startsWith(`${folder}/`)));
}

/** Rounds of unmounting: the first ones politely, the last ones detach what is still in use. */
const ROUNDS = [[], [], ['--lazy'], ['--lazy']] as const;

/**
 * Unmounts everything at or below `folders`, newest first; gives how many mounts there were.
 *
 * @throws PipelineError `process-failed` where something cannot be unmounted at all.
 */
export async function unmountBelow(folders: readonly string[]): Promise<number> {
  const before = await mountsBelow(folders);
  let left = before;
  let reason: unknown;
  for (const [round, flags] of ROUNDS.entries()) {
    if (left.length === 0) return before.length;
    if (round > 0) await delay(100);
    try {
      await runProcess('umount', ['--no-canonicalize', ...flags, '--', ...left.toReversed()]);
    } catch (error) {
      // One failing mount point fails the call, after all were tried.
      reason = error;
    }
    left = await mountsBelow(folders);
  }
  if (left.length === 0) return before.length;
  throw new PipelineError({
    code: 'process-failed',
    kind: 'infra',
    message: `${left.length} mounts of the Docker Engine cannot be unmounted, the first is ${left[0]}`,
    hint: 'run "umount --lazy" on it as root',
    cause: reason,
  });
}

/** mountinfo writes blanks, newlines and backslashes as three octal digits. */
function decodeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
