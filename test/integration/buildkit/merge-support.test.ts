import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, mock, type TestContext, test } from 'node:test';
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type StatusObject,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { type BuildkitConnection, connectBuildkit } from '../../../runner/buildkit/connection.ts';
import {
  ControlService,
  type SolveRequest,
  type SolveResponse,
} from '../../../runner/buildkit/gen/control.ts';
import { Status } from '../../../runner/buildkit/gen/status.ts';
import { supportsMerge } from '../../../runner/buildkit/merge-support.ts';
import { asPipelineError, type PipelineError } from '../../../shared/errors.ts';
import {
  type RealBuildkit,
  skipOwnEngine,
  skipReason,
  startBuildkitWithoutMerge,
  startRealBuildkit,
} from './real-buildkit.ts';

const patient = new AbortController().signal;

/** Answers of 21 new connections; tells the time of the first, which is the daemon's first solve, and of the others. */
async function askRepeatedly(t: TestContext, address: string): Promise<ReadonlySet<boolean>> {
  const answers = new Set<boolean>();
  const times: number[] = [];
  for (let run = 0; run < 21; run += 1) {
    await using connection = await connectBuildkit(address);
    await connection.workers();
    const began = performance.now();
    answers.add(await supportsMerge(connection, patient));
    times.push(performance.now() - began);
  }
  const [first = 0, ...others] = times;
  const median = others.sort((a, b) => a - b)[10] ?? 0;
  t.diagnostic(`the first probe takes ${first.toFixed(1)} ms, later ones ${median.toFixed(1)} ms (median)`);
  return answers;
}

async function refusal(asked: Promise<unknown>): Promise<PipelineError> {
  return asked.then(
    (answer) => assert.fail(`answered ${String(answer)}`),
    (thrown: unknown) => asPipelineError(thrown),
  );
}

describe('asking a BuildKit whether it merges', { skip: skipReason }, () => {
  let buildkit: RealBuildkit;
  before(async () => {
    buildkit = await startRealBuildkit();
  });
  after(() => buildkit?.[Symbol.asyncDispose]());

  const reconnect = async (): Promise<BuildkitConnection> => connectBuildkit(buildkit.address);

  test('one with MergeOp does', async (t) => {
    assert.deepEqual(await askRepeatedly(t, buildkit.address), new Set([true]));
  });

  test('callers at the same time and later ones share one question', async () => {
    await using connection = await reconnect();
    const solve = mock.method(connection.control, 'solve');
    const asked = Array.from({ length: 5 }, () => supportsMerge(connection, patient));
    assert.deepEqual(await Promise.all(asked), [true, true, true, true, true]);
    assert.equal(await supportsMerge(connection, patient), true);
    assert.equal(solve.mock.callCount(), 1);
  });

  test('a caller that gives up leaves the answer to the others', async () => {
    await using connection = await reconnect();
    const solve = mock.method(connection.control, 'solve');
    const hasty = new AbortController();
    const first = refusal(supportsMerge(connection, hasty.signal));
    const second = supportsMerge(connection, patient);
    hasty.abort(new Error('enough'));
    assert.equal((await first).kind, 'cancelled');
    assert.equal((await refusal(supportsMerge(connection, hasty.signal))).kind, 'cancelled');
    assert.equal(await second, true);
    assert.equal(solve.mock.callCount(), 1);
  });

  test('a daemon that is not there is an error, and is asked again once it is', async () => {
    const [, scheme = '', target = ''] = /^([^:]+):\/\/(.+)$/.exec(buildkit.address) ?? [];
    const path = join(tmpdir(), `carryall-${randomUUID().slice(0, 13)}.sock`);
    await using connection = await connectBuildkit(`${scheme === 'tcp' ? 'unix' : scheme}://${path}`);
    assert.equal((await refusal(supportsMerge(connection, patient))).kind, 'infra');

    const [, host, port] = /^(.+):(\d+)$/.exec(target) ?? [];
    await using _forwarder = await listening(
      createServer((near) => {
        const far = connect(host === undefined ? { path: target } : { host, port: Number(port) });
        for (const [one, other] of [
          [near, far],
          [far, near],
        ] as const) {
          one.pipe(other);
          one.on('error', () => other.destroy());
          one.once('close', () => other.destroy());
        }
      }),
      path,
    );
    const ready = Promise.withResolvers<void>();
    connection.control.waitForReady(Date.now() + 30_000, (error) =>
      error === undefined ? ready.resolve() : ready.reject(error),
    );
    await ready.promise;
    assert.equal(await supportsMerge(connection, patient), true);
  });
});

