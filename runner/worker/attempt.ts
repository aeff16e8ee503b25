/** One attempt at a job: from its inputs to uploaded artifacts. Writes nothing outside the attempt's own folder. */
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bucket, Storage } from '@google-cloud/storage';
import { compileBuildFile } from '../../shared/build-file/compile.ts';
import { diagnosticsError } from '../../shared/build-file/diagnostic.ts';
import { parseBuildFile } from '../../shared/build-file/parse.ts';
import type { BuildPlan } from '../../shared/build-file/plan.ts';
import { melangeYaml } from '../../shared/build-file/recorded-form.ts';
import { asPipelineError, PipelineError } from '../../shared/errors.ts';
import type { Artifact, JobInputs, JobRecord, StoredObject } from '../../shared/firestore/job-record.ts';
import { JOB_TIMEOUT_MS, OUTPUT_BYTES } from '../../shared/limits.ts';
import { type AttemptNames, attemptFolder } from '../../shared/object-names.ts';
import { readObject } from '../../shared/storage/objects.ts';
import type { BuildkitConnection } from '../buildkit/connection.ts';
import type { Network } from '../buildkit/llb.ts';
import { supportsMerge } from '../buildkit/merge-support.ts';
import { packageGraph, stepName } from '../buildkit/package-graph.ts';
import type { SessionServices } from '../buildkit/session.ts';
import { solve } from '../buildkit/solve.ts';
import type { LockedPackage } from '../environment/lock.ts';
import { type LockDocument, publishedLocation } from '../environment/lock-document.ts';
import type { RepositoryIndex } from '../environment/repository.ts';
import type { MadePackage } from '../packaging/package-output.ts';
import type { PackagingPool } from '../packaging/packaging-pool.ts';
import { spoolTar } from '../packaging/spool.ts';
import { type InputDocument, inputDocument } from '../planner/inputs.ts';
import { uploadArtifacts } from '../publish/artifacts.ts';
import {
  type BuildEnvironment,
  type EnvironmentContext,
  makeBuildEnvironment,
  needsEnvironment,
} from './build-environment.ts';
import { packagesToMake } from './described-packages.ts';
import { keepLock } from './kept-lock.ts';
import type { LogWriter } from './log-writer.ts';
import { createStepLog, type StepTiming } from './step-log.ts';

