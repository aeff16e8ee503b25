/** Validating and compiling real build files with the command line, on one core. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Figure } from './run.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CORPUS = join(ROOT, '../shared/corpus/wolfi');

/** As many as Wolfi has. */
const FILES = 3_400;
const GOAL_S = 10;

/** Prints what the process used, when it ends, to a descriptor that nothing else writes to. */
const USAGE = `import { writeSync } from 'node:fs';
process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  writeSync(3, JSON.stringify({ cpuUs: userCPUTime + systemCPUTime, rssKb: maxRSS }));
});`;

/** The same files, read and loaded by the YAML library alone. */
const YARDSTICK = `import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';
for (const file of process.argv.slice(1)) load(readFileSync(file, 'utf8'));`;

export async function language(): Promise<readonly Figure[]> {
  if (!existsSync(CORPUS)) {
    console.log('  skipped: the corpus is not beside the project');
    return [];
  }
  const names = readdirSync(CORPUS).filter((name) => name.endsWith('.yaml'));
  // Fewer than Wolfi has, so some are taken again; nothing of a build file is kept between two readings.
  const files = Array.from({ length: FILES }, (_, index) => join(CORPUS, names[index % names.length] ?? ''));
  const validate = ['--', 'cli/main.ts', 'validate', '--jobs', '1'];
  const all = await measure([...validate, ...files]);
  const start = await measure([...validate, ...files.slice(0, 1)]);
  const yaml = await measure(['--input-type=module', '--eval', YARDSTICK, '--', ...files]);
  // Processor time is what the wall clock shows on a quiet core, and other programs change it little.
  return [
    {
      what: `validate ${FILES} build files for x86_64 and aarch64 on one core, processor time`,
      value: all.cpuSeconds,
      unit: 's',
      goal: GOAL_S,
    },
    { what: '  by the wall clock', value: all.seconds, unit: 's' },
    { what: '  without the start', value: FILES / (all.cpuSeconds - start.cpuSeconds), unit: 'files/s' },
    {
      what: 'the same, in plain loads by js-yaml (the yardstick)',
      value: all.cpuSeconds / yaml.cpuSeconds,
      unit: 'x',
    },
    { what: 'largest memory', value: all.rssMb, unit: 'MB' },
    { what: '  with a single file', value: start.rssMb, unit: 'MB' },
    { what: 'start of the command and one file', value: start.cpuSeconds, unit: 's' },
  ];
}

interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssMb: number;
}

/** Runs Node with these arguments, on the last core where that can be had. */
async function measure(args: readonly string[]): Promise<Measured> {
  const node = [process.execPath, '--import', `data:text/javascript,${encodeURIComponent(USAGE)}`, ...args];
  const pinned = existsSync('/usr/bin/taskset')
    ? ['taskset', '-c', `${availableParallelism() - 1}`, ...node]
    : node;
  const [program = '', ...rest] = pinned;
  const startedMs = performance.now();
  const child = spawn(program, rest, { cwd: ROOT, stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
  const usage = child.stdio[3];
  if (child.stderr === null || usage === undefined || usage === null || !('read' in usage)) {
    throw new Error('the process has no pipes');
  }
  const ended = Promise.withResolvers<number | null>();
  child.once('exit', ended.resolve);
  child.once('error', ended.reject);
  const [code, stderr, report] = await Promise.all([ended.promise, text(child.stderr), text(usage)]);
  const seconds = (performance.now() - startedMs) / 1000;
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr.slice(-2_000)}`);
  const { cpuUs, rssKb }: { cpuUs: number; rssKb: number } = JSON.parse(report);
  return { seconds, cpuSeconds: cpuUs / 1e6, rssMb: rssKb / 1024 };
}
