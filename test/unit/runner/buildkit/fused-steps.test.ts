import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { createFusedReader, type FusedStep, fusedScript } from '../../../../runner/buildkit/fused-steps.ts';

const folder = mkdtempSync(join(tmpdir(), 'carryall-fused-'));
after(() => rmSync(folder, { recursive: true, force: true }));

type Line = readonly ['start' | 'end', number, number?] | readonly ['output', string];

/** The events of a stream that comes in these pieces, neighbouring output joined. */
function events(pieces: readonly Buffer[]): Line[] {
  const lines: Line[] = [];
  const read = createFusedReader((event) => {
    const last = lines.at(-1);
    if (event.type === 'start') lines.push(['start', event.step]);
    else if (event.type === 'end') lines.push(['end', event.step, event.exitCode]);
    else if (last?.[0] === 'output')
      lines[lines.length - 1] = ['output', last[1] + event.bytes.toString('latin1')];
    else lines.push(['output', event.bytes.toString('latin1')]);
  });
  for (const piece of pieces) read(piece);
  return lines;
}

function step(script: string, more: Partial<FusedStep> = {}): FusedStep {
  return { script, workingDirectory: folder, environment: {}, ...more };
}

/** Runs them by bash: Debian's own /bin/sh lacks pipefail, which busybox has. */
function run(
  steps: readonly FusedStep[],
  trace = false,
): { lines: Line[]; code: number | null; stderr: string } {
  const result = spawnSync('bash', ['-c', fusedScript(steps, trace).replaceAll('/bin/sh -c', 'bash -c')]);
  return { lines: events([result.stdout]), code: result.status, stderr: result.stderr.toString() };
}

test('a step that prints the separator itself does not hide the mark after it', () => {
  const { lines } = run([step("printf 'a\\036'"), step('echo b')]);
  assert.deepEqual(lines, [
    ['start', 0],
    ['output', 'a\x1e'],
    ['end', 0, 0],
    ['start', 1],
    ['output', 'b\n'],
    ['end', 1, 0],
  ]);
});

test('a real shell runs the steps in order and each one is told apart', () => {
  const { lines, code } = run([step('echo one'), step('printf two'), step('')]);
  assert.deepEqual(lines, [
    ['start', 0],
    ['output', 'one\n'],
    ['end', 0, 0],
    ['start', 1],
    ['output', 'two'],
    ['end', 1, 0],
    ['start', 2],
    ['end', 2, 0],
  ]);
  assert.equal(code, 0);
});

test('the first step that fails ends the script with its exit code', () => {
  const { lines, code } = run([step('true'), step('echo before; exit 7; echo after'), step('echo never')]);
  assert.deepEqual(lines, [
    ['start', 0],
    ['end', 0, 0],
    ['start', 1],
    ['output', 'before\n'],
    ['end', 1, 7],
  ]);
  assert.equal(code, 7);
});

test('a step cannot reach the shell of the next one', () => {
  const { lines } = run([
    step('cd /; export LEAK=1; exec 1>&2', { environment: { OWN: "it's $mine" } }),
    step('echo "$PWD ${LEAK-unset} ${OWN-unset}"'),
    step('echo "$OWN"', { environment: { OWN: "it's $mine" } }),
  ]);
  assert.deepEqual(
    lines.filter((line) => line[0] === 'output'),
    [
      ['output', `${folder} unset unset\n`],
      ['output', "it's $mine\n"],
    ],
  );
});

test('tracing shows the commands on standard error only', () => {
  const { lines, stderr } = run([step('echo one')], true);
  assert.deepEqual(lines[1], ['output', 'one\n']);
  assert.match(stderr, /\+ echo one/);
});

test('output that only looks like a mark stays output', () => {
  for (const text of ['step 0 start\n', '\x1estep x start\n', '\x1estep 1 begin\n', '\x1e\n', 'a\x1eb\n']) {
    assert.deepEqual(events([Buffer.from(text)]), [['output', text]]);
  }
});

const part = fc.oneof(
  fc
    .tuple(fc.constantFrom('start', 'end'), fc.nat({ max: 40 }), fc.nat({ max: 255 }))
    .map(([type, id, code]) =>
      type === 'start' ? `\x1estep ${id} start\n` : `\x1estep ${id} end ${code}\n`,
    ),
  fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\x1e', '')),
  fc.constantFrom('step 1 start\n', '\n', '\x1estep\n', '\x1e nothing\n'),
);

test('however a stream is cut into pieces, it gives the same events', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), fc.array(fc.nat({ max: 9 })), (parts, sizes) => {
      const whole = Buffer.from(parts.join(''));
      const pieces: Buffer[] = [];
      let at = 0;
      for (const size of sizes) {
        pieces.push(whole.subarray(at, at + size));
        at += size;
      }
      pieces.push(whole.subarray(at));
      assert.deepEqual(events(pieces), events([whole]));
      const bytewise = [...whole].map((byte) => Buffer.from([byte]));
      assert.deepEqual(events(bytewise), events([whole]));
    }),
  );
});

test('no byte of output is lost or made up', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const whole = Buffer.from(parts.join(''));
      const output = events([whole])
        .map((line) => {
          if (line[0] === 'output') return line[1];
          return line[0] === 'start' ? `\x1estep ${line[1]} start\n` : `\x1estep ${line[1]} end ${line[2]}\n`;
        })
        .join('');
      assert.equal(output, whole.toString('latin1'));
    }),
  );
});