describe('asking a Docker Engine without the containerd image store', { skip: skipOwnEngine }, () => {
  test('it does not merge, which is remembered too', async (t) => {
    await using buildkit = await startBuildkitWithoutMerge();
    assert.deepEqual(await askRepeatedly(t, buildkit.address), new Set([false]));
    const solve = mock.method(buildkit.connection.control, 'solve');
    assert.equal(await supportsMerge(buildkit.connection, patient), false);
    const solves = solve.mock.callCount();
    assert.equal(await supportsMerge(buildkit.connection, patient), false);
    assert.equal(solve.mock.callCount(), solves);
  });
});

describe('trouble is not taken for a daemon that does not merge', () => {
  test('a daemon that fails whatever it is given', async () => {
    for (const code of [status.UNKNOWN, status.UNIMPLEMENTED, status.INTERNAL, status.RESOURCE_EXHAUSTED]) {
      await using daemon = await fakeDaemon(() => ({ code, details: 'trouble' }));
      assert.equal((await refusal(supportsMerge(daemon.connection, patient))).kind, 'infra');
    }
  });

  test('a merge that fails while it runs', async () => {
    await using daemon = await fakeDaemon((request) => {
      if (!declaresMerge(request)) return undefined;
      const detail = {
        typeUrl: 'github.com/moby/buildkit/errdefs.Vertex+json',
        value: Buffer.from('{"digest":"sha256:0"}'),
      };
      const metadata = new Metadata();
      const encoded = Status.encode(Status.fromPartial({ code: 2, message: '', details: [detail] })).finish();
      metadata.set('grpc-status-details-bin', Buffer.from(encoded));
      return { code: status.UNKNOWN, details: 'no space left on device', metadata };
    });
    const error = await refusal(supportsMerge(daemon.connection, patient));
    assert.equal(error.code, 'buildkit-failed');
    assert.equal(error.kind, 'infra');
  });

  test('a question that failed is asked again, and a refusal is known by its status, whatever its text', async () => {
    let healthy = false;
    await using daemon = await fakeDaemon((request) => {
      if (!healthy) return { code: status.UNAVAILABLE, details: 'starting' };
      return declaresMerge(request) ? { code: status.UNKNOWN, details: '' } : undefined;
    });
    assert.equal((await refusal(supportsMerge(daemon.connection, patient))).code, 'backend-unreachable');
    healthy = true;
    assert.equal(await supportsMerge(daemon.connection, patient), false);
  });
});

function declaresMerge(request: SolveRequest): boolean {
  return Object.values(request.definition?.metadata ?? {}).some((one) => one.caps['mergeop'] === true);
}

type Failure = Pick<StatusObject, 'code' | 'details'> & Partial<StatusObject>;

/** A gRPC server that answers Solve as told: with a failure, or well. */
async function fakeDaemon(
  answer: (request: SolveRequest) => Failure | undefined,
): Promise<{ connection: BuildkitConnection } & AsyncDisposable> {
  const server = new Server();
  server.addService(ControlService, {
    solve: (call: ServerUnaryCall<SolveRequest, SolveResponse>, done: sendUnaryData<SolveResponse>) => {
      const failure = answer(call.request);
      if (failure === undefined) done(null, { exporterResponse: {} });
      else done(failure);
    },
    status: (call: ServerWritableStream<unknown, unknown>) => call.end(),
  });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
    error === null ? resolve(port) : reject(error),
  );
  const connection = await connectBuildkit(`tcp://127.0.0.1:${await promise}`);
  return {
    connection,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]();
      server.forceShutdown();
    },
  };
}

async function listening(server: ReturnType<typeof createServer>, path: string): Promise<AsyncDisposable> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(path, resolve);
  await promise;
  return {
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}