/** What every attempt of a runner works with. */
export interface EngineContext extends EnvironmentContext {
  readonly storage: Storage;
  readonly buildsBucket: string;
  readonly packaging: PackagingPool;
  /** PEM of the key that packages are signed with, for the packaging threads. */
  readonly keyPem: string;
  readonly network: Network;
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
  /** Told where the lock of the environment is kept, before anything runs in it; again when it changes. */
  readonly onLock?: ((lock: StoredObject) => Promise<void>) | undefined;
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
  const { plan, lock } = await phase('compile', () => compileJob(builds, record));
  const limitMs = plan.timeoutMs ?? JOB_TIMEOUT_MS;
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(limitMs)]);
  const folder = await mkdtemp(join(context.spoolFolder ?? tmpdir(), 'carryall-'));
  try {
    log.write(`building ${plan.name}-${plan.fullVersion} for ${plan.arch}\n`);
    const environment = await phase('environment', () =>
      makeEnvironment(context, options, { plan, lock, signal }),
    );
    const locked = environment?.locked ?? [];
    const spoolPath = join(folder, 'output.tar');
    const timings = await phase('solve', () =>
      solvePlan(context, options, { plan, environment, spoolPath, signal }),
    );
    const made = await phase('package', () =>
      context.packaging.run(
        {
          spoolPath,
          folder,
          packages: packagesToMake(plan, context.namespace),
          melangeYaml: melangeYaml(plan, lockedForm(locked)),
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

interface CompiledJob {
  readonly plan: BuildPlan;
  /** The lock that the build was requested with. */
  readonly lock: LockDocument | undefined;
}

async function compileJob(builds: Bucket, record: JobRecord): Promise<CompiledJob> {
  const document = await readDocumentObject(builds, record.inputs);
  const { buildFile, diagnostics } = parseBuildFile(document);
  const compiled =
    buildFile === undefined
      ? undefined
      : compileBuildFile(buildFile, {
          arch: record.arch,
          lookup: (name) => document.pipelines[name],
        });
  if (compiled?.plan !== undefined) return { plan: compiled.plan, lock: document.locks?.[record.arch] };
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

/** Undefined where there are no steps to run in it. */
async function makeEnvironment(
  context: EngineContext,
  options: AttemptOptions,
  what: CompiledJob & { readonly signal: AbortSignal },
): Promise<BuildEnvironment | undefined> {
  const { plan, lock, signal } = what;
  const { connection, ahead, log } = options;
  if (!needsEnvironment(plan)) return undefined;
  if (plan.environment.keyring.length > 0)
    log.write("the build file's keyring is ignored: the operator gives the keys\n");
  if (lock !== undefined) log.write('the environment is that of the lock in the request\n');
  const builds = context.storage.bucket(context.buildsBucket);
  let locks = 0;
  const environment = await makeBuildEnvironment(context, {
    plan,
    ahead,
    layout: async () => ((await supportsMerge(connection, signal)) ? 'merge' : 'one-layer'),
    lock,
    async onLocked(locked) {
      locks += 1;
      log.write(`environment of ${locked.length} packages\n`);
      const kept = await keepLock(builds, { names: options.names, plan, locked, number: locks });
      await options.onLock?.(kept);
    },
    signal,
  });
  for (const warning of environment.composed.warnings) log.write(`warning: ${warning}\n`);
  return environment;
}

interface SolveInputs {
  readonly plan: BuildPlan;
  readonly environment: BuildEnvironment | undefined;
  readonly spoolPath: string;
  readonly signal: AbortSignal;
}

/** A repository that is signed anew while a build begins is through by then; one that never settles is broken. */
const MAX_RENEWALS = 10;

/** Runs the steps; once more for each time that a package's file turns out to have been signed anew. */
async function solvePlan(
  context: EngineContext,
  options: AttemptOptions,
  what: SolveInputs,
): Promise<readonly StepTiming[]> {
  let { environment } = what;
  for (let renewals = 0; ; renewals += 1) {
    const failed = new Set<string>();
    const onFailed = (digest: string): void => void failed.add(digest);
    try {
      return await solveOnce(context, options, { ...what, environment, onFailed });
    } catch (error) {
      if (asPipelineError(error).code !== 'buildkit-failed' || renewals === MAX_RENEWALS) throw error;
      environment = await environment?.renewed(failed);
      if (environment === undefined) throw error;
      options.log.write('a package of the environment was signed anew; its new file is used\n');
    }
  }
}

async function solveOnce(
  context: EngineContext,
  options: AttemptOptions,
  what: SolveInputs & { readonly onFailed: (digest: string) => void },
): Promise<readonly StepTiming[]> {
  const { plan, environment, signal } = what;
  const { source } = options.record.inputs;
  const graph = packageGraph({
    plan,
    environment: environment?.composed.root,
    source: source === null ? undefined : { id: 'source', sha256: source.sha256 },
    sourceDateEpoch: context.sourceDateEpoch,
    network: context.network,
    debug: options.debug,
  });
  const steps = createStepLog(graph.execs, (text) => options.log.write(text));
  let shown: string | undefined;
  const builds = context.storage.bucket(context.buildsBucket);
  const services: SessionServices = {
    receiveTar: async (chunks) => {
      await spoolTar(chunks, { path: what.spoolPath, maxBytes: OUTPUT_BYTES, signal });
    },
    uploads: new Map<string, () => AsyncIterable<Uint8Array>>([
      ...(environment?.composed.uploads ?? []),
      ...(source === null ? [] : [['source', () => builds.file(source.object).createReadStream()] as const]),
    ]),
    secret: async (id) => environment?.secret(id),
  };
  try {
    await solve({
      connection: options.connection,
      output: graph.output,
      services,
      entitlements: graph.entitlements,
      onProgress: (event) => {
        steps.read(event);
        if (event.type === 'completed' && event.error !== '') what.onFailed(event.digest);
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
    repositories: [...new Set(locked.map((one) => publishedLocation(one.repository.location)))].sort(),
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
