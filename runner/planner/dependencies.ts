/** The order of the packages of one build: who needs what another one makes. */
import { stripConstraint } from '../../shared/apk/constraint.ts';
import type { BuildPlan } from '../../shared/build-file/plan.ts';
import { PipelineError } from '../../shared/errors.ts';

export interface OrderedPlan {
  readonly plan: BuildPlan;
  /** Names of main packages of this build that have to be built first. */
  readonly dependencies: readonly string[];
}

/**
 * Finds the edges between the plans of one architecture and puts them in build order. An edge exists for each package
 * of an environment that another plan makes, under a package's name or a name it provides.
 *
 * @throws PipelineError `request-invalid` (`user`) for two plans of one name, and for a cycle, which it names.
 */
export function orderPlans(plans: readonly BuildPlan[], mode: 'flat' | 'dag'): OrderedPlan[] {
  const providers = new Map<string, string>();
  const byName = new Map<string, BuildPlan>();
  for (const plan of plans) {
    if (byName.has(plan.name)) throw invalid(`two build files make the package ${plan.name}`);
    byName.set(plan.name, plan);
  }
  for (const plan of plans) {
    for (const one of plan.packages) {
      for (const provide of one.dependencies.provides) {
        const name = stripConstraint(provide);
        if (!providers.has(name)) providers.set(name, plan.name);
      }
    }
  }
  // A package's own name counts before what others provide under it.
  for (const plan of plans) for (const one of plan.packages) providers.set(one.name, plan.name);

  const edges = (plan: BuildPlan): string[] => {
    if (mode === 'flat') return [];
    const needed = plan.environment.packages.flatMap((constraint) => {
      const provider = providers.get(stripConstraint(constraint));
      return provider === undefined || provider === plan.name ? [] : [provider];
    });
    return [...new Set(needed)].sort();
  };

  const ordered: OrderedPlan[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (plan: BuildPlan): void => {
    if (done.has(plan.name)) return;
    const at = path.indexOf(plan.name);
    if (at >= 0) throw invalid(`the packages need each other: ${[...path.slice(at), plan.name].join(' → ')}`);
    path.push(plan.name);
    const dependencies = edges(plan);
    for (const name of dependencies) {
      const dependency = byName.get(name);
      if (dependency !== undefined) visit(dependency);
    }
    path.pop();
    done.add(plan.name);
    ordered.push({ plan, dependencies });
  };
  for (const plan of plans) visit(plan);
  return ordered;
}

function invalid(message: string): PipelineError {
  return new PipelineError({
    code: 'request-invalid',
    kind: 'user',
    message,
    hint: 'take one of them out of the request, or build with mode "flat" against the published repository',
  });
}
