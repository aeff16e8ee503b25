/**
 * What Debian leaves to maintainer scripts, which an apk never runs: links of the alternatives system, the bundle of
 * certificates, the list of busybox's commands. It is made when a package is converted, as files of that package.
 */
import { chmod, rm, writeFile } from 'node:fs/promises';
import type { PackageFile } from '../../../shared/apk/package-write.ts';
import { runProcess } from '../parts/run-process.ts';
import type { Packages } from './relations.ts';

export interface Additions {
  readonly files: readonly PackageFile[];
  readonly provides: readonly string[];
  readonly depends: readonly string[];
}

/** Links a package's scripts make with update-alternatives(1), in `/usr/bin`: name → the program it stands for. */
const ALTERNATIVES: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  gawk: { awk: /^gawk$/, nawk: /^gawk$/ },
  mawk: { awk: /^mawk$/, nawk: /^mawk$/ },
  gcc: { cc: /^gcc$/, c89: /^c89-gcc$/, c99: /^c99-gcc$/ },
  'g++': { 'c++': /^g\+\+$/ },
  automake: { automake: /^automake-[\d.]+$/, aclocal: /^aclocal-[\d.]+$/ },
  debianutils: { which: /^which\.debianutils$/ },
  'xz-utils': { lzma: /^xz$/, unlzma: /^unxz$/, lzcat: /^xzcat$/ },
};

/** Names that melange's pipelines and build files ask for, where Debian's differ. */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  'busybox-static': ['busybox'],
  'ca-certificates': ['ca-certificates-bundle'],
  'pax-utils': ['scanelf'],
  'libc6-dev': ['glibc-dev', 'libc-dev'],
  'linux-libc-dev': ['linux-headers'],
  'xz-utils': ['xz'],
};

/**
 * Debian's static busybox crashes in `wget -T`; a build must not find a package manager that is none; and an init has
 * no place here.
 */
const UNWANTED_APPLETS: ReadonlySet<string> = new Set([
  'wget',
  'dpkg',
  'dpkg-deb',
  'rpm',
  'init',
  'halt',
  'poweroff',
  'reboot',
]);

/** Where the environment builder finds the paths to link to busybox. */
const BUSYBOX_PATHS = 'etc/busybox-paths.d/busybox-static';

export interface AdditionsOptions {
  /** Debian's name of the package. */
  readonly name: string;
  /** The package's own files. */
  readonly files: readonly PackageFile[];
  readonly packages: Packages;
  /** Where busybox may be put to be asked; it goes by its file name, which has to be `busybox`. */
  readonly programPath: string;
}

/**
 * What the package's scripts would have made.
 *
 * `/bin/sh` is bash, wherever there is busybox or a compiler: Debian's own sh, dash, lacks `pipefail`, which steps
 * rely on; and the shell of its static busybox prefers busybox's own `wget`, `sed` or `tar` to those in the PATH
 * (FEATURE_SH_STANDALONE; seen when `/proc` is mounted).
 */
export async function additionsFor(options: AdditionsOptions): Promise<Additions> {
  const { name, files } = options;
  const provides = (OTHER_NAMES[name] ?? []).filter((one) => !options.packages.names.has(one));
  const present = new Map(files.map((file) => [file.path, file]));
  // Two owners of /usr/bin/awk would conflict.
  const isSecondAwk = name === 'mawk' && options.packages.names.has('gawk');
  const made = isSecondAwk ? [] : alternativesOf(name, present);
  const depends: string[] = [];
  if (name === 'ca-certificates') made.push(...(await certificateBundle(files, present)));
  if (name === 'busybox-static') {
    made.push(...(await busyboxPaths(present, options.programPath)));
    if (options.packages.names.has('bash')) depends.push('bash');
  }
  if (name === 'bash') made.push(symlink('usr/bin/sh', 'bash'));
  return { files: made, provides, depends };
}

function alternativesOf(name: string, present: ReadonlyMap<string, PackageFile>): PackageFile[] {
  const programs = [...present.keys()].flatMap((path) => /^usr\/bin\/([^/]+)$/.exec(path)?.[1] ?? []);
  return Object.entries(ALTERNATIVES[name] ?? {}).flatMap(([link, pattern]) => {
    const target = programs.find((program) => pattern.test(program));
    const isFree = !programs.includes(link);
    return target !== undefined && isFree ? [symlink(`usr/bin/${link}`, target)] : [];
  });
}

/** All certificates in one file, as update-ca-certificates(8) makes it. */
async function certificateBundle(
  files: readonly PackageFile[],
  present: ReadonlyMap<string, PackageFile>,
): Promise<PackageFile[]> {
  const certificates: Buffer[] = [];
  for (const file of files) {
    if (!file.path.startsWith('usr/share/ca-certificates/') || !file.path.endsWith('.crt')) continue;
    certificates.push(await contentOf(file));
  }
  return withParents(present, textFile('etc/ssl/certs/ca-certificates.crt', Buffer.concat(certificates)));
}

/** The paths busybox itself names for its commands, asked from the program. */
async function busyboxPaths(
  present: ReadonlyMap<string, PackageFile>,
  programPath: string,
): Promise<PackageFile[]> {
  const program = present.get('usr/bin/busybox');
  if (program === undefined) return [];
  let listed: string;
  try {
    await writeFile(programPath, await contentOf(program));
    await chmod(programPath, 0o755);
    listed = (await runProcess(programPath, ['--list-full'])).stdout;
  } finally {
    await rm(programPath, { force: true });
  }
  const paths = listed
    .split('\n')
    .filter((path) => path !== '' && !UNWANTED_APPLETS.has(path.slice(path.lastIndexOf('/') + 1)))
    .map((path) => `/${path}\n`);
  return withParents(present, textFile(BUSYBOX_PATHS, Buffer.from(paths.join(''))));
}

function withParents(present: ReadonlyMap<string, PackageFile>, file: PackageFile): PackageFile[] {
  const segments = file.path.split('/').slice(0, -1);
  const parents = segments.map((_, index) => segments.slice(0, index + 1).join('/'));
  return [...parents.filter((path) => !present.has(path)).map((path) => directory(path)), file];
}

async function contentOf(file: PackageFile): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(file.open?.() ?? []));
}

/** A folder of root's. */
export function directory(path: string, mode = 0o755): PackageFile {
  return { ...ROOT_OWNED, path, type: 'directory', mode, size: 0 };
}

/** A link. */
export function symlink(path: string, target: string): PackageFile {
  return { ...ROOT_OWNED, path, type: 'symlink', mode: 0o777, size: 0, linkName: target };
}

/** A file of root's with this content. */
export function textFile(path: string, content: string | Buffer, mode = 0o644): PackageFile {
  const bytes = Buffer.from(content);
  return { ...ROOT_OWNED, path, type: 'file', mode, size: bytes.length, open: () => inMemory(bytes) };
}

const ROOT_OWNED = { uid: 0, gid: 0, uname: 'root', gname: 'root' } as const;

async function* inMemory(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
