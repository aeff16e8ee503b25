/** The environment of a lock document, made again from the repositories as they are now. */
import { type IndexEntry, indexEntryOf } from '../../shared/apk/package-index.ts';
import { asPipelineError, PipelineError } from '../../shared/errors.ts';
import { packageFileId } from '../../shared/identity.ts';
import { checkClosure } from './closure-check.ts';
import type { KnownPackage, WantedPackage } from './known-packages.ts';
import type { LockedPackage, LockOptions } from './lock.ts';
import {
  invalidLock,
  LOCK_AGAIN,
  type LockDocument,
  publishedLocation,
  requireLockFor,
} from './lock-document.ts';
import { packageUrl, type Repository, type RepositoryIndex } from './repository.ts';
import { newSolveState } from './solve-state.ts';
import { buildUniverse } from './universe.ts';

type DocumentPackage = LockDocument['packages'][number];

/**
 * The packages of a document, in its order; nothing is solved. Each must be in an index as it was, or, where the index
 * lists that version no more, be signed itself by a key of its repository; and its file must be the one that was locked.
 * A package that a build made beside the locked one is looked for in the repository that the build went into, and among
 * what is `ahead` of it.
 *
 * @throws PipelineError `request-invalid` (`user`) where the lock is for something else or names a repository that is
 *   not there; `apk-mismatch` (`infra`) where a package is another one now; `index-signature` (`infra`) for one that
 *   nothing vouches for; `unsolvable` (`user`) where the packages do not do with one another; as `lockEnvironment`.
 */
export async function lockFromDocument(
  document: LockDocument,
  options: LockOptions,
): Promise<LockedPackage[]> {
  requireLockFor(document, options);
  const offers = await readOffers(document, options);
  const wanted = document.packages.map((line) => want(line, offers, options.arch));
  const locked: LockedPackage[] = [];
  for (const one of await learn(wanted, options))
    locked.push(asLocked(await asItWas(one, options), options.arch));
  requireClosure(locked, document.world);
  return locked;
}

/** The error for a package whose file is not the locked one. */
export function lockMismatch(
  { name, version }: Pick<IndexEntry, 'name' | 'version'>,
  what: { readonly of: 'file' | 'control member'; readonly locked: string; readonly found: string },
): PipelineError {
  return new PipelineError({
    code: 'apk-mismatch',
    kind: 'infra',
    message: `${name}-${version} is not what was locked: the digest of its ${what.of} is ${what.found}, the lock says ${what.locked}`,
    hint: `it was replaced or signed anew; where that is right, ${LOCK_AGAIN}`,
  });
}

/** What a location of the document stands for. */
interface Offers {
  /** Undefined where only builds of now have made packages for it. */
  readonly repository: Repository | undefined;
  /** By `name-version`, those of the repository first. */
  readonly found: ReadonlyMap<
    string,
    readonly { readonly entry: IndexEntry; readonly repository: Repository }[]
  >;
}

interface LockedLine extends WantedPackage {
  readonly line: DocumentPackage;
  /** Undefined where no index lists it. */
  readonly entry: IndexEntry | undefined;
}

/** By location, for the packages of the document alone. */
async function readOffers(
  document: LockDocument,
  { repositories, ahead, arch, indexes, signal }: LockOptions,
): Promise<ReadonlyMap<string, Offers>> {
  const wanted = new Map(document.packages.map((line) => [line.name, fileStem(line)] as const));
  const read = async (location: string): Promise<readonly [string, Offers]> => {
    const place = publishedLocation(location);
    const repository = repositories.find((one) => publishedLocation(one.location) === place);
    const beside = ahead.filter((one) => publishedLocation(one.repository.location) === place);
    if (repository === undefined && beside.length === 0) {
      throw invalidLock(
        `the lock names the repository ${location}, which this build does not have`,
        `add the repository, or ${LOCK_AGAIN}`,
      );
    }
    const listed = repository === undefined ? [] : [await indexes.read(repository, arch, signal)];
    return [location, { repository, found: findAll([...listed, ...beside], wanted) }];
  };
  const locations = new Set(document.packages.map((line) => line.repository));
  return new Map(await Promise.all([...locations].map(read)));
}

function findAll(indexes: readonly RepositoryIndex[], wanted: ReadonlyMap<string, string>): Offers['found'] {
  const found = new Map<string, { readonly entry: IndexEntry; readonly repository: Repository }[]>();
  for (const { repository, entries } of indexes) {
    for (const entry of entries) {
      const stem = wanted.get(entry.name);
      if (stem === undefined || stem !== fileStem(entry)) continue;
      found.set(stem, [...(found.get(stem) ?? []), { entry, repository }]);
    }
  }
  return found;
}

