/**
 * Debian packages without touching the system's package database: a private apt root inside the checkout, made from
 * the machine's own sources and keyrings. Works as any user. Used for the private Docker Engine, the registry, and
 * the bootstrap repository.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { PipelineError } from '../../shared/errors.ts';
import { waitForLock } from './parts/machine-lock.ts';
import { runProcess } from './parts/run-process.ts';

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** File name in the archive's cache, as apt names it. */
  readonly file: string;
  readonly bytes: number;
}

export interface DebianArchive {
  /** The packages and everything they depend on (no recommendations), as apt resolves it on an empty system. */
  closure(names: readonly string[]): Promise<DebianPackage[]>;
  /** Downloads just these `.deb` files, skipping those already there; gives their paths, in the order asked. */
  download(packages: readonly DebianPackage[]): Promise<string[]>;
  /** Downloads the files of a source package (`.dsc`, upstream tarball, Debian part) into `into`. */
  downloadSource(name: string, into: string): Promise<string[]>;
  /** Version of `name` that the suite offers, or undefined where it has none. */
  candidate(name: string): Promise<string | undefined>;
}

export interface DebianArchiveOptions {
  /** Folder of the private apt root; kept between runs. */
  readonly folder: string;
  /** Suite to use instead of the machine's own ones, for example `trixie`. */
  readonly suite?: string;
  readonly signal?: AbortSignal;
}

/** How long downloaded package lists are believed before `apt-get update` runs again. */
const LISTS_MAX_AGE_MS = 24 * 3600_000;

/**
 * Opens the archive, fetching the package lists when they are missing or a day old.
 *
 * @throws PipelineError `prerequisite-missing` where this is no Debian machine, `process-failed` where apt fails.
 */
export async function openDebianArchive(options: DebianArchiveOptions): Promise<DebianArchive> {
  const { folder, signal } = options;
  const archives = join(folder, 'cache', 'archives');
  const lockName = `carryall-apt-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`;
  await mkdir(join(folder, 'state', 'lists', 'partial'), { recursive: true });
  await mkdir(join(archives, 'partial'), { recursive: true });
  await mkdir(join(folder, 'no-archives', 'partial'), { recursive: true });
  await writeFile(join(folder, 'status'), '', { flag: 'a' });
  const sources = await privateSources(options.suite);
  const settings = [
    `Dir::State=${join(folder, 'state')}`,
    `Dir::State::status=${join(folder, 'status')}`,
    `Dir::Cache=${join(folder, 'cache')}`,
    `Dir::Etc::sourcelist=${join(folder, 'sources.list')}`,
    'Dir::Etc::sourceparts=-',
    'Dir::Etc::main=-',
    'Dir::Etc::parts=-',
    'Dir::Etc::preferencesparts=-',
    `Dir::Log=${folder}`,
    'APT::Sandbox::User=',
    'APT::Install-Recommends=false',
    'Acquire::Retries=3',
    'Acquire::http::Timeout=60',
  ].flatMap((setting) => ['-o', setting]);
  const apt = async (command: string, args: readonly string[], cwd = folder): Promise<string> => {
    // apt itself does not wait for another apt that uses the same folders.
    const lock = await waitForLock(lockName, signal);
    try {
      const result = await runProcess(command, [...settings, ...args], {
        cwd,
        ...(signal ? { signal } : {}),
      });
      return result.stdout;
    } finally {
      await lock.release();
    }
  };

  const listFile = join(folder, 'sources.list');
  const unchanged = (await readText(listFile)) === sources;
  if (!unchanged || !(await isYoung(join(folder, 'updated')))) {
    await writeFile(listFile, sources);
    await apt('apt-get', ['update', '-q']);
    await writeFile(join(folder, 'updated'), new Date().toISOString());
  }

  return {
    async closure(names) {
      // apt names only what it would have to download: it is shown an empty cache.
      const none = `Dir::Cache::archives=${join(folder, 'no-archives')}`;
      const printed = await apt('apt-get', ['-o', none, 'install', '-qq', '-y', '--print-uris', ...names]);
      return printed.split('\n').flatMap(parsePrintedUri);
    },
    async download(packages) {
      const present = new Set(await readdir(archives));
      const missing = packages.filter((one) => !present.has(one.file));
      if (missing.length > 0) {
        const wanted = missing.map((one) => `${one.name}=${one.version}`);
        await apt('apt-get', ['download', '-qq', ...wanted], archives);
      }
      return packages.map((one) => join(archives, one.file));
    },
    async downloadSource(name, into) {
      await mkdir(into, { recursive: true });
      const printed = await apt('apt-get', ['source', '-qq', '--print-uris', name]);
      await apt('apt-get', ['source', '-qq', '--download-only', name], into);
      return printed.split('\n').flatMap((line) => {
        const file = /^'[^']+' (\S+) /.exec(line)?.[1];
        return file === undefined ? [] : [join(into, file)];
      });
    },
    async candidate(name) {
      const printed = await apt('apt-cache', ['policy', name]);
      const version = /Candidate: (\S+)/.exec(printed)?.[1];
      return version === '(none)' ? undefined : version;
    },
  };
}

