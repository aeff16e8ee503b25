/**
 * The APK repository that a development machine makes for itself out of Debian packages, so that builds, tests and
 * the demo have a real toolchain without another network than apt's.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { arch as machineArch } from 'node:os';
import { basename, join } from 'node:path';
import { publicKeyName, publicKeyPem, type SigningKey } from '../../../shared/apk/keys.ts';
import { type IndexEntry, indexEntryOf, writeIndexArchive } from '../../../shared/apk/package-index.ts';
import { type WrittenPackage, writePackage } from '../../../shared/apk/package-write.ts';
import { PipelineError } from '../../../shared/errors.ts';
import { type DebianPackage, openDebianArchive } from '../debian.ts';
import { waitForLock } from '../parts/machine-lock.ts';
import { CONVERTER_VERSION, convertDeb } from './convert.ts';
import { openDeb } from './deb-read.ts';
import { ownPackages } from './own-packages.ts';
import { type Packages, packagesOf } from './relations.ts';

/** A C toolchain, what configure scripts call, and what the built-in pipelines need. */
export const BOOTSTRAP_NAMES: readonly string[] = [
  'autoconf',
  'automake',
  'bash',
  'binutils',
  'busybox-static',
  'bzip2',
  'ca-certificates',
  'coreutils',
  'diffutils',
  'file',
  'findutils',
  'gawk',
  'gcc',
  'git',
  'grep',
  'gzip',
  'libc-bin',
  'libc6-dev',
  'libtool',
  'm4',
  'make',
  'patch',
  'pax-utils',
  'perl',
  'pkgconf',
  'sed',
  'tar',
  'wget',
  'xz-utils',
];

/** Two packages at a time: each has a decompressor of its own, and zlib's threads are shared. */
const CONVERSIONS_AT_ONCE = 2;

const APK_ARCHES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

export interface BootstrapOptions {
  /** Folder of the repository; kept between runs. */
  readonly folder: string;
  /** Folder of the private apt root that packages are downloaded into; kept between runs. */
  readonly debianFolder: string;
  readonly key: SigningKey;
  /** Debian packages to offer with all they depend on; default `BOOTSTRAP_NAMES`. */
  readonly names?: readonly string[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BootstrapProgress) => void;
}

export interface BootstrapProgress {
  /** The package just finished. */
  readonly name: string;
  readonly done: number;
  readonly total: number;
}

export interface BootstrapRepository {
  /** What a repository line names: holds `<arch>/APKINDEX.tar.gz`. */
  readonly folder: string;
  readonly arch: string;
  readonly publicKeyPath: string;
  /** Number of packages. */
  readonly packages: number;
  /** How many of them this run had to make. */
  readonly made: number;
  /** Bytes of all packages. */
  readonly apkBytes: number;
}

/**
 * Makes the repository or brings it up to date: only packages that are new, or whose conversion would differ, are
 * made. Each appears complete or not at all and the index comes last, so that a run may end anywhere; a second run
 * waits for the first.
 *
 * @throws PipelineError `prerequisite-missing` on a machine that is no Debian or of another architecture,
 *   `process-failed` where apt fails, `cancelled`.
 */
export async function prepareBootstrapRepository(options: BootstrapOptions): Promise<BootstrapRepository> {
  await mkdir(options.folder, { recursive: true });
  const { dev, ino } = await stat(options.folder);
  const lock = await waitForLock(`carryall-bootstrap-${dev}-${ino}`, options.signal);
  try {
    return await prepare(options);
  } finally {
    await lock.release();
  }
}

async function prepare(options: BootstrapOptions): Promise<BootstrapRepository> {
  const { folder, key } = options;
  const arch = APK_ARCHES[machineArch()];
  if (arch === undefined) {
    throw new PipelineError({
      code: 'prerequisite-missing',
      kind: 'infra',
      message: `no bootstrap repository can be made for the architecture ${machineArch()}`,
    });
  }
  const packageFolder = join(folder, arch);
  const factsFolder = join(folder, 'facts');
  const scratchFolder = join(folder, 'scratch');
  await rm(scratchFolder, { recursive: true, force: true });
  for (const one of [packageFolder, factsFolder, scratchFolder]) await mkdir(one, { recursive: true });

  const found = await downloadClosure(options);
  const names = new Set(found.map((one) => one.name));
  const state = stateOf(found, key);
  const jobs = [
    ...ownPackages(names, { arch, release: CONVERTER_VERSION }).map((own): Job => {
      const file = `${own.description.name}-${own.description.version}.apk`;
      const outputPath = join(packageFolder, file);
      return {
        name: own.description.name,
        make: () => writePackage({ ...own, key, sourceDateEpoch: 0, outputPath }),
      };
    }),
    ...found.map((one): Job => {
      const rest = { arch, key, outputFolder: packageFolder, scratchFolder };
      const signal = options.signal === undefined ? {} : { signal: options.signal };
      return {
        name: one.name,
        make: async (packages) =>
          convertDeb({ debPath: one.path, packages: await packages(), ...rest, ...signal }),
      };
    }),
  ];

  const packages = once(async () => packagesOf(await controlFields(found, options.signal)));
  const context: Context = { packageFolder, factsFolder, state, packages };
  let done = 0;
  const facts = await inParallel(jobs, async (job) => {
    const fact = (await knownFact(job, context)) ?? (await makePackage(job, context));
    done += 1;
    options.onProgress?.({ name: job.name, done, total: jobs.length });
    return fact;
  });
  await rm(scratchFolder, { recursive: true, force: true });

  const publicKeyPath = join(folder, publicKeyName(key));
  await replaceFile(publicKeyPath, publicKeyPem(key));
  const entries = facts.map((fact) => fact.entry).sort((left, right) => (left.name < right.name ? -1 : 1));
  await replaceFile(join(packageFolder, 'APKINDEX.tar.gz'), await writeIndexArchive(entries, { key }));
  await removeStale(packageFolder, new Set(facts.map((fact) => fact.file)));
  return {
    folder,
    arch,
    publicKeyPath,
    packages: facts.length,
    made: facts.filter((fact) => fact.made).length,
    apkBytes: entries.reduce((sum, entry) => sum + entry.size, 0),
  };
}

