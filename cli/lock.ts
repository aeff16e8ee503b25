/** `carryall lock`: the packages of a build's environment, each with its version and the digest of its file. */
import { basename } from 'node:path';
import { inMemoryLedger, type LockedPackage, lockEnvironment } from '../runner/environment/lock.ts';
import {
  createIndexCache,
  type IndexCache,
  type Repository,
  reasonOf,
} from '../runner/environment/repository.ts';
import { parseRepositoryLine } from '../runner/environment/repository-line.ts';
import { sortedUnique } from '../shared/apk/byte-order.ts';
import { type KeyRing, loadPublicKey } from '../shared/apk/keys.ts';
import { formatIndex } from '../shared/apk/package-index.ts';
import type { BuildPlan } from '../shared/build-file/index.ts';
import { PipelineError } from '../shared/errors.ts';
import type { OutputFormat } from './file-task.ts';
import type { Output } from './output.ts';
import { readText } from './read-text.ts';

export interface LockSettings {
  /** Lines: a URL, a folder, or `@tag` and either. */
  readonly repositories: readonly string[];
  /** Paths or http(s) URLs of public keys. */
  readonly keys: readonly string[];
  /** Constraints beside those of the build file. */
  readonly packages: readonly string[];
  readonly output: OutputFormat;
}

/** A line of `--output json`. */
export interface LockJson {
  readonly file: string;
  readonly arch: string;
  /** The constraints that were solved. */
  readonly world: readonly string[];
  /** In the order of installation. */
  readonly packages: readonly {
    readonly name: string;
    readonly version: string;
    readonly repository: string;
    readonly url: string;
    /** `Q1` and the base64 of the SHA-1 of the control member, as the index has it. */
    readonly checksum: string;
    /** SHA-256 of the file, hex. */
    readonly sha256: string;
    readonly bytes: number;
  }[];
}

/** How long one answer with a key may take. */
const KEY_TIMEOUT_MS = 30_000;

export interface Locker {
  /** The locked environment of a plan, as text for standard output. Throws as `lockEnvironment`. */
  lock(file: string, plan: BuildPlan): Promise<string>;
}

/**
 * Reads the keys and keeps indexes and verified packages for all files of a run.
 *
 * @throws PipelineError `config-invalid`, `key-unusable`, `repository-unavailable`.
 */
export async function createLocker(
  settings: LockSettings,
  output: Pick<Output, 'complain' | 'progress'>,
): Promise<Locker> {
  const keys = await readKeys(settings.keys);
  const given = settings.repositories.map(parseRepositoryLine);
  const cache = createIndexCache();
  const warned = new Set<string>();
  const indexes: IndexCache = {
    async read(repository, arch, signal) {
      const index = await cache.read(repository, arch, signal);
      const missing = `${repository.location} has no index for ${arch}`;
      if (index.version === 'empty' && !warned.has(missing)) {
        warned.add(missing);
        await output.complain(`warning: ${missing}\n`);
      }
      return index;
    },
  };
  const ledger = inMemoryLedger();
  return {
    async lock(file, plan) {
      const own = plan.environment.repositories.map((line) => repositoryOfFile(file, line));
      const repositories = [...given, ...own]
        .map((line): Repository => ({ ...line, mayBeEmpty: line.baseUrl.startsWith('file:'), keys }))
        .sort((a, b) => (a.location < b.location ? -1 : 1));
      const world = sortedUnique([...plan.environment.packages, ...settings.packages]);
      const locked = await lockEnvironment({
        world,
        arch: plan.arch,
        repositories,
        ahead: [],
        indexes,
        ledger,
        onVerified: (done, total) => output.progress(`${file}: ${done} of ${total} packages verified`),
        signal: new AbortController().signal,
      });
      return present(locked, { file, arch: plan.arch, world }, settings.output);
    },
  };
}

/** A build file is written by strangers: what lies on this machine or its network is not for it to name. */
function repositoryOfFile(file: string, line: string): ReturnType<typeof parseRepositoryLine> {
  const repository = parseRepositoryLine(line);
  if (repository.baseUrl.startsWith('https:')) return repository;
  throw new PipelineError({
    code: 'config-invalid',
    kind: 'user',
    message: `${file} names the repository ${line}, but a build file may only name https:// repositories`,
    hint: 'give it with --repository-append instead',
  });
}

async function readKeys(sources: readonly string[]): Promise<KeyRing> {
  const keys = new Map<string, ReturnType<typeof loadPublicKey>>();
  for (const source of sources) {
    const isUrl = /^https?:\/\//.test(source);
    const name = basename(isUrl ? new URL(source).pathname : source);
    keys.set(name, loadPublicKey(isUrl ? await fetchKey(source) : readText(source), name));
  }
  return keys;
}

async function fetchKey(url: string): Promise<string> {
  const refused = (reason: string, cause?: unknown): PipelineError =>
    new PipelineError({
      code: 'key-unusable',
      kind: 'infra',
      message: `the key ${url} cannot be fetched: ${reason}`,
      cause,
    });
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(KEY_TIMEOUT_MS) });
  } catch (cause) {
    throw refused(reasonOf(cause), cause);
  }
  if (!response.ok) throw refused(`it answered ${response.status}`);
  return response.text();
}

function present(
  locked: readonly LockedPackage[],
  about: Pick<LockJson, 'file' | 'arch' | 'world'>,
  output: OutputFormat,
): string {
  if (output === 'apkindex') return formatIndex(locked.map((one) => one.entry));
  if (output === 'json') {
    const line: LockJson = {
      ...about,
      packages: locked.map(({ entry, repository, url, sha256, bytes }) => ({
        name: entry.name,
        version: entry.version,
        repository: repository.location,
        url,
        checksum: entry.controlChecksum ?? '',
        sha256,
        bytes,
      })),
    };
    return `${JSON.stringify(line)}\n`;
  }
  const lines = locked.map(
    ({ entry, sha256, bytes }) => `${entry.name}=${entry.version}\tsha256:${sha256}\t${bytes}\n`,
  );
  return lines.join('');
}
