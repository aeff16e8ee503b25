/** One attempt at a job: from its inputs to uploaded artifacts. Writes nothing outside the attempt's own folder. */
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bucket, Storage } from '@google-cloud/storage';
import { publicKeyPem, type SigningKey } from '../../shared/apk/keys.ts';
import { compileBuildFile } from '../../shared/build-file/compile.ts';
import { diagnosticsError } from '../../shared/build-file/diagnostic.ts';
import { parseBuildFile } from '../../shared/build-file/parse.ts';
import type { BuildPlan } from '../../shared/build-file/plan.ts';
import { melangeYaml } from '../../shared/build-file/recorded-form.ts';
import { PipelineError } from '../../shared/errors.ts';
import type { Artifact, JobInputs, JobRecord } from '../../shared/firestore/job-record.ts';
import { JOB_TIMEOUT_MS, OUTPUT_BYTES } from '../../shared/limits.ts';
import { type AttemptNames, attemptFolder } from '../../shared/object-names.ts';
import { readObject } from '../../shared/storage/objects.ts';
import type { BuildkitConnection } from '../buildkit/connection.ts';
import type { Network, Output } from '../buildkit/llb.ts';
import { packageGraph, stepName } from '../buildkit/package-graph.ts';
import type { SessionServices } from '../buildkit/session.ts';
import { solve } from '../buildkit/solve.ts';
import { composeEnvironment } from '../environment/compose.ts';
import { type LockedPackage, lockEnvironment, type PackageLedger } from '../environment/lock.ts';
import { type NamedRepositoryPolicy, namedRepositories } from '../environment/named-repositories.ts';
import type { IndexCache, Repository, RepositoryIndex } from '../environment/repository.ts';
import type { MadePackage } from '../packaging/package-output.ts';
import type { PackagingPool } from '../packaging/packaging-pool.ts';
import { spoolTar } from '../packaging/spool.ts';
import { type InputDocument, inputDocument } from '../planner/inputs.ts';
import { uploadArtifacts } from '../publish/artifacts.ts';
import { basePackages, packagesToMake } from './described-packages.ts';
import type { LogWriter } from './log-writer.ts';
import { createStepLog, type StepTiming } from './step-log.ts';

/** What every attempt of a runner works with. */
export interface EngineContext {
  readonly storage: Storage;
  readonly buildsBucket: string;
  readonly repositories: readonly Repository[];
  /** Which repositories a build file may name beside those. */
  readonly namedRepositories: NamedRepositoryPolicy;
  readonly indexes: IndexCache;
  readonly ledger: PackageLedger;
  readonly packaging: PackagingPool;
  /** The key packages are signed with, and its PEM for the packaging threads. */
  readonly key: SigningKey;
  readonly keyPem: string;
  readonly network: Network;
  /** Package names whose closure most environments share, for example `build-base`. */
  readonly baseWorld: readonly string[];
  /** Folder for spools; the system's temporary one where undefined. */
  readonly spoolFolder: string | undefined;
  readonly sourceDateEpoch: number;
  /** `maintainer` of the packages made here. */
  readonly namespace: string;
}

export interface AttemptOptions {
  readonly names: AttemptNames;
  readonly record: JobRecord;
  readonly connection: BuildkitConnection;
  /** Packages ahead of the configured repositories: what jobs of the same build have just made. */
  readonly ahead: readonly RepositoryIndex[];
  readonly log: LogWriter;
  readonly debug: boolean;
  /** Told which step runs, whenever that changes. */
  readonly onStep: (step: string | undefined) => void;
  readonly signal: AbortSignal;
}

