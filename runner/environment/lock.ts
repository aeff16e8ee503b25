/** Locks an environment: which packages, in which versions, and the digest of each file. */
import type { IndexEntry } from '../../shared/apk/package-index.ts';
import { PipelineError } from '../../shared/errors.ts';
import { packageFileId } from '../../shared/identity.ts';
import type { KnownPackage, KnownPackages, LearnOptions, WantedPackage } from './known-packages.ts';
import { type IndexCache, packageUrl, type Repository, type RepositoryIndex } from './repository.ts';
import { solve } from './solver.ts';
import { buildUniverse, type UniverseSource } from './universe.ts';

export interface LockedPackage extends WantedPackage, KnownPackage {
  readonly entry: IndexEntry;
}

export interface LockOptions extends LearnOptions {
  /** Constraints, as in `environment.contents.packages`. */
  readonly world: readonly string[];
  readonly arch: string;
  readonly repositories: readonly Repository[];
  /** Packages that count before those of the repositories. */
  readonly ahead: readonly RepositoryIndex[];
  readonly indexes: IndexCache;
  readonly packages: KnownPackages;
}

/**
 * Solves the constraints against the repositories as they are now and verifies each package that is new: signed index
 * → control checksum → data hash. In order of installation.
 *
 * @throws PipelineError `unsolvable` (`user`), `repository-unavailable` (`infra`), `repository-refused` (`user`) where
 *   one that a build file names leads out of reach, `apk-malformed` or `apk-mismatch` (`infra`) where a file is not
 *   what the index says.
 */
export async function lockEnvironment(options: LockOptions): Promise<LockedPackage[]> {
  const { repositories, arch, signal } = options;
  const indexes = await Promise.all(
    repositories.map((repository) => options.indexes.read(repository, arch, signal)),
  );
  const universe = buildUniverse([...options.ahead, ...indexes].map(universeSource));
  const all = [...options.ahead.map((one) => one.repository), ...repositories];
  const solution = solve({ world: options.world, indexes: universe });
  const wanted = solution.packages.map(({ entry, repository: location }) => {
    const repository = all.find((one) => one.location === location);
    if (repository === undefined || entry.controlChecksum === undefined) throw withoutChecksum(entry);
    const url = packageUrl(repository, arch, entry);
    const { controlChecksum } = entry;
    return { entry, repository, url, controlChecksum, id: packageFileId(url, controlChecksum) };
  });
  return options.packages.learn(wanted, options);
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
