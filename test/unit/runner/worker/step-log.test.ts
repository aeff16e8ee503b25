import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GraphStep } from '../../../../runner/buildkit/package-graph.ts';
import type { ProgressEvent } from '../../../../runner/buildkit/progress.ts';
import { createStepLog, type StepLog } from '../../../../runner/worker/step-log.ts';

const COMPILE = { name: 'compile', packageName: 'hello' };
const SPLIT = { name: 'split', packageName: 'hello-dev' };
const STRIP = { name: 'strip', packageName: 'hello-doc' };

function open(execs: Readonly<Record<string, readonly GraphStep[]>>): { log: StepLog; text: () => string } {
  const parts: string[] = [];
  const log = createStepLog(new Map(Object.entries(execs)), (text) =>
    parts.push(Buffer.from(text).toString()),
  );
  return { log, text: () => parts.join('') };
}

function started(digest: string, atMs: number): ProgressEvent {
  return { type: 'started', digest, name: digest, atMs };
}

function printed(digest: string, text: string, stream: 'stdout' | 'stderr' = 'stdout'): ProgressEvent {
  return { type: 'log', digest, name: digest, stream, bytes: Buffer.from(text) };
}

function completed(
  digest: string,
  atMs: number,
  more: { cached?: boolean; error?: string } = {},
): ProgressEvent {
  return { type: 'completed', digest, name: digest, startedMs: 0, atMs, cached: false, error: '', ...more };
}

test('a step has its name, its output and its time in the log', () => {
  const { log, text } = open({ one: [COMPILE] });
  log.read(started('one', 1000));
  assert.equal(log.current(), 'compile');
  log.read(printed('one', 'cc hello.c\n'));
  log.read(printed('one', 'a warning\n', 'stderr'));
  log.read(completed('one', 3500));
  assert.equal(text(), '==> hello: compile\ncc hello.c\na warning\n<== hello: compile: done in 2.5 s\n');
  assert.equal(log.current(), undefined);
  assert.deepEqual(log.timings(), [
    { name: 'compile', package: 'hello', ms: 2500, cached: false, failed: false },
  ]);
});

test('a step that failed says so', () => {
  const { log, text } = open({ one: [COMPILE] });
  log.read(started('one', 0));
  log.read(completed('one', 100, { error: 'exit code: 1' }));
  assert.match(text(), /compile: FAILED in 0\.1 s/);
  assert.equal(log.timings()[0]?.failed, true);
});

test('steps in one exec are told apart by their marks', () => {
  const { log, text } = open({ one: [SPLIT, STRIP] });
  log.read(started('one', 0));
  log.read(printed('one', '\x1estep 0 start\nmoving\n\x1estep 0 end 0\n\x1estep 1 st'));
  assert.equal(log.current(), undefined);
  log.read(printed('one', 'art\nstripping\n'));
  assert.equal(log.current(), 'strip');
  log.read(printed('one', '\x1estep 1 end 3\n'));
  log.read(completed('one', 10, { error: 'exit code: 3' }));
  assert.match(
    text(),
    /^==> hello-dev: split\nmoving\n<== hello-dev: split: done in .*\n==> hello-doc: strip\nstripping\n<== hello-doc: strip: FAILED in .*\n$/,
  );
  assert.deepEqual(
    log.timings().map((one) => [one.name, one.package, one.failed]),
    [
      ['split', 'hello-dev', false],
      ['strip', 'hello-doc', true],
    ],
  );
});

test('steps in one exec that came from the cache are all named, as cached', () => {
  const { log } = open({ one: [SPLIT, STRIP], two: [COMPILE] });
  log.read(started('one', 0));
  log.read(completed('one', 0, { cached: true }));
  log.read(completed('two', 0, { cached: true }));
  assert.deepEqual(
    log.timings().map((one) => [one.name, one.cached]),
    [
      ['split', true],
      ['strip', true],
      ['compile', true],
    ],
  );
});

test('a step that ends twice is counted once', () => {
  const { log } = open({ one: [COMPILE] });
  log.read(started('one', 0));
  log.read(completed('one', 100));
  log.read(started('one', 200));
  log.read(completed('one', 300));
  assert.equal(log.timings().length, 1);
});

test('an exec that dies in the middle of a step leaves that step failed', () => {
  const { log } = open({ one: [SPLIT, STRIP] });
  log.read(started('one', 0));
  log.read(printed('one', '\x1estep 0 start\n'));
  log.read(completed('one', 10, { error: 'killed' }));
  assert.deepEqual(
    log.timings().map((one) => [one.name, one.failed]),
    [['split', true]],
  );
});

test('what is no step is named at most once a second, its output and its errors always', () => {
  const { log, text } = open({});
  log.read(started('fetch a', 10_000));
  log.read(started('fetch b', 10_500));
  log.read(started('fetch c', 11_500));
  log.read(printed('fetch c', 'slow server\n'));
  log.read(completed('fetch c', 12_000, { error: '404' }));
  assert.equal(text(), '... fetch a\n... fetch c\nslow server\n<== fetch c: 404\n');
  assert.deepEqual(log.timings(), []);
});
