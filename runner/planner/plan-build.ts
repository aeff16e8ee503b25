/** From a recorded build to its jobs. Planning may be repeated at any point: it finds what it made before. */
import { isDeepStrictEqual } from 'node:util';
import type { Firestore } from '@google-cloud/firestore';
import type { Storage } from '@google-cloud/storage';
import { type Architecture, targetsArchitecture } from '../../shared/build-file/architecture.ts';
import { compileBuildFile } from '../../shared/build-file/compile.ts';
import type { Diagnostic } from '../../shared/build-file/diagnostic.ts';
import { diagnosticRecord, diagnosticsError } from '../../shared/build-file/diagnostic.ts';
import type { BuildPlan } from '../../shared/build-file/plan.ts';
import type { ShellFragment } from '../../shared/build-file/shell-fragments.ts';
import { checkShell } from '../../shared/build-file/shell-syntax.ts';
import { asPipelineError, type ErrorRecord, PipelineError, toErrorRecord } from '../../shared/errors.ts';
import { BUILD, type BuildRecord, buildRef, buildTransition } from '../../shared/firestore/build-record.ts';
import {
  changeDocument,
  createDocument,
  NOW,
  readDocument,
  type Stored,
} from '../../shared/firestore/documents.ts';
import { JOB, jobRef, type NewJob, newJob } from '../../shared/firestore/job-record.ts';
import { type BuildId, jobId } from '../../shared/identity.ts';
import { BUILD_FILE_BYTES, UPLOAD_WAIT_MS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import type { Topics } from '../../shared/pubsub/topics.ts';
import { isTerminalBuild } from '../../shared/states.ts';
import { readObject, statObject } from '../../shared/storage/objects.ts';
import type { BackendPool } from '../backends/backend-pool.ts';
import type { EventPublisher } from '../events/event-publisher.ts';
import { inParallel } from '../jobs/in-parallel.ts';
import { blockJob, queueJob } from '../jobs/queue-job.ts';
import { needsEnvironment } from '../worker/build-environment.ts';
import { orderPlans } from './dependencies.ts';
import { type GatheredInputs, gatherInline, gatherUpload, storeInputs } from './inputs.ts';
import { type AllowedRepositories, refusedRepositories } from './refused-repositories.ts';
import { replanJobs } from './replan.ts';
import { readLocks, requireLocksFit, requirePackages } from './request-locks.ts';
import { storedRequest } from './stored-request.ts';

export interface PlannerContext extends AllowedRepositories {
  readonly firestore: Firestore;
  readonly storage: Storage;
  readonly buildsBucket: string;
  readonly topics: Topics;
  readonly events: EventPublisher;
  /** Architectures that this installation has backends for, the preferred one first. */
  readonly architectures: () => readonly Architecture[];
  /** Whether any backend could ever run such a job. */
  readonly serves: BackendPool['serves'];
  readonly log: Log;
}

/** Plans a build, or looks again at one whose uploads have changed. Does nothing for one that has ended. */
export async function planBuild(context: PlannerContext, build: BuildId): Promise<void> {
  const ref = buildRef(context.firestore, build);
  const stored = await readDocument(BUILD, ref);
  if (stored === undefined) {
    throw new PipelineError({
      code: 'record-missing',
      kind: 'user',
      message: `there is no build ${build}`,
      hint: 'a message with a buildId needs a record; to request a build send its files, or a source',
    });
  }
  context.events.build(stored);
  if (isTerminalBuild(stored.data.state)) return;
  let gathered: readonly GatheredInputs[] | 'gone';
  try {
    gathered = await gather(context, stored);
    if (gathered === 'gone') {
      await endBuild(context, stored, { state: 'superseded' });
      return;
    }
    if (stored.data.plannedAt !== null) {
      await replanJobs(context, build, gathered);
      return;
    }
    await planGathered(context, stored, gathered);
  } catch (thrown) {
    const error = asPipelineError(thrown);
    if (error.kind !== 'user') throw error;
    await endBuild(context, stored, { state: 'rejected', error: toErrorRecord(error) });
  }
}

/** The inputs as they are now; `gone` where the upload was replaced or deleted. */
async function gather(
  context: PlannerContext,
  stored: Stored<BuildRecord>,
): Promise<readonly GatheredInputs[] | 'gone'> {
  const { source } = stored.data;
  if (source.kind === 'request') {
    const request = await storedRequest(context.storage.bucket(context.buildsBucket), source.object);
    const configs = request.configs ?? [];
    const inline = request.config_yaml === undefined ? [] : [request.config_yaml];
    const files = (configs.length > 0 ? configs : inline).map((text) => ({
      text,
      name: packageNameOf(text),
    }));
    const locks = readLocks(request.locks);
    // A file without a name is told by the parser, with what is wrong with it.
    if (files.every(({ name }) => name !== ''))
      requirePackages(
        locks,
        files.map(({ name }) => name),
      );
    return files.map(({ text, name }, index) =>
      gatherInline({
        file: files.length === 1 ? 'request.yaml' : `request-${index + 1}.yaml`,
        text,
        pipelines: request.pipelines,
        sourceFiles: request.source_files[name] ?? {},
        locks: locks.get(name),
      }),
    );
  }
  const specs = context.storage.bucket(source.bucket);
  const [bytes, object] = await Promise.all([
    readObject(specs, source.object, { generation: source.generation, maxBytes: BUILD_FILE_BYTES }),
    statObject(specs, source.object),
  ]);
  if (bytes === undefined || object?.generation !== source.generation) return 'gone';
  const { createdMs } = object;
  return [await gatherUpload(specs, { object: source.object, text: bytes.toString(), createdMs })];
}

/** Package name of an inline build file, by which a request names its source files. */
function packageNameOf(text: string): string {
  return gatherInline({ file: '', text, pipelines: {}, sourceFiles: {} }).buildFile?.name ?? '';
}

async function planGathered(
  context: PlannerContext,
  stored: Stored<BuildRecord>,
  gathered: readonly GatheredInputs[],
): Promise<void> {
  const build = stored.ref.id as BuildId;
  const problems = gathered.flatMap((one) => one.diagnostics).filter((one) => one.severity === 'error');
  if (problems.length > 0) return reject(context, stored, problems);
  const missing = gathered.flatMap(missingUploads);
  if (missing.length > 0 && (await waitForUploads(context, stored, { gathered, missing }))) return;

  const compiled = await compileAll(gathered, {
    wanted: [...new Set(stored.data.options.arch)],
    available: context.architectures(),
    allowed: context,
  });
  if (compiled.problems.length > 0) return reject(context, stored, compiled.problems);
  requireLocksFit(gathered, compiled.plans);
  // Of every architecture before anything is recorded: a cycle in one of them rejects the whole build.
  const ordered = [...compiled.plans].map(([arch, plans]) => {
    const order = orderPlans([...plans.keys()], stored.data.options.mode);
    const withInputs = order.flatMap((one) => {
      const from = plans.get(one.plan);
      return from === undefined ? [] : [{ ...one, from }];
    });
    return [arch, withInputs] as const;
  });
  const bucket = context.storage.bucket(context.buildsBucket);
  const inputs = new Map(
    await Promise.all(gathered.map(async (one) => [one, await storeInputs(bucket, build, one)] as const)),
  );

  const planned: NewJob[] = [];
  for (const [arch, plans] of ordered) {
    for (const { plan, dependencies, from } of plans) {
      const jobInputs = inputs.get(from);
      if (jobInputs === undefined) continue;
      planned.push({
        package: plan.name,
        arch,
        version: plan.fullVersion,
        dependencies: dependencies.map((name) => jobId(name, arch)),
        inputs: jobInputs,
        fetchesSources: from.fetchesSources,
        selector: stored.data.options.backend_selector,
      });
    }
  }
  await inParallel(planned, (job) => recordJob(context, build, job));
  const names = new Set(planned.map((job) => job.package));
  const change = await changeDocument({
    type: BUILD,
    ref: stored.ref,
    known: stored,
    decide: ({ data }) =>
      data.state === 'pending'
        ? {
            ...buildTransition(data, { state: 'running' }),
            packages: [...names],
            plannedAt: NOW,
            counts: { pending: planned.length },
          }
        : undefined,
  });
  context.events.build(change.stored);
  context.log.info({ buildId: build, packages: names.size }, 'build planned');
  const ready = planned.filter((job) => job.dependencies.length === 0);
  await inParallel(ready, async (job) => {
    const key = { build, job: jobId(job.package, job.arch) };
    const served = context.serves(job.arch, job.selector);
    context.events.job(
      served
        ? await queueJob(context.firestore, context.topics, key)
        : await blockJob(context.firestore, key),
    );
  });
}

/**
 * Makes the record of a job. Where planning died after it had made one, the uploads may have changed since: the record
 * gets the inputs of this planning.
 */
async function recordJob(context: PlannerContext, build: BuildId, job: NewJob): Promise<void> {
  const ref = jobRef(context.firestore, { build, job: jobId(job.package, job.arch) });
  if (await createDocument(ref, newJob(job))) return;
  const { version, inputs, fetchesSources } = job;
  await changeDocument({
    type: JOB,
    ref,
    decide: ({ data }) =>
      data.state === 'pending' && !isDeepStrictEqual(data.inputs, inputs)
        ? { version, inputs, fetchesSources }
        : undefined,
  });
}

interface Compiled {
  readonly plans: ReadonlyMap<Architecture, ReadonlyMap<BuildPlan, GatheredInputs>>;
  readonly problems: readonly Diagnostic[];
}

/** Compiles every build file for each architecture it is wanted for. */
async function compileAll(
  gathered: readonly GatheredInputs[],
  options: {
    readonly wanted: readonly Architecture[];
    readonly available: readonly Architecture[];
    readonly allowed: AllowedRepositories;
  },
): Promise<Compiled> {
  const { wanted, available, allowed } = options;
  const plans = new Map<Architecture, Map<BuildPlan, GatheredInputs>>();
  const problems: Diagnostic[] = [];
  const shell: (readonly ShellFragment[])[] = [];
  for (const one of gathered) {
    const { buildFile } = one;
    if (buildFile === undefined) continue;
    const candidates = wanted.length > 0 ? wanted : available;
    // Most fragments are the same for all architectures, and so is what is wrong with them.
    const ofFile: ShellFragment[] = [];
    shell.push(ofFile);
    let runsSteps = false;
    for (const arch of candidates.filter((name) =>
      targetsArchitecture(buildFile.targetArchitectures, name),
    )) {
      const { plan, fragments, diagnostics } = compileBuildFile(buildFile, { arch, lookup: one.lookup });
      ofFile.push(...fragments);
      problems.push(...diagnostics.filter((diagnostic) => diagnostic.severity === 'error'));
      if (plan === undefined) continue;
      const ofArch = plans.get(arch) ?? new Map<BuildPlan, GatheredInputs>();
      plans.set(arch, ofArch.set(plan, one));
      runsSteps ||= needsEnvironment(plan);
    }
    if (runsSteps) problems.push(...refusedRepositories(buildFile, allowed));
  }
  problems.push(...(await checkShell(shell)).flat().filter((diagnostic) => diagnostic.severity === 'error'));
  if (plans.size === 0 && problems.length === 0) {
    throw new PipelineError({
      code: 'request-invalid',
      kind: 'user',
      message: 'no package of this build is meant for an architecture that it could be built for',
      hint: `backends exist for ${available.join(', ') || 'no architecture'}; look at package.target-architecture and at the option arch`,
    });
  }
  return { plans, problems };
}

/** What the build file names and no upload has brought yet. */
export function missingUploads(gathered: GatheredInputs): string[] {
  const missing = gathered.unresolvedPipelines.map((name) => `pipelines/${name}.yaml`);
  const { buildFile } = gathered;
  if (buildFile === undefined || missing.length > 0) return missing;
  const present = new Set(gathered.source.map((file) => file.path));
  const { plan } = compileBuildFile(buildFile, {
    arch: anyArchitecture(buildFile.targetArchitectures),
    lookup: gathered.lookup,
  });
  // A path with a folder may come from a checkout; a bare name can only lie beside the build file.
  const files = (plan?.requiredFiles ?? []).map((file) => file.path).filter((path) => !path.includes('/'));
  return files.filter((path) => !present.has(path)).map((path) => `${buildFile.name}/${path}`);
}

function anyArchitecture(targets: readonly string[]): Architecture {
  const all: readonly Architecture[] = ['x86_64', 'aarch64', 'armv7', 'riscv64', 'ppc64le', 's390x', 'x86'];
  return all.find((arch) => targetsArchitecture(targets, arch)) ?? 'x86_64';
}

/** True where the build goes on waiting. */
async function waitForUploads(
  context: PlannerContext,
  stored: Stored<BuildRecord>,
  what: { readonly gathered: readonly GatheredInputs[]; readonly missing: readonly string[] },
): Promise<boolean> {
  if (stored.data.source.kind !== 'upload') return false;
  const newestMs = Math.max(...what.gathered.map((one) => one.newestMs));
  const reason = `waits for the upload of ${what.missing.join(', ')}`;
  if (stored.readTime.toMillis() - newestMs > UPLOAD_WAIT_MS) {
    // Pipelines that never came are reported by the compiler, with the line that uses them.
    if (what.gathered.some((one) => one.unresolvedPipelines.length > 0)) return false;
    throw new PipelineError({
      code: 'source-missing',
      kind: 'user',
      message: `${what.missing.join(', ')} did not arrive within ${UPLOAD_WAIT_MS / 1000} s of the build file`,
      hint: 'upload the source directory beside the build file, under the same name without .yaml',
    });
  }
  await changeDocument({
    type: BUILD,
    ref: stored.ref,
    known: stored,
    decide: ({ data }) => (data.state === 'pending' && data.reason !== reason ? { reason } : undefined),
  });
  context.log.info({ buildId: stored.ref.id, missing: what.missing }, 'build waits for uploads');
  return true;
}

async function reject(
  context: PlannerContext,
  stored: Stored<BuildRecord>,
  problems: readonly Diagnostic[],
): Promise<void> {
  const error = diagnosticsError(problems);
  if (error === undefined) return;
  await endBuild(context, stored, {
    state: 'rejected',
    error: toErrorRecord(error),
    diagnostics: problems.map(diagnosticRecord),
  });
}

async function endBuild(
  context: PlannerContext,
  stored: Stored<BuildRecord>,
  end: {
    readonly state: 'rejected' | 'superseded';
    readonly error?: ErrorRecord;
    readonly diagnostics?: readonly ErrorRecord[];
  },
): Promise<void> {
  const change = await changeDocument({
    type: BUILD,
    ref: stored.ref,
    known: stored,
    decide: ({ data }) =>
      data.state === 'pending'
        ? {
            ...buildTransition(data, { state: end.state, error: end.error }),
            diagnostics: end.diagnostics ?? [],
          }
        : undefined,
  });
  context.events.build(change.stored);
  context.log.info(
    { buildId: stored.ref.id, state: end.state, code: end.error?.code },
    'build ended in planning',
  );
}
