/** Whatever happens to a job, in whatever order: the promises of its life hold. The real code on the real emulators. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DocumentReference } from '@google-cloud/firestore';
import fc from 'fast-check';
import { createBackendPool } from '../../runner/backends/backend-pool.ts';
import { createEventPublisher, type EventPublisher } from '../../runner/events/event-publisher.ts';
import { claimJob, type HeldJob, holdJob } from '../../runner/jobs/lease.ts';
import { queueJob } from '../../runner/jobs/queue-job.ts';
import { createMetrics } from '../../runner/metrics.ts';
import { gatherInline } from '../../runner/planner/inputs.ts';
import { replanJobs } from '../../runner/planner/replan.ts';
import { startReaper } from '../../runner/reaper.ts';
import { finishFailed } from '../../runner/worker/finish-failed.ts';
import type { WorkerContext } from '../../runner/worker/handle-job.ts';
import { afterJobEnded } from '../../runner/worker/release.ts';
import { type ErrorCode, type ErrorKind, PipelineError } from '../../shared/errors.ts';
import { buildRef } from '../../shared/firestore/build-record.ts';
import { changeDocument, Timestamp } from '../../shared/firestore/documents.ts';
import { JOB, type JobRecord, jobRef, jobTransition } from '../../shared/firestore/job-record.ts';
import type { BuildId } from '../../shared/identity.ts';
import { MAX_ATTEMPTS, MAX_CRASHES } from '../../shared/limits.ts';
import type { BuildEvent } from '../../shared/messages.ts';
import type { Topics } from '../../shared/pubsub/topics.ts';
import { checkJobTransition, isTerminalJob, type JobState } from '../../shared/states.ts';
import { silentLog } from '../integration/state/emulators-client.ts';
import { ARCH, BUILDS_BUCKET, startEmulators, startStorage } from '../integration/state/emulators-fixture.ts';
import { keyOf, plannedBuild, readBuild, readJob } from '../integration/state/job-fixture.ts';

const TIME_LIMIT_MS = 40_000;
const LEASE_MS = 60_000;
const LONG_AGO = Timestamp.fromMillis(Date.now() - 3600_000);
const TIMES = { leaseMs: LEASE_MS, renewalMs: 20_000, renewalTimeoutMs: 8000, renewalFailures: 2 };

const emulators = await startEmulators();
const storage = await startStorage();
const project = await emulators.openProject();
const { firestore } = project;
const pool = await createBackendPool([]);
let lives = 0;
let stepsTaken = 0;

/** What has to be known to say what the next command must do. */
interface Model {
  state: JobState;
  epoch: number;
  attempts: number;
  crashes: number;
  /** Whether a retry has to wait for its time. */
  waits: boolean;
}

interface Life {
  readonly build: BuildId;
  readonly ref: DocumentReference;
  readonly topics: Topics;
  readonly events: EventPublisher;
  readonly announced: BuildEvent[];
  /** All attempts there ever were, the dead ones too. */
  readonly holders: HeldJob[];
}

type Command = fc.AsyncCommand<Model, Life>;

/** Compares the record with the model, and the model with what it was. */
async function check(model: Model, life: Life): Promise<JobRecord> {
  const { data } = await readJob(life.ref);
  const { state, epoch, attempts, crashes } = data;
  assert.deepEqual({ state, epoch, attempts, crashes, waits: data.notBefore !== null }, model);
  assert.equal(data.lease !== null, state === 'running');
  assert.equal(new Set(life.holders.map((holder) => holder.epoch)).size, life.holders.length);
  stepsTaken += 1;
  return data;
}

function holds(model: Model, holder: HeldJob): boolean {
  return model.state === 'running' && model.epoch === holder.epoch;
}

/** Several runners claim at once; with `over`, the lease of whoever held the job counts as over. */
class Claim implements Command {
  readonly over: boolean;
  readonly publishes: boolean;
  readonly rivals: number;

  constructor(over: boolean, publishes: boolean, rivals: number) {
    this.over = over;
    this.publishes = publishes;
    // Without a lease that holds, each of them would win in turn.
    this.rivals = over ? 1 : rivals;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, life: Life): Promise<void> {
    const leaseMs = this.over ? -1 : LEASE_MS;
    const claims = await Promise.all(
      Array.from({ length: this.rivals }, (_, rival) => claimJob(life.ref, `runner-${rival}`, leaseMs)),
    );
    const won = claims.filter((claim) => claim.claimed);
    const crashed = model.state === 'running' && this.over;
    if (crashed && model.crashes + 1 >= MAX_CRASHES) {
      Object.assign(model, { state: 'failed', crashes: model.crashes + 1 });
      assert.equal(won.length, 0);
    } else if (crashed || (model.state === 'queued' && !model.waits)) {
      Object.assign(model, {
        state: 'running',
        epoch: model.epoch + 1,
        crashes: model.crashes + (crashed ? 1 : 0),
        waits: false,
      });
      assert.equal(won.length, 1);
    } else {
      assert.equal(won.length, 0);
    }
    for (const claim of won) {
      life.holders.push(holdJob(claim.stored, TIMES, silentLog));
      if (this.publishes) life.events.job(claim.stored);
    }
    await check(model, life);
  }

