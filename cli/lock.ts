/** `carryall lock`: the packages of a build's environment, each with its version and the digest of its file. */
import { basename } from 'node:path';
import { authorizationFor, type HostCredentials, parseHttpAuth } from '../runner/environment/credentials.ts';
import { createKnownPackages } from '../runner/environment/known-packages.ts';
import { type LockedPackage, type LockOptions, lockEnvironment } from '../runner/environment/lock.ts';
import { type LockDocument, lockDocumentOf } from '../runner/environment/lock-document.ts';
import { lockFromDocument } from '../runner/environment/lock-from-document.ts';
import { createIndexCache, type IndexCache } from '../runner/environment/repository.ts';
import { reasonOf } from '../runner/environment/repository-fetch.ts';
import { sortedUnique } from '../shared/apk/byte-order.ts';
import { type KeyRing, loadPublicKey } from '../shared/apk/keys.ts';
import { formatIndex } from '../shared/apk/package-index.ts';
import type { BuildPlan } from '../shared/build-file/index.ts';
import { PipelineError } from '../shared/errors.ts';
import { httpAuth, storageEndpoint } from './config.ts';
import type { OutputFormat } from './file-task.ts';
import { readLockFile } from './lock-file.ts';
import type { Output } from './output.ts';
import { readText } from './read-text.ts';
import {
  givenRepository,
  type RepositoryAccess,
  repositoriesOfFile,
  withheldCredentials,
} from './repositories.ts';

export interface LockSettings {
  /** Lines: a URL, `gs://BUCKET/PATH`, a folder, or `@tag` and one of them. */
  readonly repositories: readonly string[];
  /** Paths or http(s) URLs of public keys. */
  readonly keys: readonly string[];
  /** Constraints beside those of the build file. */
  readonly packages: readonly string[];
  /** Path of a file with locks to use instead of solving. */
  readonly lock: string | undefined;
  readonly output: OutputFormat;
}

/** A line of `--output json`. */
export interface LockJson extends LockDocument {
  readonly file: string;
}

/** How long one answer with a key may take. */
const KEY_TIMEOUT_MS = 30_000;

export interface Locker {
  /**
   * The locked environment of a plan, as text for standard output. Throws as `lockEnvironment`, or with a lock file as
   * `lockFromDocument`.
   */
  lock(file: string, plan: BuildPlan): Promise<string>;
}

/**
 * Reads the keys and keeps indexes and verified packages for all files of a run.
 *
 * @throws PipelineError `config-invalid`, `key-unusable`, `repository-unavailable`, `request-invalid` for the lock file.
 */
export async function createLocker(
  settings: LockSettings,
  output: Pick<Output, 'complain' | 'progress'>,
): Promise<Locker> {
  const locks = settings.lock === undefined ? undefined : readLockFile(settings.lock);
  const credentials = parseHttpAuth(httpAuth());
  const keys = await readKeys(settings.keys, credentials);
  const access: RepositoryAccess = {
    keys,
    credentials,
    storageEndpoint: storageEndpoint(),
    storageAuthorization,
  };
  const given = settings.repositories.map((line) => givenRepository(line, access));
  for (const { location } of withheldCredentials(given, access)) {
    await output.complain(`warning: HTTP_AUTH is not sent over plain HTTP: ${location}\n`);
  }
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
  const packages = createKnownPackages();
  return {
    async lock(file, plan) {
      const named = repositoriesOfFile(plan.environment.repositories, { file, given, keys });
      const repositories = [...given, ...named].sort((a, b) => (a.location < b.location ? -1 : 1));
      const world = sortedUnique([...plan.environment.packages, ...settings.packages]);
      const wanted: LockOptions = {
        world,
        arch: plan.arch,
        repositories,
        ahead: [],
        indexes,
        packages,
        onVerified: (done, total) => output.progress(`${file}: ${done} of ${total} packages verified`),
        signal: new AbortController().signal,
      };
      const locked = await (locks === undefined
        ? lockEnvironment(wanted)
        : lockFromDocument(locks.find(file, plan.arch), wanted));
      return present(locked, { file, arch: plan.arch, world }, settings.output);
    },
  };
}

/** A short-lived token made of the Application Default Credentials. */
async function storageAuthorization(): Promise<string | undefined> {
  // It takes a while to load, and few need it.
  const { Storage } = await import('@google-cloud/storage');
  try {
    const token = await new Storage().authClient.getAccessToken();
    return token === null || token === undefined ? undefined : `Bearer ${token}`;
  } catch (cause) {
    throw new PipelineError({
      code: 'repository-unavailable',
      kind: 'infra',
      message: `there are no credentials for gs:// repositories: ${reasonOf(cause)}`,
      hint: 'run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS',
      cause,
    });
  }
}

async function readKeys(
  sources: readonly string[],
  credentials: readonly HostCredentials[],
): Promise<KeyRing> {
  const keys = new Map<string, ReturnType<typeof loadPublicKey>>();
  for (const source of sources) {
    const isUrl = /^https?:\/\//.test(source);
    const name = basename(isUrl ? new URL(source).pathname : source);
    keys.set(name, loadPublicKey(isUrl ? await fetchKey(source, credentials) : readText(source), name));
  }
  return keys;
}

async function fetchKey(url: string, credentials: readonly HostCredentials[]): Promise<string> {
  const refused = (reason: string, cause?: unknown): PipelineError =>
    new PipelineError({
      code: 'key-unusable',
      kind: 'infra',
      message: `the key ${url} cannot be fetched: ${reason}`,
      cause,
    });
  let response: Response;
  try {
    const authorization = await authorizationFor(url, credentials)?.();
    response = await fetch(url, {
      signal: AbortSignal.timeout(KEY_TIMEOUT_MS),
      ...(authorization === undefined ? {} : { headers: { Authorization: authorization } }),
    });
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
    const line: LockJson = { file: about.file, ...lockDocumentOf(locked, about) };
    return `${JSON.stringify(line)}\n`;
  }
  const lines = locked.map(
    ({ entry, sha256, bytes }) => `${entry.name}=${entry.version}\tsha256:${sha256}\t${bytes}\n`,
  );
  return lines.join('');
}
