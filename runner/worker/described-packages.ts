/** What the packages of a plan say about themselves, and which packages an environment shares with most others. */
import type { BuildPlan } from '../../shared/build-file/plan.ts';
import { asPipelineError } from '../../shared/errors.ts';
import type { LockedPackage } from '../environment/lock.ts';
import { lockEnvironment } from '../environment/lock.ts';
import type { PackageToMake } from '../packaging/package-output.ts';
import type { EngineContext } from './attempt.ts';

/** Descriptions for `.PKGINFO`, main package first. */
export function packagesToMake(plan: BuildPlan, namespace: string): PackageToMake[] {
  const [main] = plan.packages;
  const licenses = (main?.copyright ?? []).map((one) => one.license).filter((one) => one !== '');
  return plan.packages.map((one) => ({
    description: {
      name: one.name,
      version: plan.fullVersion,
      arch: plan.arch,
      origin: plan.name,
      description: one.description,
      url: one.url,
      commit: one.commit,
      maintainer: namespace,
      licenses,
      depends: one.dependencies.runtime,
      provides: one.dependencies.provides,
      replaces: one.dependencies.replaces,
      providerPriority: one.dependencies.providerPriority,
      replacesPriority: one.dependencies.replacesPriority,
      triggers: one.scriptlets.trigger?.paths ?? [],
    },
    scriptlets: {
      ...one.scriptlets.scripts,
      ...(one.scriptlets.trigger === undefined ? {} : { trigger: one.scriptlets.trigger.script }),
    },
  }));
}

/**
 * Names of the packages of `baseWorld` and what they need, where all of them are in this environment in the same
 * version; else none. They are unpacked as one layer, which the merge need not link file by file.
 */
export async function basePackages(
  context: EngineContext,
  what: { readonly arch: string; readonly locked: readonly LockedPackage[]; readonly signal: AbortSignal },
): Promise<ReadonlySet<string>> {
  const { baseWorld: world, repositories, indexes, ledger } = context;
  if (world.length === 0) return new Set();
  const present = new Map(what.locked.map((one) => [one.entry.name, one.sha256]));
  if (!world.every((name) => present.has(name))) return new Set();
  try {
    const { arch, signal } = what;
    const base = await lockEnvironment({ world, arch, repositories, ahead: [], indexes, ledger, signal });
    const shared = base.every((one) => present.get(one.entry.name) === one.sha256);
    return shared ? new Set(base.map((one) => one.entry.name)) : new Set();
  } catch (error) {
    // The base set is a matter of speed: where it does not solve, the environment is made without it.
    if (asPipelineError(error).code === 'unsolvable') return new Set();
    throw error;
  }
}
