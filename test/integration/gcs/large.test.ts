/** Large objects pass through with flat memory, and small ones quickly; the figures are printed. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Agent, get, request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { startProcess } from './endpoint-process.ts';
import { clientOf, temporaryFolder } from './local-endpoint.ts';

const MIB = 1024 * 1024;
const LARGE_MIB = 500;
const endpoint = await startProcess([`--folder=${await temporaryFolder()}`, '--bucket=specs']);
const bucket = clientOf(endpoint.url).bucket('specs');

test('500 MiB up and down cost less than 100 MB of memory', async (t) => {
  const piece = Buffer.alloc(MIB, 'carryall');
  const md5 = createHash('md5');
  for (let at = 0; at < LARGE_MIB; at += 1) md5.update(piece);
  const expected = md5.digest('base64');
  await bucket.file('warm-up').save(piece, { resumable: false });
  const before = await peakMemory();

  const started = performance.now();
  const uploaded = Promise.withResolvers<string>();
  const upload = request(
    `${endpoint.url}/upload/storage/v1/b/specs/o?uploadType=media&name=large`,
    { method: 'POST' },
    (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => uploaded.resolve(Buffer.concat(chunks).toString()));
    },
  );
  await pipeline(Readable.from(repeat(piece, LARGE_MIB)), upload);
  assert.equal(JSON.parse(await uploaded.promise).md5Hash, expected);
  const upSeconds = (performance.now() - started) / 1000;

  const reading = performance.now();
  let received = 0;
  const downloaded = Promise.withResolvers<void>();
  get(`${endpoint.url}/specs/large`, (response) => {
    response.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    response.on('end', () => downloaded.resolve());
    response.on('error', downloaded.reject);
  });
  await downloaded.promise;
  assert.equal(received, LARGE_MIB * MIB);
  const downSeconds = (performance.now() - reading) / 1000;

  const grownMib = ((await peakMemory()) - before) / MIB;
  t.diagnostic(
    `upload ${rate(upSeconds)}, download ${rate(downSeconds)}, peak memory +${grownMib.toFixed(0)} MiB`,
  );
  assert.ok(grownMib < 100, `memory grew by ${grownMib} MiB`);
  await bucket.file('large').delete();
});

test('small objects are written and read in milliseconds', async (t) => {
  const content = Buffer.alloc(1000, 7);
  const agent = new Agent({ keepAlive: true });
  const plain = (method: string, path: string, body?: Buffer): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sent = request(endpoint.url + path, { method, agent }, (response) => {
      response.resume();
      response.on('end', resolve);
    });
    sent.on('error', reject);
    sent.end(body);
    return promise;
  };
  const figures: [string, (turn: number) => Promise<unknown>][] = [
    [
      'put',
      (turn) => plain('POST', `/upload/storage/v1/b/specs/o?uploadType=media&name=raw${turn}`, content),
    ],
    ['get', (turn) => plain('GET', `/storage/v1/b/specs/o/raw${turn}?alt=media`)],
    ['client save', (turn) => bucket.file(`small/${turn}`).save(content, { resumable: false })],
    ['client download', (turn) => bucket.file(`small/${turn}`).download()],
  ];
  for (const [name, work] of figures) {
    const times: number[] = [];
    for (let turn = 0; turn < 300; turn += 1) {
      const started = performance.now();
      await work(turn);
      times.push(performance.now() - started);
    }
    times.sort((a, b) => a - b);
    const median = times[150] ?? 0;
    t.diagnostic(`${name} of 1 kB: median ${median.toFixed(2)} ms, p95 ${(times[285] ?? 0).toFixed(2)} ms`);
    // Far above what is usual, so that a busy machine does not fail it.
    assert.ok(median < 25, `${name} takes ${median} ms`);
  }
  agent.destroy();
});

/** Highest resident memory so far, in bytes (proc(5), VmHWM). */
async function peakMemory(): Promise<number> {
  const status = await readFile(`/proc/${endpoint.pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

function rate(seconds: number): string {
  return `${(LARGE_MIB / seconds).toFixed(0)} MiB/s`;
}

function* repeat(piece: Buffer, times: number): Generator<Buffer> {
  for (let at = 0; at < times; at += 1) yield piece;
}
