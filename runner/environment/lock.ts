/** Locks an environment: which packages, in which versions, and the digest of each file. */

import type { IndexEntry } from '../../shared/apk/package-index.ts';
import { verifyPackage } from '../../shared/apk/package-read.ts';
import { asPipelineError, PipelineError } from '../../shared/errors.ts';
import { packageFileId } from '../../shared/identity.ts';
import {
  type FetchLimits,
  fetchFrom,
  type IndexCache,
  packageUrl,
  type Repository,
  type RepositoryAnswer,
  type RepositoryIndex,
  unavailable,
} from './repository.ts';
import { solve } from './solver.ts';
import { buildUniverse, extendUniverse, type Universe, type UniverseSource } from './universe.ts';

/** What is known of a package file once its whole chain of digests has been checked. */
export interface VerifiedPackage {
  /** SHA-256 of the file, hex. */
  readonly sha256: string;
  readonly bytes: number;
}

/** Remembers verified files, so that each is checked once by all runners. */
export interface PackageLedger {
  find(ids: readonly string[]): Promise<ReadonlyMap<string, VerifiedPackage>>;
  remember(id: string, verified: VerifiedPackage): Promise<void>;
}

export interface LockedPackage extends VerifiedPackage {
  readonly entry: IndexEntry;
  readonly repository: Repository;
  readonly url: string;
}

export interface LockOptions {
  /** Constraints, as in `environment.contents.packages`. */
  readonly world: readonly string[];
  readonly arch: string;
  readonly repositories: readonly Repository[];
  /** Packages that count before those of the repositories. */
  readonly ahead: readonly RepositoryIndex[];
  readonly indexes: IndexCache;
  readonly ledger: PackageLedger;
  /** Told after each package whose file is known to be right. */
  readonly onVerified?: (done: number, total: number) => void;
  /** For each package; those of `FETCH_LIMITS` by default. */
  readonly limits?: FetchLimits;
  readonly signal: AbortSignal;
}

/** Packages fetched for verification at the same time. */
const VERIFY_CONCURRENCY = 8;

/**
 * Solves the constraints against the repositories as they are now and verifies each package that is new: signed index
 * → control checksum → data hash. In order of installation.
 *
 * @throws PipelineError `unsolvable` (`user`), `repository-unavailable` (`infra`), `repository-refused` (`user`) where
 *   one that a build file names leads out of reach, `apk-malformed` or `apk-mismatch` (`infra`) where a file is not
 *   what the index says.
 */
export async function lockEnvironment(options: LockOptions): Promise<LockedPackage[]> {
  const { repositories, arch, signal, ledger, limits } = options;
  const indexes = await Promise.all(
    repositories.map((repository) => options.indexes.read(repository, arch, signal)),
  );
  const fixed = universeOf(indexes);
  const universe =
    options.ahead.length === 0 ? fixed : extendUniverse(fixed, options.ahead.map(universeSource));
  const all = [...options.ahead.map((one) => one.repository), ...repositories];
  const solution = solve({ world: options.world, indexes: universe });
  const wanted = solution.packages.map(({ entry, repository: location }) => {
    const repository = all.find((one) => one.location === location);
    if (repository === undefined || entry.controlChecksum === undefined) throw withoutChecksum(entry);
    const url = packageUrl(repository, arch, entry);
    return { entry, repository, url, id: packageFileId(url, entry.controlChecksum) };
  });
  const known = await ledger.find(wanted.map((one) => one.id));
  const locked: LockedPackage[] = [];
  const open = [...wanted.entries()];
  let done = 0;
  const failed = new AbortController();
  const ended = AbortSignal.any([signal, failed.signal]);
  const work = async (): Promise<void> => {
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const [index, { id, ...one }] = next;
      ended.throwIfAborted();
      const verified = known.get(id) ?? (await verify(one, { limits, signal: ended }));
      if (!known.has(id)) await ledger.remember(id, verified);
      locked[index] = { ...one, sha256: verified.sha256, bytes: verified.bytes };
      done += 1;
      options.onVerified?.(done, wanted.length);
    }
  };
  // One failure ends the other downloads.
  const worker = (): Promise<void> =>
    work().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    });
  await Promise.all(Array.from({ length: VERIFY_CONCURRENCY }, worker));
  return locked;
}

/** A ledger for one process, in front of a shared one. */
export function inMemoryLedger(behind?: PackageLedger): PackageLedger {
  const kept = new Map<string, VerifiedPackage>();
  return {
    async find(ids) {
      const missing = ids.filter((id) => !kept.has(id));
      if (missing.length > 0 && behind !== undefined) {
        for (const [id, verified] of await behind.find(missing)) kept.set(id, verified);
      }
      return new Map(
        ids.flatMap((id) => {
          const verified = kept.get(id);
          return verified === undefined ? [] : [[id, verified] as const];
        }),
      );
    },
    async remember(id, verified) {
      kept.set(id, verified);
      await behind?.remember(id, verified);
    },
  };
}

interface Wanted {
  readonly entry: IndexEntry;
  readonly repository: Repository;
  readonly url: string;
}

async function verify(
  wanted: Wanted,
  options: { readonly limits: FetchLimits | undefined; readonly signal: AbortSignal },
): Promise<VerifiedPackage> {
  const { repository, url, entry } = wanted;
  const read = async (answer: RepositoryAnswer): Promise<VerifiedPackage> => {
    if (answer.status !== 200) throw unavailable(url, `it answered ${answer.status}`);
    try {
      const found = await verifyPackage({
        source: answer.body,
        keys: repository.keys,
        expectedControlChecksum: entry.controlChecksum ?? '',
      });
      return { sha256: found.sha256, bytes: found.size };
    } catch (error) {
      options.signal.throwIfAborted();
      throw aboutFile(url, asPipelineError(error));
    }
  };
  return fetchFrom(repository, url, { ...options, read });
}

/** The error of a file, with its URL. Nobody but the repository is to blame for it. */
function aboutFile(url: string, error: PipelineError): PipelineError {
  if (error.code === 'repository-unavailable') return error;
  return new PipelineError({
    code: error.code,
    kind: error.kind === 'user' ? 'infra' : error.kind,
    message: `${url}: ${error.message}`,
    hint: error.hint,
    cause: error,
  });
}

const universes = new WeakMap<readonly IndexEntry[], Map<string, Universe<IndexEntry>>>();

/** The name table of these indexes; made once for as long as the first of them stays the same. */
function universeOf(indexes: readonly RepositoryIndex[]): Universe<IndexEntry> {
  const [first] = indexes;
  if (first === undefined) return buildUniverse<IndexEntry>([]);
  const key = JSON.stringify(
    indexes.map(({ version, repository }) => [version, repository.location, repository.pin]),
  );
  const known = universes.get(first.entries)?.get(key);
  if (known !== undefined) return known;
  const universe = buildUniverse(indexes.map(universeSource));
  universes.set(first.entries, new Map([[key, universe]]));
  return universe;
}

function universeSource(index: RepositoryIndex): UniverseSource<IndexEntry> {
  const { location, pin } = index.repository;
  return { repository: location, pin, entries: index.entries };
}

function withoutChecksum(entry: IndexEntry): PipelineError {
  return new PipelineError({
    code: 'index-malformed',
    kind: 'infra',
    message: `the index gives no checksum for ${entry.name}-${entry.version}`,
  });
}