interface FoundPackage extends DebianPackage {
  readonly path: string;
}

async function downloadClosure(options: BootstrapOptions): Promise<FoundPackage[]> {
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const archive = await openDebianArchive({ folder: options.debianFolder, ...signal });
  const closure = await archive.closure(options.names ?? BOOTSTRAP_NAMES);
  const paths = await archive.download(closure);
  return closure.map((one, index) => ({ ...one, path: paths[index] ?? '' }));
}

/** Everything that decides what the packages look like: of equal states, the packages are equal. */
function stateOf(found: readonly FoundPackage[], key: SigningKey): string {
  const hash = createHash('sha256');
  hash.update(`${CONVERTER_VERSION}\n${key.name}\n${publicKeyPem(key)}`);
  for (const file of found.map((one) => one.file).sort()) hash.update(`${file}\n`);
  return hash.digest('hex');
}

async function controlFields(
  found: readonly FoundPackage[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, string>[]> {
  return inParallel(found, async (one) => (await openDeb(one.path, signal)).fields);
}

interface Job {
  readonly name: string;
  readonly make: (packages: () => Promise<Packages>) => Promise<WrittenPackage>;
}

interface Context {
  readonly packageFolder: string;
  readonly factsFolder: string;
  readonly state: string;
  readonly packages: () => Promise<Packages>;
}

/** What is remembered of a package, so that it need not be read again. */
interface Fact {
  readonly file: string;
  readonly entry: IndexEntry;
  readonly made: boolean;
}

async function knownFact(job: Job, context: Context): Promise<Fact | undefined> {
  const known = parseFact(await readFile(factPath(job, context), 'utf8').catch(() => ''));
  if (known?.state !== context.state) return undefined;
  const found = await stat(join(context.packageFolder, known.file)).catch(() => undefined);
  return found?.size === known.entry.size ? { file: known.file, entry: known.entry, made: false } : undefined;
}

/** Undefined for a file that is missing or was damaged: its package is made again. */
function parseFact(text: string): { state: string; file: string; entry: IndexEntry } | undefined {
  try {
    return JSON.parse(text) as { state: string; file: string; entry: IndexEntry };
  } catch {
    return undefined;
  }
}

function factPath(job: Job, context: Context): string {
  return join(context.factsFolder, `${job.name}.json`);
}

async function makePackage(job: Job, context: Context): Promise<Fact> {
  const written = await job.make(context.packages);
  const fact = { file: basename(written.path), entry: indexEntryOf(written) };
  const text = JSON.stringify({ state: context.state, ...fact });
  await replaceFile(factPath(job, context), text);
  return { ...fact, made: true };
}

/** The results in the order of the items. The first failure ends it, after what was begun has finished. */
async function inParallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  let failed = false;
  const lanes = Array.from({ length: CONVERSIONS_AT_ONCE }, async () => {
    for (let at = next++; at < items.length && !failed; at = next++) {
      const item = items[at];
      if (item === undefined) return;
      try {
        results[at] = await work(item);
      } catch (thrown) {
        failed = true;
        throw thrown;
      }
    }
  });
  const settled = await Promise.allSettled(lanes);
  for (const lane of settled) if (lane.status === 'rejected') throw lane.reason;
  return results;
}

function once<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

async function replaceFile(path: string, content: string | Buffer): Promise<void> {
  const part = `${path}.${process.pid}.part`;
  await writeFile(part, content, { flush: true });
  await rename(part, path);
}

/** Removes packages the index does not list, and parts an interrupted run has left. */
async function removeStale(folder: string, wanted: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name !== 'APKINDEX.tar.gz' && !wanted.has(name)) await rm(join(folder, name), { force: true });
  }
}