export interface AttemptResult {
  readonly artifacts: readonly Artifact[];
  readonly timings: readonly StepTiming[];
  /** Milliseconds by phase: `compile`, `environment`, `solve`, `package`, `upload`. */
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Builds the job's packages and uploads them.
 *
 * @throws PipelineError of every kind but `superseded`; `cancelled` when the signal fires, `timeout` after the build
 *   file's own time limit.
 */
export async function runAttempt(context: EngineContext, options: AttemptOptions): Promise<AttemptResult> {
  const { log, record } = options;
  const metrics: Record<string, number> = {};
  const phase = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    try {
      return await work();
    } finally {
      metrics[name] = Math.round(performance.now() - started);
    }
  };
  const builds = context.storage.bucket(context.buildsBucket);
  const plan = await phase('compile', () => compileJob(builds, record));
  const limitMs = plan.timeoutMs ?? JOB_TIMEOUT_MS;
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(limitMs)]);
  const folder = await mkdtemp(join(context.spoolFolder ?? tmpdir(), 'carryall-'));
  try {
    log.write(`building ${plan.name}-${plan.fullVersion} for ${plan.arch}\n`);
    const environment = await phase('environment', () => makeEnvironment(context, options, { plan, signal }));
    log.write(`environment of ${environment.locked.length} packages\n`);
    const spoolPath = join(folder, 'output.tar');
    const timings = await phase('solve', () =>
      solvePlan(context, options, { plan, root: environment.root, spoolPath, signal }),
    );
    const made = await phase('package', () =>
      context.packaging.run(
        {
          spoolPath,
          folder,
          packages: packagesToMake(plan, context.namespace),
          melangeYaml: melangeYaml(plan, lockedForm(environment.locked)),
          sourceDateEpoch: context.sourceDateEpoch,
          key: { name: context.key.name, pem: context.keyPem },
        },
        signal,
      ),
    );
    for (const one of made) log.write(`package ${one.file}: ${one.bytes} bytes, sha256 ${one.sha256}\n`);
    const [artifacts] = await phase('upload', () =>
      Promise.all([upload(builds, options.names, made), log.close()]),
    );
    return { artifacts, timings, metrics };
  } catch (error) {
    if (signal.aborted && !options.signal.aborted) {
      throw new PipelineError({
        code: 'build-timeout',
        kind: 'timeout',
        message: `the build took longer than ${limitMs / 1000} s`,
        hint: 'raise package.timeout in the build file',
        cause: error,
      });
    }
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compileJob(builds: Bucket, record: JobRecord): Promise<BuildPlan> {
  const document = await readDocumentObject(builds, record.inputs);
  const { buildFile, diagnostics } = parseBuildFile(document);
  const compiled =
    buildFile === undefined
      ? undefined
      : compileBuildFile(buildFile, {
          arch: record.arch,
          lookup: (name) => document.pipelines[name],
        });
  if (compiled?.plan !== undefined) return compiled.plan;
  throw (
    diagnosticsError([...diagnostics, ...(compiled?.diagnostics ?? [])]) ??
    new PipelineError({
      code: 'internal',
      kind: 'bug',
      message: `the planned job ${record.package} does not compile`,
    })
  );
}

async function readDocumentObject(builds: Bucket, inputs: JobInputs): Promise<InputDocument> {
  const { object, bytes } = inputs.document;
  const content = await readObject(builds, object, { maxBytes: bytes });
  if (content === undefined) {
    throw new PipelineError({
      code: 'source-missing',
      kind: 'infra',
      message: `the job's inputs ${object} are gone`,
    });
  }
  return inputDocument.parse(JSON.parse(content.toString()));
}

interface MadeEnvironment {
  /** Undefined where there are no steps to run in it. */
  readonly root: Output | undefined;
  readonly locked: readonly LockedPackage[];
}

async function makeEnvironment(
  context: EngineContext,
  options: AttemptOptions,
  what: { readonly plan: BuildPlan; readonly signal: AbortSignal },
): Promise<MadeEnvironment> {
  const { plan, signal } = what;
  if (plan.packages.every((one) => one.steps.length === 0)) return { root: undefined, locked: [] };
  const { arch } = plan;
  const { indexes, ledger } = context;
  const { packages: world, keyring } = plan.environment;
  if (keyring.length > 0)
    options.log.write("the build file's keyring is ignored: the operator gives the keys\n");
  const named = namedRepositories(plan.environment.repositories, {
    configured: context.repositories,
    policy: context.namedRepositories,
  });
  const repositories = [...context.repositories, ...named];
  const locked = await lockEnvironment({
    world,
    arch,
    repositories,
    ahead: options.ahead,
    indexes,
    ledger,
    signal,
  });
  const base = await basePackages(context, { arch, locked, signal });
  const keys = new Map([[`${context.key.name}.pub`, publicKeyPem(context.key)]]);
  const root = composeEnvironment({
    packages: locked,
    world,
    base,
    arch,
    accounts: plan.environment.accounts,
    keys,
    authSecrets: authSecrets(repositories),
  });
  return { root, locked };
}

/** Ids of the session secrets with the credentials of each repository that needs some. */
function authSecrets(repositories: readonly Repository[]): ReadonlyMap<string, string> {
  return new Map(
    repositories
      .filter((one) => one.authorization !== undefined)
      .map((one) => [one.location, `authorization:${one.location}`] as const),
  );
}

async function solvePlan(
  context: EngineContext,
  options: AttemptOptions,
  what: {
    readonly plan: BuildPlan;
    readonly root: Output | undefined;
    readonly spoolPath: string;
    readonly signal: AbortSignal;
  },
): Promise<readonly StepTiming[]> {
  const { plan, signal } = what;
  const { source } = options.record.inputs;
  const graph = packageGraph({
    plan,
    environment: what.root,
    source: source === null ? undefined : { id: 'source', sha256: source.sha256 },
    sourceDateEpoch: context.sourceDateEpoch,
    network: context.network,
    debug: options.debug,
  });
  const steps = createStepLog(graph.execs, (text) => options.log.write(text));
  let shown: string | undefined;
  const builds = context.storage.bucket(context.buildsBucket);
  const { repositories } = context;
  const services: SessionServices = {
    receiveTar: async (chunks) => {
      await spoolTar(chunks, { path: what.spoolPath, maxBytes: OUTPUT_BYTES, signal });
    },
    uploads: new Map(
      source === null ? [] : [['source', () => builds.file(source.object).createReadStream()]],
    ),
    secret: async (id) => {
      const repository = repositories.find((one) => id === `authorization:${one.location}`);
      const value = await repository?.authorization?.();
      return value === undefined ? undefined : Buffer.from(value);
    },
  };
  try {
    await solve({
      connection: options.connection,
      output: graph.output,
      services,
      entitlements: graph.entitlements,
      onProgress: (event) => {
        steps.read(event);
        if (steps.current() === shown) return;
        shown = steps.current();
        options.onStep(shown);
      },
      signal,
    });
  } catch (error) {
    // A step inside a fused exec is known by its marks only.
    const failed = steps.timings().find((step) => step.failed);
    if (error instanceof PipelineError && error.code === 'build-step-failed' && failed !== undefined) {
      throw stepFailure(error, { plan, step: failed });
    }
    throw error;
  }
  return steps.timings();
}

function stepFailure(
  error: PipelineError,
  where: { readonly plan: BuildPlan; readonly step: StepTiming },
): PipelineError {
  const planned = where.plan.packages
    .find((one) => one.name === where.step.package)
    ?.steps.find((one) => stepName(one) === where.step.name);
  return new PipelineError({
    code: error.code,
    kind: error.kind,
    message: error.message.replace(/^step "[^"]*"/, `step "${where.step.name}" of ${where.step.package}`),
    hint: 'the log shows what the step printed',
    step: where.step.name,
    position: planned?.origin,
    cause: error,
  });
}

function lockedForm(locked: readonly LockedPackage[]): { packages: string[]; repositories: string[] } {
  return {
    packages: locked.map(({ entry }) => `${entry.name}=${entry.version}`).sort(),
    repositories: [...new Set(locked.map((one) => one.repository.location))].sort(),
  };
}

async function upload(
  builds: Bucket,
  names: AttemptNames,
  made: readonly MadePackage[],
): Promise<readonly Artifact[]> {
  return uploadArtifacts(
    builds,
    made.map((one) => ({
      ...one,
      object: `${attemptFolder(names)}${one.file}`,
      open: () => createReadStream(one.path),
    })),
  );
}
