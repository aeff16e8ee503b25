/**
 * Package files whose whole chain of digests has been checked: signed index → control checksum → data hash, and the
 * package's own signature where a known key made it. A file is fetched for that once; what it contains is remembered,
 * since its bytes never pass through here again.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
import type { PackageContents } from '../../shared/apk/package-contents.ts';
import { type VerifiedPackage, verifyPackage } from '../../shared/apk/package-read.ts';
import { asPipelineError, PipelineError } from '../../shared/errors.ts';
import { createSharedWork } from '../../shared/shared-work.ts';
import type { Repository } from './repository.ts';
import { type FetchLimits, fetchFrom, type RepositoryAnswer, unavailable } from './repository-fetch.ts';

/** A package as the index offers it. */
export interface WantedPackage {
  /** `packageFileId` of the URL and the control checksum. */
  readonly id: string;
  readonly url: string;
  readonly repository: Repository;
  /** The index's `C:`. */
  readonly controlChecksum: string;
  /** Where no index lists the package: a key of the repository must have signed the file itself. */
  readonly proof?: 'signature' | undefined;
}

/** A file that was checked. */
export interface VerifiedFile {
  /** SHA-256 of the whole file, hex. */
  readonly sha256: string;
  readonly bytes: number;
}

export interface KnownPackage extends VerifiedFile {
  readonly contents: PackageContents;
}

/** What all runners know together. */
export interface PackageLedger {
  find(ids: readonly string[]): Promise<ReadonlyMap<string, VerifiedFile>>;
  /** Undefined where they are lost; the package is verified again then. */
  contents(id: string): Promise<PackageContents | undefined>;
  /** Verifies a file and records it, unless another runner is at it: then waits for what that one finds. */
  verifyOnce(
    id: string,
    work: { readonly verify: () => Promise<KnownPackage>; readonly signal: AbortSignal },
  ): Promise<KnownPackage | VerifiedFile>;
  /** Records another file in place of one that is no more. */
  replace(id: string, known: KnownPackage): Promise<void>;
}

export interface LearnOptions {
  /** For each package; those of `FETCH_LIMITS` by default. */
  readonly limits?: FetchLimits | undefined;
  /** Told after each package whose file is known to be right. */
  readonly onVerified?: ((done: number, total: number) => void) | undefined;
  readonly signal: AbortSignal;
}

export interface KnownPackages {
  /**
   * What is known of these packages, in their order; those that are new are fetched and verified, each once however
   * many ask for it.
   *
   * @throws PipelineError `repository-unavailable`, `apk-malformed`, `apk-mismatch` (`infra`), `repository-refused`;
   *   `index-signature` (`infra`) for a file that has to be signed itself and is not.
   */
  learn<Wanted extends WantedPackage>(
    wanted: readonly Wanted[],
    options: LearnOptions,
  ): Promise<(Wanted & KnownPackage)[]>;
  /**
   * Verifies a package again whose file is no longer what it was: a package that is signed anew keeps its control
   * checksum. Undefined where the file is unchanged.
   *
   * @throws PipelineError as `learn`; `apk-mismatch` names both digests where control or data are others.
   */
  learnAgain<Wanted extends WantedPackage & VerifiedFile>(
    known: Wanted,
    signal: AbortSignal,
  ): Promise<(Wanted & KnownPackage) | undefined>;
}

/** Packages fetched at the same time by a process. */
const DOWNLOADS = 8;
/** Paths kept in memory for all known packages together; some 250 bytes each. */
const MAX_KEPT_PATHS = 200_000;
/** A package without paths takes as much memory as this many. */
const PATHS_PER_PACKAGE = 10;

