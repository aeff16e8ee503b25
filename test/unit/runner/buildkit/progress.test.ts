import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatusResponse } from '../../../../runner/buildkit/gen/control.ts';
import { createProgressReader, type ProgressEvent } from '../../../../runner/buildkit/progress.ts';

function at(ms: number): { seconds: bigint; nanos: number } {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 };
}

function read(...responses: readonly Parameters<typeof StatusResponse.fromPartial>[0][]): ProgressEvent[] {
  const events: ProgressEvent[] = [];
  const reader = createProgressReader((event) => events.push(event));
  for (const response of responses) reader.read(StatusResponse.fromPartial(response));
  reader.finish();
  return events;
}

const VERTEX = { digest: 'sha256:1', name: 'compile' };

test('a step starts, prints and ends, with the times of the daemon', () => {
  const events = read(
    { vertexes: [VERTEX] },
    { vertexes: [{ ...VERTEX, started: at(1500) }] },
    { logs: [{ vertex: VERTEX.digest, stream: 1n, msg: Buffer.from('out') }] },
    { logs: [{ vertex: VERTEX.digest, stream: 2n, msg: Buffer.from('err') }] },
    { vertexes: [{ ...VERTEX, started: at(1500), completed: at(2750) }] },
  );
  assert.deepEqual(events, [
    { type: 'started', digest: VERTEX.digest, name: 'compile', atMs: 1500 },
    { type: 'log', ...VERTEX, stream: 'stdout', bytes: Buffer.from('out') },
    { type: 'log', ...VERTEX, stream: 'stderr', bytes: Buffer.from('err') },
    { type: 'completed', ...VERTEX, startedMs: 1500, atMs: 2750, cached: false, error: '' },
  ]);
});

test('a step that is announced again does not start again', () => {
  const started = { ...VERTEX, started: at(1000) };
  const events = read({ vertexes: [started] }, { vertexes: [started] }, { vertexes: [started] });
  assert.equal(events.filter((event) => event.type === 'started').length, 1);
});

test('a step that came from the cache says so, also when it said so earlier', () => {
  const events = read(
    { vertexes: [{ ...VERTEX, cached: true, started: at(1000) }] },
    { vertexes: [{ ...VERTEX, started: at(1000), completed: at(1000) }] },
  );
  const [end] = events.filter((event) => event.type === 'completed');
  assert.ok(end?.type === 'completed' && end.cached);
});

test('a step that failed carries the text of BuildKit', () => {
  const events = read({
    vertexes: [{ ...VERTEX, started: at(1000), completed: at(2000), error: 'exit code: 2' }],
  });
  const end = events.at(-1);
  assert.ok(end?.type === 'completed' && end.error === 'exit code: 2');
});

test('a step that never ended is ended with the stream, one that never started is not told of', () => {
  const events = read({
    vertexes: [
      { ...VERTEX, started: at(1000) },
      { digest: 'sha256:2', name: 'waits' },
    ],
  });
  assert.deepEqual(
    events.map((event) => [event.type, event.digest]),
    [
      ['started', VERTEX.digest],
      ['completed', VERTEX.digest],
    ],
  );
  const end = events.at(-1);
  assert.ok(end?.type === 'completed' && end.error !== '');
});

test('names are known by digest once they were announced', () => {
  const reader = createProgressReader(() => undefined);
  assert.equal(reader.nameOf(VERTEX.digest), undefined);
  reader.read(StatusResponse.fromPartial({ vertexes: [VERTEX] }));
  assert.equal(reader.nameOf(VERTEX.digest), 'compile');
});

test('output of a vertex that was not announced is kept without a name', () => {
  const [event] = read({ logs: [{ vertex: 'sha256:9', stream: 1n, msg: Buffer.from('x') }] });
  assert.ok(event?.type === 'log' && event.name === '' && event.bytes.toString() === 'x');
});