  toString(): string {
    return `claim(${this.over ? 'over' : 'held'}, ${this.rivals} rivals${this.publishes ? '' : ', no events'})`;
  }
}

/** Any attempt, also one that has lost the job, renews its lease. */
class Renew implements Command {
  readonly which: number;

  constructor(which: number) {
    this.which = which;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, life: Life): Promise<void> {
    const holder = life.holders[this.which % Math.max(1, life.holders.length)];
    if (holder === undefined) return;
    const step = `by attempt ${holder.epoch}`;
    const written = await holder
      .write(() => ({ step }))
      .then(
        () => true,
        (error: unknown) => {
          assert.ok(error instanceof PipelineError && error.code === 'lease-lost');
          return false;
        },
      );
    assert.equal(written, holds(model, holder));
    await check(model, life);
  }

  toString(): string {
    return `renew(${this.which})`;
  }
}

/** Any attempt, also one that has lost the job, comes to its end. */
class End implements Command {
  readonly which: number;
  readonly how: 'success' | ErrorKind;

  constructor(which: number, how: 'success' | ErrorKind) {
    this.which = which;
    this.how = how;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, life: Life): Promise<void> {
    const holder = life.holders[this.which % Math.max(1, life.holders.length)];
    if (holder === undefined) return;
    const holding = holds(model, holder);
    if (this.how === 'success') await this.succeed(life, holder, holding);
    else await this.fail(life, holder, this.how);
    if (holding) this.follow(model);
    await check(model, life);
  }

  async succeed(life: Life, holder: HeldJob, holding: boolean): Promise<void> {
    try {
      const stored = await holder.write((record) => jobTransition(record, { state: 'success' }));
      assert.ok(holding, 'only the holder may succeed');
      await afterJobEnded({ ...life, firestore }, stored);
    } catch (error) {
      assert.ok(!holding && error instanceof PipelineError && error.code === 'lease-lost', String(error));
    }
  }

  async fail(life: Life, holder: HeldJob, kind: ErrorKind): Promise<void> {
    const codes: Partial<Record<ErrorKind, ErrorCode>> = {
      infra: 'buildkit-failed',
      cancelled: 'shutting-down',
    };
    const error = new PipelineError({ code: codes[kind] ?? 'build-step-failed', kind, message: 'it failed' });
    // What it uses of the context; the build is no upload, so that no engine is asked.
    const context: Partial<WorkerContext> = { firestore, topics: life.topics, events: life.events };
    const attempt = { error, key: keyOf(life.build, 'hello'), log: silentLog };
    assert.equal(await finishFailed(context as WorkerContext, holder, attempt), 'ack');
  }

  follow(model: Model): void {
    if (this.how === 'cancelled') {
      model.state = 'queued';
    } else if (this.how === 'infra') {
      model.attempts += 1;
      model.waits = model.attempts < MAX_ATTEMPTS;
      model.state = model.waits ? 'queued' : 'failed';
    } else {
      model.state = this.how === 'success' ? 'success' : 'failed';
    }
  }

  toString(): string {
    return `end(${this.which}, ${this.how})`;
  }
}

/** The pause of a retry is over. */
class TimePasses implements Command {
  check(model: Readonly<Model>): boolean {
    return model.waits;
  }

  async run(model: Model, life: Life): Promise<void> {
    model.waits = false;
    await changeDocument({ type: JOB, ref: life.ref, decide: () => ({ notBefore: null }) });
    await check(model, life);
  }

  toString(): string {
    return 'time passes';
  }
}

class Reap implements Command {
  check(): boolean {
    return true;
  }

  async run(model: Model, life: Life): Promise<void> {
    await sweep(life);
    await check(model, life);
  }

  toString(): string {
    return 'reap';
  }
}

/** New files: a job that runs starts anew, and one that has ended does not care. */
class Replan implements Command {
  readonly version: number;

  constructor(version: number) {
    this.version = version;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model, life: Life): Promise<void> {
    const text = `package: {name: hello, version: "${this.version}"}`;
    const inline = gatherInline({ file: 'hello.yaml', text, pipelines: {}, sourceFiles: {} });
    const before = (await readJob(life.ref)).data.inputs.document.sha256;
    const context = {
      ...life,
      firestore,
      storage,
      buildsBucket: BUILDS_BUCKET,
      repositories: [],
      namedRepositories: { reach: { hosts: [] }, keys: new Map() },
      architectures: () => [ARCH] as const,
      serves: () => true,
    };
    await replanJobs({ ...context, log: silentLog }, life.build, [{ ...inline, newestMs: 1 }]);
    const after = (await readJob(life.ref)).data.inputs.document.sha256;
    if (model.state === 'running' && before !== after) model.state = 'queued';
    await check(model, life);
  }

  toString(): string {
    return `replan(${this.version})`;
  }
}

