/** The environment of one build: solved, verified, and composed for the BuildKit it is made in. */
import { setImmediate } from 'node:timers/promises';
import { publicKeyName, type SigningKey } from '../../shared/apk/keys.ts';
import type { BuildPlan } from '../../shared/build-file/plan.ts';
import { asPipelineError } from '../../shared/errors.ts';
import { type ComposedEnvironment, composeEnvironment } from '../environment/compose.ts';
import type { KnownPackages } from '../environment/known-packages.ts';
import { type LockedPackage, type LockOptions, lockEnvironment } from '../environment/lock.ts';
import type { LockDocument } from '../environment/lock-document.ts';
import { lockFromDocument, lockMismatch } from '../environment/lock-from-document.ts';
import { type NamedRepositoryPolicy, namedRepositories } from '../environment/named-repositories.ts';
import type { IndexCache, Repository, RepositoryIndex } from '../environment/repository.ts';
import { solve } from '../environment/solver.ts';
import { buildUniverse } from '../environment/universe.ts';

/** What the environments of a runner are made of. */
export interface EnvironmentContext {
  readonly repositories: readonly Repository[];
  /** Which repositories a build file may name beside those. */
  readonly namedRepositories: NamedRepositoryPolicy;
  readonly indexes: IndexCache;
  readonly knownPackages: KnownPackages;
  /** The key packages are signed with: packages made here can be installed where it is known. */
  readonly key: SigningKey;
  /** Package names whose closure most environments share, for example `build-base`. */
  readonly baseWorld: readonly string[];
}

export interface BuildEnvironmentOptions {
  readonly plan: BuildPlan;
  /** Packages ahead of the configured repositories: what jobs of the same build have just made. */
  readonly ahead: readonly RepositoryIndex[];
  /** Asked once the packages are known. */
  readonly layout: () => Promise<'merge' | 'one-layer'>;
  /** What the environment has to be, instead of what the solver would find now. */
  readonly lock?: LockDocument | undefined;
  /** Told the packages before they are composed; again where `renewed` finds other files. */
  readonly onLocked?: ((locked: readonly LockedPackage[]) => Promise<void>) | undefined;
  readonly signal: AbortSignal;
}

export interface BuildEnvironment {
  readonly composed: ComposedEnvironment;
  /** In order of installation. */
  readonly locked: readonly LockedPackage[];
  /** Value of a session secret that the composition names; undefined for any other. */
  secret(id: string): Promise<Buffer | undefined>;
  /**
   * The environment anew where the files of these packages, by the digests of the ops that fetch them, are no longer
   * what they were but still the same packages; undefined where they are unchanged.
   *
   * @throws PipelineError `apk-mismatch` (`infra`) where they are other packages, or a lock asks for the files as they
   *   were.
   */
  renewed(failed: ReadonlySet<string>): Promise<BuildEnvironment | undefined>;
}

/** Whether a plan has steps that run in an environment. */
export function needsEnvironment(plan: BuildPlan): boolean {
  return plan.packages.some((one) => one.steps.length > 0);
}

/**
 * @throws PipelineError as `lockEnvironment`, `lockFromDocument` and `composeEnvironment`; `repository-refused` (`user`)
 *   where the build file names a repository it may not.
 */
export async function makeBuildEnvironment(
  context: EnvironmentContext,
  options: BuildEnvironmentOptions,
): Promise<BuildEnvironment> {
  const { plan, ahead, lock, signal } = options;
  const named = namedRepositories(plan.environment.repositories, {
    configured: context.repositories,
    policy: context.namedRepositories,
  });
  const repositories = [...context.repositories, ...named];
  const wanted: LockOptions = {
    world: plan.environment.packages,
    arch: plan.arch,
    repositories,
    ahead,
    indexes: context.indexes,
    packages: context.knownPackages,
    signal,
  };
  const locked = await (lock === undefined ? lockEnvironment(wanted) : lockFromDocument(lock, wanted));
  return composed(context, options, {
    repositories: [...ahead.map((one) => one.repository), ...repositories],
    locked,
  });
}

