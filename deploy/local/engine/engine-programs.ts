/** The programs of the private Docker Engine: docker.io and containerd of a newer Debian suite, runc of the own one. */
import { join } from 'node:path';
import { asPipelineError, PipelineError } from '../../../shared/errors.ts';
import type { PartLog } from '../parts/part-log.ts';
import { runProcess } from '../parts/run-process.ts';
import {
  downloadPackages,
  openSuite,
  type PackageSource,
  rememberedFolder,
  type Suite,
  unpackedProgram,
  unpackPackages,
} from './unpacked-packages.ts';

export interface EnginePrograms {
  readonly dockerd: string;
  readonly containerd: string;
  readonly runc: string;
  /** Value of PATH for the engine: its own programs, then the machine's. */
  readonly path: string;
}

/** Where to look for Docker, best first: releases before the rolling suite, the old one last. */
const SUITES = ['forky', 'sid', 'trixie'] as const;
/** First Docker whose BuildKit (0.20) has the symlink file action. */
const WANTED_DOCKER_MAJOR = 28;

/**
 * Finds the programs, downloading and unpacking them the first time. A suite whose programs do not run with this
 * machine's libraries is passed over; an older Docker is used when no suite has a wanted one, and not remembered.
 *
 * @throws PipelineError `prerequisite-missing` with the reason of each suite where none serves.
 */
export async function enginePrograms(source: PackageSource, log: PartLog): Promise<EnginePrograms> {
  const folder = await rememberedFolder(source, 'engine', async () => {
    const reasons: string[] = [];
    for (const oldest of [WANTED_DOCKER_MAJOR, 0]) {
      for (const suite of SUITES) {
        try {
          const found = await unpackSuite(source, suite, oldest);
          log('Docker Engine unpacked', { suite, folder: found });
          return { folder: found, remember: oldest > 0 };
        } catch (thrown) {
          const error = asPipelineError(thrown);
          if (error.kind !== 'infra') throw error;
          log('Debian suite passed over', { suite, reason: error.message });
          reasons.push(`${suite}: ${error.message}`);
        }
      }
    }
    throw new PipelineError({
      code: 'prerequisite-missing',
      kind: 'infra',
      message: `no Debian suite has a Docker Engine that runs here (${reasons.join('; ')})`,
      hint: 'set BUILDKIT_ADDR to a BuildKit of yours, or use a Docker with the containerd image store',
    });
  });
  return programsIn(folder);
}

async function unpackSuite(source: PackageSource, suite: Suite, oldestMajor: number): Promise<string> {
  const newer = await openSuite(source, suite);
  const version = (await newer.candidate('docker.io')) ?? 'none';
  if (!(Number.parseInt(version, 10) >= oldestMajor)) {
    throw new PipelineError({
      code: 'prerequisite-missing',
      kind: 'infra',
      message: `docker.io is ${version}, wanted is ${oldestMajor} or newer`,
    });
  }
  const docker = await downloadPackages(source, suite, ['docker.io', 'containerd']);
  const runc = await downloadPackages(source, 'own', ['runc']);
  const folder = await unpackPackages(source, [...docker, ...runc]);
  const programs = await programsIn(folder);
  for (const program of [programs.dockerd, programs.containerd, programs.runc]) {
    await runProcess(program, ['--version'], { env: { PATH: programs.path } });
  }
  return folder;
}

async function programsIn(folder: string): Promise<EnginePrograms> {
  const [dockerd, containerd, runc] = await Promise.all([
    unpackedProgram(folder, 'dockerd'),
    unpackedProgram(folder, 'containerd'),
    unpackedProgram(folder, 'runc'),
  ]);
  const path = [join(folder, 'usr/bin'), join(folder, 'usr/sbin'), '/usr/sbin:/usr/bin:/sbin:/bin'].join(':');
  return { dockerd, containerd, runc, path };
}