/** A runner repeats what follows from the end of a job, having died in the middle of it. */
class Release implements Command {
  check(model: Readonly<Model>): boolean {
    return isTerminalJob(model.state);
  }

  async run(model: Model, life: Life): Promise<void> {
    await afterJobEnded({ ...life, firestore }, await readJob(life.ref));
    await check(model, life);
  }

  toString(): string {
    return 'release';
  }
}

async function sweep(life: Life): Promise<void> {
  const reaper = startReaper({
    ...life,
    firestore,
    pool,
    repository: { add: () => undefined, idle: async () => undefined },
    metrics: createMetrics(),
    log: silentLog,
    leaseMs: LEASE_MS,
    intervalMs: LEASE_MS,
  });
  await reaper[Symbol.asyncDispose]();
  await life.events.idle();
}

async function begin(): Promise<{ model: Model; real: Life }> {
  lives += 1;
  const announced: BuildEvent[] = [];
  const topics: Topics = {
    ...project.topics,
    async announce(events) {
      await project.topics.announce(events);
      announced.push(...events);
    },
  };
  const build = await plannedBuild(firestore, { hello: [], app: ['hello'] });
  const ref = jobRef(firestore, keyOf(build, 'hello'));
  const events = createEventPublisher(topics, silentLog);
  await queueJob(firestore, topics, keyOf(build, 'hello'));
  const model: Model = { state: 'queued', epoch: 0, attempts: 0, crashes: 0, waits: false };
  return { model, real: { build, ref, topics, events, announced, holders: [] } };
}

/** After everything: the reaper publishes what was forgotten, and what followed from the end has followed. */
async function checkWhole(life: Life): Promise<void> {
  for (const holder of life.holders) await holder[Symbol.asyncDispose]();
  const app = jobRef(firestore, keyOf(life.build, 'app'));
  await sweep(life);
  for (const ref of [life.ref, app]) {
    await changeDocument({
      type: JOB,
      ref,
      decide: ({ data }) =>
        Object.fromEntries(Object.keys(data.outbox).map((key) => [`outbox.${key}.at`, LONG_AGO])),
    });
  }
  await sweep(life);
  const hello = await readJob(life.ref);
  for (const { ref, data } of [hello, await readJob(app)]) {
    const own = life.announced.filter((event) => event.kind === 'job' && event.package === data.package);
    const bySeq = Map.groupBy(own, (event) => event.seq);
    let before: JobState | undefined;
    for (let seq = 1; seq <= data.eventSeq; seq += 1) {
      const [event] = bySeq.get(seq) ?? [];
      assert.ok(event, `event ${seq} of ${ref.path} was never published`);
      assert.equal(new Set(bySeq.get(seq)?.map((one) => `${one.id} ${one.state}`)).size, 1);
      const state = event.state as JobState;
      if (before !== undefined) checkJobTransition(before, state);
      before = state;
    }
    assert.equal(before, data.state, 'the last event tells the state');
    assert.deepEqual([data.eventsWaiting, data.outbox, bySeq.size], [false, {}, data.eventSeq]);
  }
  const appState = (await readJob(app)).data.state;
  const { state } = hello.data;
  assert.equal(appState, state === 'success' ? 'queued' : isTerminalJob(state) ? 'skipped' : 'pending');
  const build = await readBuild(firestore, life.build);
  assert.equal(build.state, isTerminalJob(state) && state !== 'success' ? 'failed' : 'running');
}

const which = fc.nat({ max: 5 });
const commands = fc.commands<Model, Life, false>(
  [
    fc
      .tuple(fc.boolean(), fc.boolean(), fc.integer({ min: 1, max: 3 }))
      .map(([over, publishes, rivals]) => new Claim(over, publishes, rivals)),
    fc.constant(new Claim(false, true, 3)),
    which.map((one) => new Renew(one)),
    fc
      .tuple(which, fc.constantFrom<'success' | ErrorKind>('success', 'infra', 'infra', 'user', 'cancelled'))
      .map(([one, how]) => new End(one, how)),
    fc.constant(new TimePasses()),
    fc.constant(new Reap()),
    fc.nat({ max: 2 }).map((version) => new Replan(version)),
    fc.constant(new Release()),
  ],
  { maxCommands: 25, size: 'max' },
);

test('a job keeps the promises of its life, whatever happens to it', async (context) => {
  const deadline = performance.now() + TIME_LIMIT_MS;
  await fc.assert(
    fc.asyncProperty(commands, async (all) => {
      // A life that has begun is lived to its end; none begins after the time.
      if (performance.now() > deadline) return;
      let real: Life | undefined;
      await fc.asyncModelRun(async () => {
        const life = await begin();
        real = life.real;
        return life;
      }, all);
      if (real === undefined) return;
      await checkWhole(real);
      // The reaper of the next life need not look at this one.
      await firestore.recursiveDelete(buildRef(firestore, real.build));
    }),
    { numRuns: 200, endOnFailure: true },
  );
  context.diagnostic(`${lives} lives with ${stepsTaken} steps`);
  assert.ok(lives > 5, 'the machine was too slow for any test of this');
});
