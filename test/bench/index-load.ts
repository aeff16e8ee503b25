/** Fetching, verifying and parsing the index of a distribution, and making its name table. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { generateSigningKey, loadSigningKey } from '../../shared/apk/keys.ts';
import { type IndexEntry, readIndexArchive, writeIndexArchive } from '../../shared/apk/package-index.ts';
import { startLoopbackServer } from '../pipelines/loopback.ts';
import type { Figure } from './run.ts';

const ROOT = new URL('../../', import.meta.url);
const CORPUS = fileURLToPath(new URL('../shared/corpus/index/alpine-3.16-main-x86_64.APKINDEX.tar.gz', ROOT));

/** As many as the largest distributions have, which keep old versions. */
const RECORDS = 60_000;
const RUNS = 3;

/** Against the yardstick, which understands nothing: in time, and in what is kept. */
const GOAL_TIME = 3;
const GOAL_KEPT = 1;

/** What both programs do with their work: time it, and tell what it leaves on the heap and needed at most. */
const FRAME = `
const heap = () => { gc(); gc(); const { heapUsed, external } = process.memoryUsage(); return (heapUsed + external) / 1e6; };
const before = heap();
const rssBefore = process.memoryUsage().rss / 1e6;
const startedMs = performance.now();
const kept = await work();
const seconds = (performance.now() - startedMs) / 1000;
const peakMb = process.resourceUsage().maxRSS / 1024 - rssBefore;
const retainedMb = heap() - before;
console.log(JSON.stringify({ seconds, peakMb, retainedMb, records: kept.count }));`;

const CARRYALL = `
import { readFileSync } from 'node:fs';
import { createIndexCache } from './runner/environment/repository.ts';
import { buildUniverse } from './runner/environment/universe.ts';
import { loadPublicKey } from './shared/apk/keys.ts';
const [url, pem] = process.argv.slice(1);
const repository = {
  location: url, baseUrl: url, mayBeEmpty: false,
  keys: new Map([['bench.rsa.pub', loadPublicKey(readFileSync(pem), 'bench.rsa.pub')]]),
};
const work = async () => {
  const cache = createIndexCache();
  const index = await cache.read(repository, 'x86_64', new AbortController().signal);
  const universe = buildUniverse([{ repository: url, entries: index.entries }]);
  return { cache, universe, count: index.entries.length };
};${FRAME}`;

/** The same bytes, inflated and cut into lines, and nothing understood of them. */
const YARDSTICK = `
import { gunzipSync } from 'node:zlib';
const [url] = process.argv.slice(1);
const work = async () => {
  const answer = await fetch(url + '/x86_64/APKINDEX.tar.gz');
  const lines = gunzipSync(Buffer.from(await answer.arrayBuffer())).toString().split('\\n');
  return { lines, count: lines.filter((line) => line.startsWith('P:')).length };
};${FRAME}`;

export async function indexLoad(): Promise<readonly Figure[]> {
  if (!existsSync(CORPUS)) {
    console.log('  skipped: the sample index is not beside the project');
    return [];
  }
  const folder = mkdtempSync(join(tmpdir(), 'carryall-index-'));
  try {
    const made = await generateSigningKey({ name: 'bench.rsa', bits: 2048 });
    const pem = join(folder, 'bench.rsa.pub');
    writeFileSync(pem, made.publicPem);
    const key = loadSigningKey(made.privatePem, 'bench.rsa');
    const { entries } = await readIndexArchive(readFileSync(CORPUS), 'unverified');
    const figures: Figure[] = [];
    for (const records of [entries, grown(entries, RECORDS)]) {
      const index = await writeIndexArchive(records, { key });
      await using server = await startLoopbackServer((_request, response) =>
        response.writeHead(200, { etag: '"1"', 'content-length': index.length }).end(index),
      );
      const ours = await measure(CARRYALL, [server.url, pem]);
      const plain = await measure(YARDSTICK, [server.url]);
      if (ours.records !== records.length) throw new Error(`${ours.records} records were read`);
      figures.push(
        {
          what: `${records.length} records, ${(index.length / 1e6).toFixed(1)} MB: to the name table`,
          value: ours.seconds,
          unit: 's',
        },
        {
          what: '  as a multiple of fetching, inflating and cutting into lines (the yardstick)',
          value: ours.seconds / plain.seconds,
          unit: 'x',
          goal: GOAL_TIME,
        },
        { what: '  largest memory above the start', value: ours.peakMb, unit: 'MB' },
        { what: '    of the yardstick', value: plain.peakMb, unit: 'MB' },
        { what: '  memory that stays', value: ours.retainedMb, unit: 'MB' },
        { what: '    of the yardstick', value: plain.retainedMb, unit: 'MB' },
        {
          what: '    as a share of that',
          value: ours.retainedMb / plain.retainedMb,
          unit: 'x',
          goal: GOAL_KEPT,
        },
      );
    }
    return figures;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The records again and again, each time under other names and with other checksums. */
function grown(entries: readonly IndexEntry[], count: number): IndexEntry[] {
  return Array.from({ length: count }, (_, at): IndexEntry => {
    const entry = entries[at % entries.length];
    if (entry === undefined) throw new Error('the sample index is empty');
    const round = Math.floor(at / entries.length);
    if (round === 0) return entry;
    const checksum = `Q1${Buffer.from(`${at}`.padStart(20, '.')).toString('base64')}`;
    return { ...entry, name: `${entry.name}-${round}`, controlChecksum: checksum };
  });
}

interface Measured {
  readonly seconds: number;
  readonly peakMb: number;
  readonly retainedMb: number;
  readonly records: number;
}

/** The fastest of several processes, which all do the same. */
async function measure(program: string, args: readonly string[]): Promise<Measured> {
  const runs: Measured[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    const node = ['--expose-gc', '--input-type=module', '--eval', program, '--', ...args];
    const child = spawn(process.execPath, node, {
      cwd: fileURLToPath(ROOT),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    if (stdout === '') throw new Error(`nothing was measured: ${stderr.slice(-2_000)}`);
    runs.push(JSON.parse(stdout));
  }
  const [fastest] = runs.toSorted((a, b) => a.seconds - b.seconds);
  if (fastest === undefined) throw new Error('nothing was measured');
  return fastest;
}
