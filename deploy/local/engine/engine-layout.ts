/** Where a private Docker Engine keeps its things. */
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

export interface EngineLayout {
  /** Canonical path of the engine's folder: configuration, logs, and the data that is kept between runs. */
  readonly folder: string;
  /** Image store and snapshots (containerd's root). */
  readonly containerdRoot: string;
  /** Build cache (dockerd's data root). */
  readonly dockerRoot: string;
  readonly temporary: string;
  readonly containerdConfig: string;
  readonly dockerConfig: string;
  readonly containerdLog: string;
  readonly dockerLog: string;
  /**
   * Sockets, pid file and run-time state. Below `/run`, as a Unix socket's path may have 107 bytes at most (unix(7))
   * and a checkout's path has no limit; only root can write there, so its name may be a predictable one.
   */
  readonly runtime: string;
  readonly containerdSocket: string;
  readonly dockerSocket: string;
  readonly pidFile: string;
  readonly runcRoot: string;
  /** Name of the cgroup, in the root of each hierarchy, that the processes of build steps live below. */
  readonly cgroup: string;
  /** Entry in the environment of the engine's own processes that tells them from another engine's. */
  readonly marker: string;
}

/** The layout of the engine in `folder`, which need not exist. */
export async function engineLayout(folder: string): Promise<EngineLayout> {
  const canonical = await canonicalPath(folder);
  const name = `carryall-${createHash('sha256').update(canonical).digest('hex').slice(0, 12)}`;
  const runtime = join('/run', name);
  return {
    folder: canonical,
    containerdRoot: join(canonical, 'containerd'),
    dockerRoot: join(canonical, 'docker'),
    temporary: join(canonical, 'tmp'),
    containerdConfig: join(canonical, 'containerd.toml'),
    dockerConfig: join(canonical, 'dockerd.json'),
    containerdLog: join(canonical, 'containerd.log'),
    dockerLog: join(canonical, 'dockerd.log'),
    runtime,
    containerdSocket: join(runtime, 'containerd.sock'),
    dockerSocket: join(runtime, 'docker.sock'),
    pidFile: join(runtime, 'dockerd.pid'),
    runcRoot: join(runtime, 'runc'),
    cgroup: name,
    marker: `CARRYALL_PART=engine:${canonical}`,
  };
}

/** `path` without symbolic links, as the kernel prints it in mountinfo; also for a path that does not exist. */
export async function canonicalPath(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch (error) {
    const parent = dirname(absolute);
    if (parent === absolute || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return join(await canonicalPath(parent), basename(absolute));
  }
}