function want(line: DocumentPackage, offers: ReadonlyMap<string, Offers>, arch: string): LockedLine {
  const { repository: own, found } = offers.get(line.repository) ?? {
    repository: undefined,
    found: new Map(),
  };
  const listed: readonly { entry: IndexEntry; repository: Repository }[] = found.get(fileStem(line)) ?? [];
  const same = listed.find(({ entry }) => isSame(entry, line));
  const [other] = listed;
  if (same === undefined && other !== undefined) {
    const now = other.entry.controlChecksum ?? 'missing';
    throw lockMismatch(line, { of: 'control member', locked: line.checksum, found: now });
  }
  const repository = same?.repository ?? own;
  if (repository === undefined) {
    throw invalidLock(
      `the lock names ${fileStem(line)} of ${line.repository}, which has no such package`,
      LOCK_AGAIN,
    );
  }
  const url =
    same === undefined
      ? `${repository.baseUrl}/${arch}/${fileStem(line)}.apk`
      : packageUrl(repository, arch, same.entry);
  return {
    line,
    entry: same?.entry,
    repository,
    url,
    controlChecksum: line.checksum,
    id: packageFileId(url, line.checksum),
    proof: same === undefined ? 'signature' : undefined,
  };
}

async function learn(
  wanted: readonly LockedLine[],
  options: LockOptions,
): Promise<(LockedLine & KnownPackage)[]> {
  try {
    return await options.packages.learn(wanted, options);
  } catch (thrown) {
    options.signal.throwIfAborted();
    const error = asPipelineError(thrown);
    const { code, kind, message } = error;
    if (kind !== 'infra') throw error;
    const hint = `a lock needs each file as it was; where one is gone for good, ${LOCK_AGAIN}`;
    throw new PipelineError({ code, kind, message, hint, cause: error });
  }
}

/** The package with its file as it was locked. What is remembered of a file may be older than the lock. */
async function asItWas(
  known: LockedLine & KnownPackage,
  { packages, signal }: LockOptions,
): Promise<LockedLine & KnownPackage> {
  const { line } = known;
  let one = known;
  // First for what other processes know by now, then for the file itself.
  for (let tries = 0; one.sha256 !== line.sha256 && tries < 2; tries += 1) {
    const again = await packages.learnAgain(one, signal);
    if (again === undefined) break;
    one = again;
  }
  if (one.sha256 === line.sha256) return one;
  throw lockMismatch(line, { of: 'file', locked: line.sha256, found: one.sha256 });
}

function asLocked(one: LockedLine & KnownPackage, arch: string): LockedPackage {
  const { line, id, url, repository, controlChecksum, proof, sha256, bytes, contents } = one;
  const entry = one.entry ?? indexEntryOf({ info: contents.info, controlChecksum, size: bytes });
  // No index ties what is in the file to where it lies.
  if (one.entry === undefined && !(isSame(entry, line) && [arch, 'noarch'].includes(entry.arch))) {
    throw new PipelineError({
      code: 'apk-mismatch',
      kind: 'infra',
      message: `${url} is ${fileStem(entry)} for ${entry.arch}, not ${fileStem(line)} for ${arch}`,
      hint: LOCK_AGAIN,
    });
  }
  return { id, url, repository, controlChecksum, proof, sha256, bytes, contents, entry };
}

/** The solver's own last look. What `install_if` may have brought need not have its dependencies there. */
function requireClosure(locked: readonly LockedPackage[], world: readonly string[]): void {
  const offers = locked.map(({ entry, repository: { location, pin } }) => ({
    entry,
    repository: location,
    pin,
  }));
  const present = new Set(offers.flatMap(({ entry: { name, version } }) => [name, `${name}=${version}`]));
  const expanded = offers.filter(
    ({ entry }) => entry.installIf.length === 0 || !entry.installIf.every((one) => present.has(one)),
  );
  try {
    checkClosure(newSolveState(buildUniverse<IndexEntry>([])), offers, {
      world,
      expanded: new Set(expanded),
    });
  } catch (thrown) {
    const cause = asPipelineError(thrown);
    if (cause.code !== 'unsolvable') throw thrown;
    const message = `the packages of the lock do not do with one another: ${cause.message}`;
    throw new PipelineError({ code: 'unsolvable', kind: 'user', message, hint: LOCK_AGAIN, cause });
  }
}

function isSame(entry: IndexEntry, line: DocumentPackage): boolean {
  return (
    entry.name === line.name && entry.version === line.version && entry.controlChecksum === line.checksum
  );
}

/** How the package's file is called, without `.apk`. */
function fileStem({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name}-${version}`;
}
