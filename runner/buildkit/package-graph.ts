/** The LLB of a package build: workspace, sources, one exec per step, and the output directories as its result. */
import type { BuildPlan, PlannedPackage, PlannedStep } from '../../shared/build-file/plan.ts';
import { stepCommand } from '../../shared/build-file/shell.ts';
import { PipelineError } from '../../shared/errors.ts';
import { MIN_STEP_EPOCH_S } from '../../shared/limits.ts';
import { fusedScript } from './fused-steps.ts';
import { type Exec, exec, type FileStep, fileOp, httpSource, type Network, type Output } from './llb.ts';

export interface PackageGraphOptions {
  readonly plan: BuildPlan;
  /** Root file system of the steps; not needed when there are none. */
  readonly environment: Output | undefined;
  /** Tar of the source directory, which the session uploads under `id`. */
  readonly source: { readonly id: string; readonly sha256: string } | undefined;
  /** Unix seconds. */
  readonly sourceDateEpoch: number;
  readonly network: Network;
  /** Prints each command. */
  readonly debug: boolean;
}

export interface GraphStep {
  readonly name: string;
  readonly packageName: string;
}

export interface PackageGraph {
  /** A directory for each package. */
  readonly output: Output;
  /** Execs by digest: one step, or several in their order. */
  readonly execs: ReadonlyMap<string, readonly GraphStep[]>;
  readonly entitlements: readonly string[];
}

export const WORKSPACE = '/home/build';
const OUTPUT_DIRECTORY = `${WORKSPACE}/melange-out`;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin';

/** Makes the graph. Equal plans give equal graphs, whose finished steps BuildKit does not repeat. */
export function packageGraph(options: PackageGraphOptions): PackageGraph {
  const { plan, environment } = options;
  const security = plan.environment.capabilities.add.length > 0 ? 'insecure' : 'sandbox';
  const directories = plan.packages.map((one): FileStep => ({ mkdir: `/${one.name}` }));
  let output = fileOp('scratch', directories, 'output directories');
  const execs = new Map<string, readonly GraphStep[]>();
  if (environment !== undefined) {
    let root = workspace(environment, options);
    const user = userOf(plan);
    const run = (steps: readonly GraphStep[], step: Pick<Exec, 'args' | 'env' | 'cwd' | 'name'>): void => {
      const result = exec({
        root,
        mounts: [{ dest: OUTPUT_DIRECTORY, input: output, keep: 'output' }],
        network: options.network,
        security,
        user,
        ...step,
      });
      root = result.root;
      output = result.output(OUTPUT_DIRECTORY);
      execs.set(output.op.digest, steps);
    };
    for (const one of plan.packages) {
      const steps = one.steps.filter((step) => step.script.trim() !== '');
      if (steps.length === 0) continue;
      const names = steps.map((step) => ({ name: stepName(step), packageName: one.name }));
      const variables = { ...plan.environment.variables, ...epochVariable(plan, options.sourceDateEpoch) };
      if (one.name === plan.name) {
        for (const [index, step] of steps.entries()) {
          const name = names[index];
          if (name !== undefined) run([name], stepExec(step, variables, options.debug));
        }
      } else {
        run(names, subpackageExec(one, steps, { variables, debug: options.debug }));
      }
    }
  }
  const entitlements = [
    ...(options.network === 'host' ? ['network.host'] : []),
    ...(security === 'insecure' ? ['security.insecure'] : []),
  ];
  return { output, execs, entitlements };
}

/** How a step is called in logs and errors: a nameless one by its place. */
export function stepName(step: PlannedStep): string {
  return step.name === '' ? `step at line ${step.origin.line}` : step.name;
}

type Variables = Readonly<Record<string, string>>;

function stepExec(
  step: PlannedStep,
  variables: Variables,
  debug: boolean,
): Pick<Exec, 'args' | 'env' | 'cwd' | 'name'> {
  return {
    args: ['/bin/sh', '-c', stepCommand(step, debug ? { trace: 'commands' } : {})],
    env: { ...variables, PATH, ...step.environment },
    cwd: '/',
    name: stepName(step),
  };
}

function subpackageExec(
  one: PlannedPackage,
  steps: readonly PlannedStep[],
  options: { readonly variables: Variables; readonly debug: boolean },
): Pick<Exec, 'args' | 'env' | 'cwd' | 'name'> {
  const [only, ...others] = steps;
  if (only !== undefined && others.length === 0) return stepExec(only, options.variables, options.debug);
  return {
    args: ['/bin/sh', '-c', fusedScript(steps, options.debug)],
    env: { ...options.variables, PATH },
    cwd: '/',
    name: one.name,
  };
}

/** `SOURCE_DATE_EPOCH` for the steps, unless the build file sets its own. */
function epochVariable(plan: BuildPlan, sourceDateEpoch: number): Variables {
  if (plan.environment.variables['SOURCE_DATE_EPOCH'] !== undefined) return {};
  return { SOURCE_DATE_EPOCH: String(Math.max(sourceDateEpoch, MIN_STEP_EPOCH_S)) };
}

function workspace(environment: Output, options: PackageGraphOptions): Output {
  const files: FileStep[] = [{ mkdir: OUTPUT_DIRECTORY }];
  if (options.source !== undefined) {
    const { id, sha256 } = options.source;
    const tar = httpSource({
      url: `http://buildkit-session/${id}`,
      checksum: `sha256:${sha256}`,
      filename: 'source.tar',
      name: 'upload source directory',
    });
    files.push({ unpack: tar, from: '/source.tar', to: `${WORKSPACE}/` });
  }
  const made = fileOp(environment, files, 'workspace');
  const user = userOf(options.plan);
  if (user === ROOT) return made;
  return exec({
    root: made,
    args: ['/bin/sh', '-c', `chown -R ${user} ${WORKSPACE}`],
    env: { PATH },
    cwd: '/',
    network: 'none',
    name: 'workspace owner',
  }).root;
}

const ROOT = '0:0';

/** `uid:gid` of the user that runs the steps. */
function userOf(plan: BuildPlan): string {
  const { runAs, users } = plan.environment.accounts;
  if (runAs === '' || runAs === 'root' || runAs === '0') return ROOT;
  const user = users.find((one) => one.name === runAs || String(one.uid) === runAs);
  if (user === undefined) {
    throw new PipelineError({
      code: 'invalid-value',
      kind: 'user',
      message: `accounts.run-as names "${runAs}", which is no user of the environment`,
      hint: 'add the user to environment.accounts.users',
    });
  }
  return `${user.uid}:${user.gid}`;
}
