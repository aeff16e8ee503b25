/** What the packages of a plan say about themselves. */
import type { BuildPlan } from '../../shared/build-file/plan.ts';
import type { PackageToMake } from '../packaging/package-output.ts';

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
