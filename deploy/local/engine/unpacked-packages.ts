/** Debian packages unpacked into a folder of our own: nothing is installed, no maintainer script runs. */
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PipelineError } from '../../../shared/errors.ts';
import { type DebianArchive, type DebianPackage, openDebianArchive } from '../debian.ts';
import { waitForLock } from '../parts/machine-lock.ts';
import { runProcess } from '../parts/run-process.ts';

export interface PackageSource {
  /** Folder that holds the private apt roots, one for each suite, and the unpacked packages. */
  readonly debianFolder: string;
  readonly signal?: AbortSignal;
}

export interface DownloadedPackage extends DebianPackage {
  /** Where its `.deb` lies. */
  readonly path: string;
}

/** The machine's own suite, or the name of another one. */
export type Suite = 'own' | (string & {});

/**
 * Downloads packages by name, without what they depend on.
 *
 * @throws PipelineError `prerequisite-missing` where the suite has not got one of them, or as `openDebianArchive`.
 */
export async function downloadPackages(
  source: PackageSource,
  suite: Suite,
  names: readonly string[],
): Promise<DownloadedPackage[]> {
  const archive = await openSuite(source, suite);
  const closure = await archive.closure(names);
  const wanted: DebianPackage[] = [];
  for (const name of names) {
    const version = (await archive.candidate(name)) ?? 'none';
    const found = closure.find((one) => one.name === name && one.version === version);
    if (found === undefined) {
      throw new PipelineError({
        code: 'prerequisite-missing',
        kind: 'infra',
        message: `the Debian suite ${suite} has no package ${name}`,
      });
    }
    wanted.push(found);
  }
  const paths = await archive.download(wanted);
  return wanted.flatMap((one, index) => {
    const path = paths[index];
    return path === undefined ? [] : [{ ...one, path }];
  });
}

/** Opens the private apt root of a suite; errors as `openDebianArchive`. */
export async function openSuite(source: PackageSource, suite: Suite): Promise<DebianArchive> {
  return openDebianArchive({
    folder: suiteFolder(source, suite),
    ...(suite === 'own' ? {} : { suite }),
    ...(source.signal ? { signal: source.signal } : {}),
  });
}

function suiteFolder(source: PackageSource, suite: Suite): string {
  return join(source.debianFolder, suite === 'own' ? 'machine' : suite);
}

/**
 * Unpacks packages into a folder named by their versions, unless it is there already, and gives that folder. It
 * appears whole or not at all, and its files are on disk before it has its name. For the holder of the lock of
 * `rememberedFolder`.
 */
export async function unpackPackages(
  source: PackageSource,
  packages: readonly DownloadedPackage[],
): Promise<string> {
  const parent = join(source.debianFolder, 'unpacked');
  const versions = packages.map((one) => `${one.name}_${one.version}_${one.architecture}`).join('+');
  const folder = join(parent, versions.replaceAll(/[^A-Za-z0-9._+~-]/g, '-'));
  if (await exists(folder)) return folder;
  const fresh = `${folder}.new`;
  await rm(fresh, { recursive: true, force: true });
  for (const { path } of packages) {
    try {
      await runProcess('dpkg-deb', ['-x', path, fresh]);
    } catch (error) {
      // A download that was cut off would otherwise count as present for ever.
      await rm(path, { force: true });
      throw error;
    }
  }
  await runProcess('sync', ['-f', fresh]);
  await rename(fresh, folder);
  return folder;
}

/**
 * Gives the folder remembered under `name`, or makes it: so that a start with everything in place asks no archive and
 * needs no network. The memory is of this Debian release and processor; a checkout may be used on several machines.
 * One process at a time prepares packages below a `debianFolder`.
 */
export async function rememberedFolder(
  source: PackageSource,
  name: string,
  prepare: () => Promise<{ folder: string; remember: boolean }>,
): Promise<string> {
  const unpacked = join(source.debianFolder, 'unpacked');
  const pointer = join(unpacked, `${name}-${await releaseName()}-${process.arch}.json`);
  const known = await readPointer(pointer);
  if (known !== undefined) return known;
  await mkdir(unpacked, { recursive: true });
  const { ino, dev } = await stat(unpacked);
  const lock = await waitForLock(`carryall-packages-${dev}-${ino}`, source.signal);
  try {
    const meanwhile = await readPointer(pointer);
    if (meanwhile !== undefined) return meanwhile;
    const { folder, remember } = await prepare();
    if (remember) {
      await writeFile(`${pointer}.new`, `${JSON.stringify({ folder: basename(folder) })}\n`);
      await rename(`${pointer}.new`, pointer);
    }
    return folder;
  } finally {
    await lock.release();
  }
}

/**
 * Path of a program in a folder of unpacked packages: suites differ in whether it lies in `bin` or `sbin`.
 *
 * @throws PipelineError `prerequisite-missing` where it is not there.
 */
export async function unpackedProgram(folder: string, name: string): Promise<string> {
  for (const path of ['usr/bin', 'usr/sbin', 'bin', 'sbin'].map((bin) => join(folder, bin, name))) {
    if (await exists(path)) return path;
  }
  throw new PipelineError({
    code: 'prerequisite-missing',
    kind: 'infra',
    message: `the program ${name} is not in ${folder}`,
    hint: 'remove that folder: the next start unpacks the packages again',
  });
}

/**
 * The code name of the Debian release in /etc/os-release (os-release(5)).
 *
 * @throws PipelineError `prerequisite-missing` where this is no Debian.
 */
export async function releaseName(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const field = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  if (field('ID') === 'debian') return field('VERSION_CODENAME') || 'unnamed';
  throw new PipelineError({
    code: 'prerequisite-missing',
    kind: 'infra',
    message: `this machine runs ${field('PRETTY_NAME') || 'an unknown system'}, not Debian`,
    hint: 'Carryall prepares its local parts from Debian packages: run it on Debian 12 or newer',
  });
}

async function readPointer(pointer: string): Promise<string | undefined> {
  const text = await readFile(pointer, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const { folder } = JSON.parse(text) as { folder: string };
  const path = join(dirname(pointer), folder);
  return (await exists(path)) ? path : undefined;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