async function composed(
  context: EnvironmentContext,
  options: BuildEnvironmentOptions,
  made: { readonly repositories: readonly Repository[]; readonly locked: readonly LockedPackage[] },
): Promise<BuildEnvironment> {
  const { plan, signal } = options;
  const { repositories, locked } = made;
  await options.onLocked?.(locked);
  const layout = await options.layout();
  // Composing takes some tens of milliseconds of the only thread: of several, each lets the others' calls through.
  await setImmediate();
  const environment = composeEnvironment({
    packages: locked,
    base: basePackages(context, locked),
    layout,
    authSecrets: authSecrets(repositories),
    world: plan.environment.packages,
    arch: plan.arch,
    repositories: plan.environment.keptRepositories,
    keys: keysOf(context, repositories),
    configuration: configurationOf(plan, locked),
    accounts: plan.environment.accounts,
    paths: plan.environment.paths,
  });
  return {
    composed: environment,
    locked,
    async secret(id) {
      const repository = repositories.find((one) => id === secretOf(one));
      const value = await repository?.authorization?.();
      return value === undefined ? undefined : Buffer.from(value);
    },
    async renewed(failed) {
      const changed = new Map<LockedPackage, LockedPackage>();
      for (const digest of failed) {
        const one = environment.sources.get(digest);
        const known = one === undefined ? undefined : await context.knownPackages.learnAgain(one, signal);
        if (one === undefined || known === undefined) continue;
        if (options.lock !== undefined) {
          throw lockMismatch(one.entry, { of: 'file', locked: one.sha256, found: known.sha256 });
        }
        changed.set(one, known);
      }
      if (changed.size === 0) return undefined;
      return composed(context, options, {
        repositories,
        locked: locked.map((one) => changed.get(one) ?? one),
      });
    },
  };
}

/**
 * Names of the packages of `baseWorld` and what they need, where all of them are in this environment and of configured
 * repositories; else none. They are unpacked as one layer, which the merge need not link file by file. Chosen among the
 * locked packages alone, so that the same lock gives the same layers whatever the indexes say by then.
 */
function basePackages(
  { baseWorld: world, repositories }: EnvironmentContext,
  locked: readonly LockedPackage[],
): ReadonlySet<string> {
  if (world.length === 0) return new Set();
  const configured = locked.filter((one) => repositories.includes(one.repository));
  if (!world.every((name) => configured.some((one) => one.entry.name === name))) return new Set();
  const sources = repositories.map((repository) => ({
    repository: repository.location,
    pin: repository.pin,
    entries: configured.filter((one) => one.repository === repository).map((one) => one.entry),
  }));
  try {
    const { packages } = solve({ world, indexes: buildUniverse(sources) });
    return new Set(packages.map(({ entry }) => entry.name));
  } catch (error) {
    // The base set is a matter of speed: where it does not solve, the environment is made without it.
    if (asPipelineError(error).code === 'unsolvable') return new Set();
    throw error;
  }
}

/** PEM by file name, of all keys that packages of the environment may be signed with. */
function keysOf(
  context: EnvironmentContext,
  repositories: readonly Repository[],
): ReadonlyMap<string, string> {
  const own = [publicKeyName(context.key), context.key.publicKey] as const;
  const all = new Map([...repositories.flatMap((one) => [...one.keys]), own]);
  return new Map(
    [...all.keys()].sort().flatMap((name) => {
      const pem = all.get(name)?.export({ type: 'spki', format: 'pem' });
      return pem === undefined ? [] : [[name, pem.toString()] as const];
    }),
  );
}

/** What `/etc/apko.json` says (spec environment §9, §10). */
function configurationOf(plan: BuildPlan, locked: readonly LockedPackage[]): Record<string, unknown> {
  const { keptRepositories, accounts, variables } = plan.environment;
  return {
    contents: {
      repositories: keptRepositories,
      packages: locked.map((one) => `${one.entry.name}=${one.entry.version}`).sort(),
    },
    accounts: { users: accounts.users, groups: accounts.groups },
    environment: variables,
    archs: [plan.arch],
  };
}

/** Ids of the session secrets with the credentials of each repository that needs some. */
function authSecrets(repositories: readonly Repository[]): ReadonlyMap<string, string> {
  return new Map(
    repositories
      .filter((one) => one.authorization !== undefined)
      .map((one) => [one.location, secretOf(one)] as const),
  );
}

function secretOf(repository: Repository): string {
  return `authorization:${repository.location}`;
}
