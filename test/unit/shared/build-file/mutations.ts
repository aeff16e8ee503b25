/**
 * Changes bytes of build files at random and does with each everything that is done with an upload. Run by
 * mutations.test.ts as a process of its own, whose memory is limited: `FIRST COUNT` name the seeds. Prints a line
 * `{seed, ms}` for each slow one, and at the end `{done, slowestMs, rssMiB}`.
 */
import {
  type Architecture,
  checkShell,
  compileBuildFile,
  compiledYaml,
  formatDiagnostic,
  isBuildFile,
  parseBuildFile,
} from '../../../../shared/build-file/index.ts';
import { corpusFiles, corpusPipelines } from './corpus.ts';
import { fixture } from './language.ts';

const SLOW_MS = 200;
/** What YAML, references, conditions and shell are made of; other bytes are any. */
const SIGNIFICANT = Buffer.from(' \n\t\r:-{}[]"\'|>&*!%#${}<?\\,()=~@`/.0aZ\0\xff', 'latin1');

const [first = 0, count = 0] = process.argv.slice(2).map(Number);
const sources = corpusFiles.length > 0 ? corpusFiles : [fixture('demo.yaml'), fixture('lantern.yaml')];
const bytes = sources.map((one) => Buffer.from(one.text));

let slowestMs = 0;
for (let seed = first; seed < first + count; seed += 1) {
  const random = createRandom(seed);
  const text = mutate(bytes[random(bytes.length)] ?? Buffer.alloc(0), random).toString('utf8');
  const before = process.cpuUsage();
  await exercise(text, random(2) === 0 ? 'x86_64' : 'aarch64');
  // Processor time: other tests run beside this one.
  const { user, system } = process.cpuUsage(before);
  const ms = (user + system) / 1000;
  slowestMs = Math.max(slowestMs, ms);
  if (ms > SLOW_MS) console.log(JSON.stringify({ seed, ms: Math.round(ms) }));
}
const rssMiB = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(JSON.stringify({ done: count, slowestMs: Math.round(slowestMs), rssMiB }));

async function exercise(text: string, arch: Architecture): Promise<void> {
  isBuildFile(text);
  const { buildFile, diagnostics } = parseBuildFile({ file: 'f.yaml', text });
  let found = diagnostics;
  if (buildFile !== undefined) {
    const {
      plan,
      fragments,
      diagnostics: more,
    } = compileBuildFile(buildFile, { arch, lookup: corpusPipelines });
    const [shell = []] = await checkShell([fragments]);
    found = [...diagnostics, ...more, ...shell];
    if (plan !== undefined) compiledYaml(plan);
  } else if (!diagnostics.some((one) => one.severity === 'error')) {
    throw new Error('a file was refused without a reason');
  }
  for (const one of found) {
    if (one.position.line < 1 || one.position.column < 1) throw new Error(`no position: ${one.message}`);
    formatDiagnostic(one, text);
  }
}

/** One to six places where bytes are replaced, removed, inserted, or a part of the file is repeated. */
function mutate(source: Buffer, random: (below: number) => number): Buffer {
  let result = source;
  for (let changes = 1 + random(6); changes > 0; changes -= 1) {
    const at = random(result.length + 1);
    const removed = random(3) === 0 ? random(40) : random(3);
    const inserted =
      random(8) === 0
        ? result.subarray(random(result.length + 1)).subarray(0, random(400))
        : Buffer.from(Array.from({ length: random(5) }, () => randomByte(random)));
    result = Buffer.concat([result.subarray(0, at), inserted, result.subarray(at + removed)]);
  }
  return result;
}

function randomByte(random: (below: number) => number): number {
  return random(3) === 0 ? random(256) : (SIGNIFICANT[random(SIGNIFICANT.length)] ?? 0);
}

/** A generator of whole numbers below a bound (mulberry32), so that a seed names one mutation for ever. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return below === 0 ? 0 : ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