/** A line of `--print-uris`: `'URL' FILE BYTES HASH`, FILE being `name_version_arch.deb` with `%3a` for a colon. */
function parsePrintedUri(line: string): DebianPackage[] {
  const match = /^'[^']+' (\S+\.deb) (\d+) /.exec(line);
  if (match?.[1] === undefined) return [];
  const file = match[1];
  const [name, version, architecture] = basename(file, '.deb').split('_');
  if (name === undefined || version === undefined || architecture === undefined) return [];
  return [{ name, version: decodeURIComponent(version), architecture, file, bytes: Number(match[2]) }];
}

/** The text of a `sources.list` with binary and source lines for Debian's own archive, as this machine reaches it. */
async function privateSources(suite: string | undefined): Promise<string> {
  const entries = (await machineSources()).filter((entry) => entry.debian);
  if (entries.length === 0) {
    throw new PipelineError({
      code: 'prerequisite-missing',
      kind: 'infra',
      message: 'no Debian package source found in /etc/apt',
      hint: 'Carryall prepares its local parts from Debian packages: run it on Debian 12 or newer, or set BUILDKIT_ADDR and read docs/local.md',
    });
  }
  const chosen =
    suite === undefined ? entries : entries.filter((entry) => !/[-/]/.test(entry.suite)).slice(0, 1);
  const lines = chosen.flatMap((entry) => {
    const signedBy = entry.signedBy === undefined ? '' : `[signed-by=${entry.signedBy}] `;
    const rest = `${signedBy}${entry.uri} ${suite ?? entry.suite} main`;
    return [`deb ${rest}`, `deb-src ${rest}`];
  });
  return `${[...new Set(lines)].join('\n')}\n`;
}

interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly signedBy: string | undefined;
  readonly debian: boolean;
}

/** Reads `/etc/apt/sources.list` and `sources.list.d` in both of apt's formats (sources.list(5)). */
async function machineSources(): Promise<AptSource[]> {
  const found: AptSource[] = [];
  const add = (uris: string, suites: string, signedBy: string | undefined, components: string): void => {
    for (const uri of uris.split(/\s+/).filter(Boolean)) {
      for (const suite of suites.split(/\s+/).filter(Boolean)) {
        const debian = /\/debian(-security)?\/?$/.test(uri) && /(^|\s)main(\s|$)/.test(components);
        found.push({ uri, suite, signedBy, debian });
      }
    }
  };
  const texts = [await readText('/etc/apt/sources.list')];
  for (const file of (await readdir('/etc/apt/sources.list.d').catch(() => [])).sort()) {
    texts.push(await readText(join('/etc/apt/sources.list.d', file)));
  }
  for (const text of texts) {
    for (const line of text.split('\n')) {
      const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$/.exec(line.trim());
      if (match === null) continue;
      add(match[2] ?? '', match[3] ?? '', /signed-by=(\S+)/.exec(match[1] ?? '')?.[1], match[4] ?? '');
    }
    for (const stanza of text.split(/\n\s*\n/)) {
      const fields = new Map(
        stanza.split('\n').flatMap((line) => {
          const match = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
          return match === null ? [] : [[(match[1] ?? '').toLowerCase(), match[2] ?? ''] as const];
        }),
      );
      if (!/(^|\s)deb(\s|$)/.test(fields.get('types') ?? '')) continue;
      add(
        fields.get('uris') ?? '',
        fields.get('suites') ?? '',
        fields.get('signed-by') || undefined,
        fields.get('components') ?? '',
      );
    }
  }
  return found;
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

async function isYoung(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs < LISTS_MAX_AGE_MS;
}
