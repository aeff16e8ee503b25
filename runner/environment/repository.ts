/** APK repositories: where their files lie, and their indexes, verified and kept while they are current. */

import type { KeyRing } from '../../shared/apk/keys.ts';
import { type IndexEntry, readIndexArchive } from '../../shared/apk/package-index.ts';
import { PipelineError } from '../../shared/errors.ts';
import { readLocalFile } from './local-files.ts';

export interface Repository {
  /** As it is written in configuration and recorded in locks: an `https://`, `http://` or `gs://` location. */
  readonly location: string;
  /** Base URL from which the runner and BuildKit fetch, without final slash; `file:` is for the runner alone. */
  readonly baseUrl: string;
  /** Tag of an `@tag` repository: its packages count only for constraints that ask for it. */
  readonly pin?: string | undefined;
  /** A missing index counts as an empty one: the repository that Carryall itself fills. */
  readonly mayBeEmpty: boolean;
  /** URLs of packages that do not lie beside an index: those that a job of the same build has just made. */
  readonly packageUrls?: ReadonlyMap<IndexEntry, string>;
  readonly keys: KeyRing;
  /** Value of the `Authorization` header, where one is needed; short-lived, so asked each time. */
  readonly authorization?: () => Promise<string | undefined>;
}

export interface RepositoryIndex {
  readonly repository: Repository;
  readonly entries: readonly IndexEntry[];
  /** Changes with the content. */
  readonly version: string;
}

/** How long one request to a repository may take to answer. */
const FETCH_TIMEOUT_MS = 60_000;

export function indexUrl(repository: Repository, arch: string): string {
  return `${repository.baseUrl}/${arch}/APKINDEX.tar.gz`;
}

export function packageUrl(repository: Repository, arch: string, entry: IndexEntry): string {
  return (
    repository.packageUrls?.get(entry) ?? `${repository.baseUrl}/${arch}/${entry.name}-${entry.version}.apk`
  );
}

export interface IndexCache {
  /** The index as it is now: asked for conditionally, parsed only when changed. */
  read(repository: Repository, arch: string, signal: AbortSignal): Promise<RepositoryIndex>;
}

/** Keeps one parsed index per repository and architecture for all jobs of the process. */
export function createIndexCache(): IndexCache {
  const kept = new Map<string, { readonly etag: string; readonly index: RepositoryIndex }>();
  const running = new Map<string, Promise<RepositoryIndex>>();

  const refresh = async (repository: Repository, arch: string): Promise<RepositoryIndex> => {
    const url = indexUrl(repository, arch);
    const known = kept.get(url);
    const response = await fetchFrom(repository, url, {
      ...(known === undefined || known.etag === '' ? {} : { 'If-None-Match': known.etag }),
    });
    if (response.status === 304 && known !== undefined) return known.index;
    if (response.status === 404 && repository.mayBeEmpty) {
      return { repository, entries: [], version: 'empty' };
    }
    if (!response.ok) throw unavailable(url, `it answered ${response.status}`);
    const archive = await readIndexArchive(Buffer.from(await response.arrayBuffer()), repository.keys);
    const etag = response.headers.get('etag') ?? '';
    const index = { repository, entries: archive.entries, version: `${url} ${etag}` };
    if (etag !== '') kept.set(url, { etag, index });
    return index;
  };

  return {
    async read(repository, arch, signal) {
      signal.throwIfAborted();
      const url = indexUrl(repository, arch);
      const joined = running.get(url) ?? refresh(repository, arch).finally(() => running.delete(url));
      running.set(url, joined);
      return joined;
    },
  };
}

/**
 * Requests a file of a repository. Redirects are followed only where the repository needs no credentials.
 *
 * @throws PipelineError `repository-unavailable` (`infra`) where no answer comes.
 */
export async function fetchFrom(
  repository: Repository,
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const authorization = await repository.authorization?.();
  try {
    if (url.startsWith('file:')) return await readLocalFile(url, headers);
    return await fetch(url, {
      headers: { ...headers, ...(authorization === undefined ? {} : { Authorization: authorization }) },
      redirect: authorization === undefined ? 'follow' : 'error',
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    });
  } catch (cause) {
    const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
    const reason = inner instanceof Error ? inner.message : String(inner);
    throw unavailable(url, reason, cause);
  }
}

export function unavailable(url: string, reason: string, cause?: unknown): PipelineError {
  return new PipelineError({
    code: 'repository-unavailable',
    kind: 'infra',
    message: `the repository file ${url} cannot be read: ${reason}`,
    hint: 'check that the repository exists and that its credentials are configured',
    cause,
  });
}