/** One memory for all jobs of a process, in front of the one they share with others. */
export function createKnownPackages(ledger?: PackageLedger): KnownPackages {
  const kept = new LRUCache<string, KnownPackage>({
    maxSize: MAX_KEPT_PATHS,
    sizeCalculation: (one) => PATHS_PER_PACKAGE + one.contents.entries.length,
  });
  const running = createSharedWork<KnownPackage>();
  const download = pLimit(DOWNLOADS);

  /** The ledger says what is in a file, not who signed it. */
  const ledgerOf = (one: WantedPackage): PackageLedger | undefined =>
    one.proof === 'signature' ? undefined : ledger;

  const learnOne = async (
    one: WantedPackage,
    found: VerifiedFile | undefined,
    options: Pick<LearnOptions, 'limits' | 'signal'>,
  ): Promise<KnownPackage> => {
    const { signal } = options;
    const verify = (): Promise<KnownPackage> =>
      download(async () => {
        signal.throwIfAborted();
        return fetchAndVerify(one, options);
      });
    const recorded = found ?? (await ledgerOf(one)?.verifyOnce(one.id, { verify, signal }));
    const known = recorded === undefined ? await verify() : await withContents(one, recorded, verify);
    kept.set(memoryKey(one), known);
    return known;
  };

  const withContents = async (
    one: WantedPackage,
    recorded: KnownPackage | VerifiedFile,
    verify: () => Promise<KnownPackage>,
  ): Promise<KnownPackage> => {
    if ('contents' in recorded) return recorded;
    const contents = await ledger?.contents(one.id);
    if (contents !== undefined) return { ...recorded, contents };
    const again = await verify();
    await ledger?.replace(one.id, again);
    return again;
  };

  const learn: KnownPackages['learn'] = async (wanted, options) => {
    const open = wanted.filter((one) => ledgerOf(one) !== undefined && !kept.has(memoryKey(one)));
    const found = open.length === 0 ? undefined : await ledger?.find(open.map((one) => one.id));
    const failed = new AbortController();
    const signal = AbortSignal.any([options.signal, failed.signal]);
    let done = 0;
    const learned = wanted.map(async (one) => {
      const work = (shared: AbortSignal): Promise<KnownPackage> =>
        learnOne(one, ledgerOf(one) && found?.get(one.id), { limits: options.limits, signal: shared });
      const key = memoryKey(one);
      const known = kept.get(key) ?? (await running.join(key, work, signal));
      done += 1;
      options.onVerified?.(done, wanted.length);
      return { ...one, ...known };
    });
    try {
      return await Promise.all(learned);
    } catch (error) {
      // One failure ends the waiting for the others.
      failed.abort(error);
      await Promise.allSettled(learned);
      throw error;
    }
  };

  return {
    learn,
    async learnAgain(one, signal) {
      const recorded = (await ledgerOf(one)?.find([one.id]))?.get(one.id);
      if (recorded !== undefined && recorded.sha256 !== one.sha256) {
        kept.delete(memoryKey(one));
        const [known] = await learn([one], { signal });
        return known;
      }
      const again = await fetchAndVerify(one, { signal });
      if (again.sha256 === one.sha256) return undefined;
      await ledgerOf(one)?.replace(one.id, again);
      kept.set(memoryKey(one), again);
      return { ...one, ...again };
    },
  };
}

/** Under what a package is kept: what a signature proves depends on the keys that it was checked with. */
function memoryKey({ id, proof, repository }: WantedPackage): string {
  if (proof !== 'signature') return id;
  const digest = createHash('sha256');
  for (const [name, key] of [...repository.keys].sort(([a], [b]) => (a < b ? -1 : 1))) {
    digest.update(`${name}\n${key.export({ type: 'spki', format: 'pem' }).toString()}`);
  }
  return `${id} signed ${digest.digest('hex')}`;
}

async function fetchAndVerify(
  wanted: WantedPackage,
  options: Pick<LearnOptions, 'limits' | 'signal'>,
): Promise<KnownPackage> {
  const { repository, url, controlChecksum, proof } = wanted;
  const read = async (answer: RepositoryAnswer): Promise<KnownPackage> => {
    if (answer.status !== 200) throw unavailable(url, `it answered ${answer.status}`);
    try {
      const found = await verifyPackage({
        source: answer.body,
        keys: repository.keys,
        ...(proof === 'signature' ? {} : { expectedControlChecksum: controlChecksum }),
      });
      if (proof === 'signature') requireSigned(wanted, found);
      return { sha256: found.sha256, bytes: found.size, contents: found.contents };
    } catch (error) {
      options.signal.throwIfAborted();
      throw aboutFile(url, asPipelineError(error));
    }
  };
  return fetchFrom(repository, url, { ...options, read, whenBroken: 'read-again' });
}

function requireSigned(wanted: WantedPackage, found: VerifiedPackage): void {
  if (found.controlChecksum !== wanted.controlChecksum) {
    throw new PipelineError({
      code: 'apk-mismatch',
      kind: 'infra',
      message: `its control checksum is ${found.controlChecksum}, not ${wanted.controlChecksum}`,
    });
  }
  if (found.signedBy !== undefined) return;
  throw new PipelineError({
    code: 'index-signature',
    kind: 'infra',
    message: 'the index does not list it any more, and no key of the repository has signed the file itself',
  });
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
