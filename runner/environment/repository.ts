/** APK repositories: where their files lie, and their indexes, verified and kept while they are current. */

import { createHash, type Hash } from 'node:crypto';
import type { KeyRing } from '../../shared/apk/keys.ts';
import { type IndexEntry, readIndexArchive } from '../../shared/apk/package-index.ts';
import { createSharedWork } from '../../shared/shared-work.ts';
import {
  FETCH_LIMITS,
  type FetchLimits,
  fetchFrom,
  type RepositoryAnswer,
  unavailable,
} from './repository-fetch.ts';
import type { Reach } from './trusted-fetch.ts';

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
  /** Value of the `Authorization` header for the origin of `baseUrl`; short-lived, so asked each time. */
  readonly authorization?: () => Promise<string | undefined>;
  /** Set for a repository that a build file names: where requests to it may go. */
  readonly reach?: Reach;
}

export interface RepositoryIndex {
  readonly repository: Repository;
  readonly entries: readonly IndexEntry[];
  /** Changes with the content: a digest of it, or `empty`. */
  readonly version: string;
}

/** Compressed, as it is held until its signature is checked. The largest known has some 10 MB. */
const MAX_INDEX_BYTES = 256 * 1024 * 1024;

/**
 * Packages in all indexes that are kept while nobody uses them. A record takes some 0.6 kB, its share of the name table
 * included (`npm run bench -- index`), so that these are 150 MB: four times the largest repository known, and more than
 * a runner's usual repositories for all its architectures.
 */
export const MAX_KEPT_RECORDS = 250_000;

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

type KnownIndex = Pick<RepositoryIndex, 'entries' | 'version'>;

const EMPTY: KnownIndex = { entries: [], version: 'empty' };

/**
 * Keeps one parsed index per repository and architecture for all jobs of the process. Above `maxRecords` the one that
 * was not asked for the longest goes first; the last one asked for stays in any case. Who reads one that goes keeps it.
 */
export function createIndexCache(
  limits: FetchLimits = FETCH_LIMITS,
  maxRecords: number = MAX_KEPT_RECORDS,
): IndexCache {
  const kept = createKeptIndexes(maxRecords);
  const refreshes = createSharedWork<KnownIndex>();

  const refresh = async (repository: Repository, arch: string, signal: AbortSignal): Promise<KnownIndex> => {
    const url = indexUrl(repository, arch);
    const key = cacheKey(repository, url);
    const known = kept.find(key);
    const read = async ({ status, conditions, body }: RepositoryAnswer): Promise<KnownIndex> => {
      if (status === 304 && known !== undefined) return known.index;
      if (status === 404 && repository.mayBeEmpty) return EMPTY;
      if (status !== 200) throw unavailable(url, `it answered ${status}`);
      const digest = createHash('sha256');
      const { entries } = await readIndexArchive(watched(url, body, digest), repository.keys);
      const index = { entries, version: digest.digest('hex') };
      if (Object.keys(conditions).length === 0) kept.forget(key);
      else kept.keep(key, { conditions, index });
      return index;
    };
    const headers = known?.conditions ?? {};
    return fetchFrom(repository, url, { headers, limits, signal, whenBroken: 'read-again', read });
  };

  return {
    async read(repository, arch, signal) {
      const key = cacheKey(repository, indexUrl(repository, arch));
      const work = (ended: AbortSignal): Promise<KnownIndex> => refresh(repository, arch, ended);
      return { repository, ...(await refreshes.join(key, work, signal)) };
    },
  };
}

interface KeptIndex {
  /** Headers that ask for it only if it has changed. */
  readonly conditions: Readonly<Record<string, string>>;
  readonly index: KnownIndex;
}

interface KeptIndexes {
  find(key: string): KeptIndex | undefined;
  keep(key: string, index: KeptIndex): void;
  forget(key: string): void;
}

function createKeptIndexes(maxRecords: number): KeptIndexes {
  /** In the order of their last use. */
  const kept = new Map<string, KeptIndex>();
  let records = 0;
  const forget = (key: string): void => {
    records -= kept.get(key)?.index.entries.length ?? 0;
    kept.delete(key);
  };
  const keep = (key: string, index: KeptIndex): void => {
    forget(key);
    kept.set(key, index);
    records += index.index.entries.length;
    for (const oldest of kept.keys()) {
      if (records <= maxRecords || oldest === key) return;
      forget(oldest);
    }
  };
  return {
    find(key) {
      const found = kept.get(key);
      if (found !== undefined) keep(key, found);
      return found;
    },
    keep,
    forget,
  };
}

/** Without the build files' repositories in one place with those of the operator, who may have other keys for a URL. */
function cacheKey(repository: Repository, url: string): string {
  return `${repository.reach === undefined ? 'configured' : 'named'} ${repository.location} ${url}`;
}

/** The bytes of an index as they come, counted and digested. */
async function* watched(
  url: string,
  body: AsyncIterable<Uint8Array>,
  digest: Hash,
): AsyncGenerator<Uint8Array> {
  let left = MAX_INDEX_BYTES;
  for await (const chunk of body) {
    left -= chunk.length;
    if (left < 0) throw unavailable(url, `it is larger than ${MAX_INDEX_BYTES} bytes`);
    digest.update(chunk);
    yield chunk;
  }
}
