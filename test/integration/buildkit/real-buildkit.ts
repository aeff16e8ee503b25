/** A real BuildKit for the tests of one file. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDebianArchive } from '../../../deploy/local/debian.ts';
import { startDockerEngine } from '../../../deploy/local/engine/docker-engine.ts';
import { findBuildkit } from '../../../deploy/local/engine/find-buildkit.ts';
import { runProcess } from '../../../deploy/local/parts/run-process.ts';
import { type BuildkitConnection, connectBuildkit } from '../../../runner/buildkit/connection.ts';
import { fileOp, type Output } from '../../../runner/buildkit/llb.ts';

const carryall = fileURLToPath(new URL('../../../.carryall/', import.meta.url));
const debianFolder = join(carryall, 'debian');

/** Why there is no BuildKit here, or false. */
export const skipReason =
  process.env['BUILDKIT_ADDR'] !== undefined ||
  (process.getuid?.() === 0 && existsSync('/etc/debian_version'))
    ? false
    : 'needs BUILDKIT_ADDR, or root on Debian';

/** As `skipReason`, for the tests that need an engine of their own. */
export const skipOwnEngine =
  process.getuid?.() === 0 && existsSync('/etc/debian_version') ? false : 'needs root on Debian';

export interface RealBuildkit extends AsyncDisposable {
  readonly address: string;
  readonly connection: BuildkitConnection;
}

/** Starts, or finds, a BuildKit with an empty cache. */
export async function startRealBuildkit(): Promise<RealBuildkit> {
  return started((folder) =>
    findBuildkit({
      address: process.env['BUILDKIT_ADDR'],
      dockerHost: process.env['DOCKER_HOST'],
      folder,
      debianFolder,
      log: () => undefined,
    }),
  );
}

/** Starts a Docker Engine without the containerd image store, whose BuildKit refuses MergeOp. */
export async function startBuildkitWithoutMerge(): Promise<RealBuildkit> {
  return started((folder) =>
    startDockerEngine({ folder, debianFolder, imageStore: 'graphdriver', log: () => undefined }),
  );
}

async function started(
  start: (folder: string) => Promise<{ readonly address: string; close(): Promise<void> }>,
): Promise<RealBuildkit> {
  const parent = join(carryall, 'test-engine');
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(join(parent, 'buildkit-'));
  const buildkit = await start(folder);
  const connection = await connectBuildkit(buildkit.address);
  return {
    address: buildkit.address,
    connection,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]();
      await buildkit.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A root file system with Debian's static busybox as its shell. */
export async function busyboxRoot(): Promise<Output> {
  const archive = await openDebianArchive({ folder: join(debianFolder, 'machine') });
  const found = (await archive.closure(['busybox-static'])).filter((one) => one.name === 'busybox-static');
  const [deb] = await archive.download(found);
  const folder = join(carryall, 'test-busybox');
  await mkdir(folder, { recursive: true });
  await runProcess('dpkg-deb', ['-x', deb ?? '', folder]);
  const busybox = await readFile(join(folder, 'bin', 'busybox'));
  return fileOp(
    'scratch',
    [
      { mkdir: '/bin' },
      { mkdir: '/tmp' },
      { mkfile: '/bin/busybox', data: busybox, mode: 0o755 },
      ...['sh', 'cat', 'echo', 'sleep', 'mkdir', 'id', 'env', 'ls', 'chmod', 'ln', 'head', 'seq'].map(
        (name) => ({
          symlink: `/bin/${name}`,
          target: 'busybox',
        }),
      ),
    ],
    'busybox root',
  );
}
