/** Finds the processes that belong to one local part, also those that nobody started by us tracks any more. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { PipelineError } from '../../../shared/errors.ts';
import { readMounts } from './mounts.ts';

export interface Belonging {
  /** `NAME=value` in the environment of the part's own programs. */
  readonly marker: string;
  /** Name of the cgroup its containers live below. */
  readonly cgroup?: string;
  /** Canonical folder that its containers' root file systems are made from. */
  readonly folder?: string;
}

export interface FoundProcess {
  readonly pid: number;
  /** Name of the program, at most 15 characters (proc_pid_comm(5)). */
  readonly name: string;
}

/**
 * The living processes of a part: those started with its marker in their environment, those in its cgroup, and those
 * in a mount namespace whose root lies on an overlay of its folder. Zombies count as dead.
 */
export async function findProcesses(belonging: Belonging): Promise<FoundProcess[]> {
  const entries = await readdir('/proc');
  const pids = entries.filter((name) => /^\d+$/.test(name)).map(Number);
  const own = await readlink('/proc/self/ns/mnt');
  const found: FoundProcess[] = [];
  for (const pid of pids) {
    if (pid === process.pid) continue;
    const name = await livingName(pid);
    if (name !== undefined && (await belongs(pid, belonging, own))) found.push({ pid, name });
  }
  return found;
}

/** Whether a process lives; a zombie, which only waits for its parent to notice, does not. */
export async function isAlive(pid: number): Promise<boolean> {
  return (await livingName(pid)) !== undefined;
}

/**
 * Sends `signal` to every process that `find` gives, again and again for those that appear meanwhile, until there
 * are none. Gives whether that happened within `timeoutMs`.
 */
export async function endAll(
  find: () => Promise<FoundProcess[]>,
  signal: 'SIGTERM' | 'SIGKILL',
  timeoutMs: number,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  const told = new Set<number>();
  for (;;) {
    const left = await find();
    if (left.length === 0) return true;
    if (performance.now() > deadline) return false;
    for (const { pid } of left) {
      if (!told.has(pid)) sendSignal(pid, signal);
      told.add(pid);
    }
    await delay(20);
  }
}

/**
 * Kills what belongs to a part.
 *
 * @throws PipelineError `process-failed` where a process outlives SIGKILL for 10 s.
 */
export async function killAll(belonging: Belonging): Promise<void> {
  if (await endAll(() => findProcesses(belonging), 'SIGKILL', 10_000)) return;
  const left = await findProcesses(belonging);
  throw new PipelineError({
    code: 'process-failed',
    kind: 'infra',
    message: `processes do not end: ${left.map((one) => `${one.name} (${one.pid})`).join(', ')}`,
    hint: 'they wait inside the kernel, for a disk perhaps: see "dmesg"',
  });
}

async function belongs(pid: number, belonging: Belonging, ownMounts: string): Promise<boolean> {
  const { marker, cgroup, folder } = belonging;
  try {
    if (cgroup !== undefined) {
      const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n');
      if (lines.some((line) => line.split(':').slice(2).join(':').split('/').includes(cgroup))) return true;
    }
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1');
    if (environment.split('\0').includes(Buffer.from(marker).toString('latin1'))) return true;
    if (folder === undefined || (await readlink(`/proc/${pid}/ns/mnt`)) === ownMounts) return false;
    const mounts = await readMounts(pid);
    return mounts.some((mount) => mount.path === '/' && mount.superOptions.includes(`=${folder}/`));
  } catch {
    // It ended meanwhile, or is another user's, and then it is none of ours.
    return false;
  }
}

/** Reads the name and the state from /proc/PID/stat, `PID (NAME) STATE …`. */
async function livingName(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [, name, state] = /^\d+ \((.*)\) (\S)/s.exec(text) ?? [];
  return state === undefined || state === 'Z' || state === 'X' ? undefined : name;
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
