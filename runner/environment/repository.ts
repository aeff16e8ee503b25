/** APK repositories: where their files lie, and their indexes, verified and kept while they are current. */

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { KeyRing } from '../../shared/apk/keys.ts';
import { type IndexEntry, readIndexArchive } from '../../shared/apk/package-index.ts';
import { PipelineError } from '../../shared/errors.ts';
import { readLocalFile } from './local-files.ts';
import { fetchWithin, type Reach } from './trusted-fetch.ts';

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
  /** Set for a repository that a build file names: where requests to it may go. */
  readonly reach?: Reach;
}

export interface RepositoryIndex {
  readonly repository: Repository;
  readonly entries: readonly IndexEntry[];
  /** Changes with the content: a digest of it, or `empty`. */
  readonly version: string;
}

/** How long a file of a repository may take. */
export interface FetchLimits {
  /** Without the answer, or another piece of it. */
  readonly idleMs: number;
  /** All in all; the largest packages have some gigabytes. */
  readonly totalMs: number;
}

export const FETCH_LIMITS: FetchLimits = { idleMs: 30_000, totalMs: 30 * 60_000 };

/** Compressed; an index is held in memory. The largest known has some 10 MB. */
const MAX_INDEX_BYTES = 256 * 1024 * 1024;

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

/** Keeps one parsed index per repository and architecture for all jobs of the process. */
export function createIndexCache(limits: FetchLimits = FETCH_LIMITS): IndexCache {
  const kept = new Map<string, { readonly etag: string; readonly index: KnownIndex }>();
  const running = new Map<string, Promise<KnownIndex>>();

  const refresh = async (repository: Repository, arch: string): Promise<KnownIndex> => {
    const url = indexUrl(repository, arch);
    const key = cacheKey(repository, url);
    const known = kept.get(key);
    const headers: Record<string, string> = known === undefined ? {} : { 'If-None-Match': known.etag };
    const read = async (answer: RepositoryAnswer): Promise<KnownIndex> => {
      if (answer.status === 304 && known !== undefined) return known.index;
      if (answer.status === 404 && repository.mayBeEmpty) return EMPTY;
      if (answer.status !== 200) throw unavailable(url, `it answered ${answer.status}`);
      const bytes = await wholeIndex(url, answer.body);
      const { entries } = await readIndexArchive(bytes, repository.keys);
      const index = { entries, version: createHash('sha256').update(bytes).digest('hex') };
      if (answer.etag === '') kept.delete(key);
      else kept.set(key, { etag: answer.etag, index });
      return index;
    };
    return fetchFrom(repository, url, { headers, limits, read });
  };

  return {
    async read(repository, arch, signal) {
      signal.throwIfAborted();
      const key = cacheKey(repository, indexUrl(repository, arch));
      const joined = running.get(key) ?? refresh(repository, arch).finally(() => running.delete(key));
      running.set(key, joined);
      return { repository, ...(await unlessAborted(joined, signal)) };
    },
  };
}

/** Without the build files' repositories in one place with those of the operator, who may have other keys for a URL. */
function cacheKey(repository: Repository, url: string): string {
  return `${repository.reach === undefined ? 'configured' : 'named'} ${repository.location} ${url}`;
}

async function wholeIndex(url: string, body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let left = MAX_INDEX_BYTES;
  for await (const chunk of body) {
    left -= chunk.length;
    if (left < 0) throw unavailable(url, `it is larger than ${MAX_INDEX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** What came first: the result, or the signal. The work goes on for others who wait for it. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

export interface RepositoryAnswer {
  readonly status: number;
  /** Empty where there is none. */
  readonly etag: string;
  /** To be read once, while `read` runs; throws `repository-unavailable` (`infra`) where it breaks off. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface FetchOptions<T> {
  readonly headers?: Readonly<Record<string, string>>;
  readonly limits?: FetchLimits | undefined;
  readonly signal?: AbortSignal;
  /** What is made of the answer; when it is done the request is over, be the body read or not. */
  readonly read: (answer: RepositoryAnswer) => Promise<T>;
}

/**
 * Requests a file of a repository. Redirects are followed only where the repository needs no credentials.
 *
 * @throws PipelineError `repository-unavailable` (`infra`) where no answer comes, or not all of it, or not in time;
 *   `repository-refused` (`user`) where a build file may not lead there; what `read` throws; the signal's reason.
 */
export async function fetchFrom<T>(
  repository: Repository,
  url: string,
  options: FetchOptions<T>,
): Promise<T> {
  const { idleMs, totalMs } = options.limits ?? FETCH_LIMITS;
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  let isWaiting = false;
  const idle = setTimeout(() => {
    if (isWaiting) over.abort(new Error(`nothing came for ${idleMs} ms`));
  }, idleMs);
  const total = setTimeout(() => over.abort(new Error(`it took longer than ${totalMs} ms`)), totalMs);
  const waitFor: WaitFor = async (work) => {
    isWaiting = true;
    idle.refresh();
    try {
      return await unlessAborted(work, signal);
    } catch (thrown) {
      options.signal?.throwIfAborted();
      if (thrown instanceof PipelineError) throw thrown;
      const cause: unknown = over.signal.aborted ? over.signal.reason : thrown;
      throw unavailable(url, reasonOf(cause), cause);
    } finally {
      isWaiting = false;
    }
  };
  try {
    const answer = await waitFor(request(repository, url, { headers: options.headers ?? {}, signal }));
    return await options.read({ ...answer, body: waitedFor(answer.body, waitFor) });
  } finally {
    clearTimeout(idle);
    clearTimeout(total);
    over.abort(new Error('the request is over'));
  }
}

/** Waits no longer than the limits allow, and says what went wrong. */
type WaitFor = <T>(work: Promise<T>) => Promise<T>;

async function* waitedFor(body: AsyncIterable<Uint8Array>, waitFor: WaitFor): AsyncGenerator<Uint8Array> {
  const pieces = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await waitFor(pieces.next());
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not waited for: a piece that never comes would hold it up. The end of the request closes the rest.
    pieces.return?.().catch(() => undefined);
  }
}

/** Why a request got no answer, in the words of what lies deepest. */
export function reasonOf(thrown: unknown): string {
  const inner = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  // A host with several addresses, none of which answered.
  const one: unknown = inner instanceof AggregateError ? inner.errors[0] : inner;
  return one instanceof Error ? one.message : String(one);
}

async function request(
  repository: Repository,
  url: string,
  options: { readonly headers: Readonly<Record<string, string>>; readonly signal: AbortSignal },
): Promise<RepositoryAnswer> {
  if (repository.reach !== undefined) {
    const answer = await fetchWithin(repository.reach, url, options);
    return { status: answer.statusCode ?? 0, etag: answer.headers.etag ?? '', body: answer };
  }
  const authorization = await repository.authorization?.();
  const response = url.startsWith('file:')
    ? await readLocalFile(url, options.headers)
    : await fetch(url, {
        headers: {
          ...options.headers,
          ...(authorization === undefined ? {} : { Authorization: authorization }),
        },
        redirect: authorization === undefined ? 'follow' : 'error',
        signal: options.signal,
      });
  return {
    status: response.status,
    etag: response.headers.get('etag') ?? '',
    body: response.body ?? Readable.from([]),
  };
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
