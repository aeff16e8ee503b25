/**
 * A process that claims jobs and holds them, as a runner does. Told by its standard input: `claim PATH`, `claim-again
 * PATH`, `write NAME`; says by its standard output what happened, one JSON line each.
 */
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { claimJob, type HeldJob, holdJob } from '../../../runner/jobs/lease.ts';
import { asPipelineError } from '../../../shared/errors.ts';
import { openFirestore, silentLog } from './emulators-client.ts';

const { values } = parseArgs({
  options: {
    project: { type: 'string', default: '' },
    address: { type: 'string', default: '' },
    owner: { type: 'string', default: '' },
    'lease-ms': { type: 'string', default: '60000' },
    'renewal-ms': { type: 'string', default: '20000' },
  },
});
const firestore = openFirestore(values.project, values.address);
const leaseMs = Number(values['lease-ms']);
const renewalMs = Number(values['renewal-ms']);
let held: HeldJob | undefined;

const say = (line: Record<string, unknown>): void => {
  process.stdout.write(`${JSON.stringify({ ...line, atMs: Date.now() })}\n`);
};

// The connection is open before anything is measured.
await firestore.doc('builds/none').get();
say({ type: 'ready' });
for await (const line of createInterface({ input: process.stdin })) {
  const [command, name = ''] = line.split(' ');
  if (command === 'claim') await claim(name);
  else if (command === 'claim-again') await claimAgain(name);
  else if (command === 'write') await write(name);
}
process.exit(0);

async function claim(path: string): Promise<void> {
  try {
    const result = await claimJob(firestore.doc(path), values.owner, leaseMs);
    if (!result.claimed) {
      say({ type: 'not-claimed', path });
      return;
    }
    held = holdJob(
      result.stored,
      { leaseMs, renewalMs, renewalTimeoutMs: renewalMs, renewalFailures: 2 },
      silentLog,
    );
    held.signal.addEventListener('abort', () => say({ type: 'lost', path }));
    say({ type: 'claimed', path, epoch: held.epoch });
  } catch (thrown) {
    say({ type: 'failed', path, code: asPipelineError(thrown).code });
  }
}

/** Never stops claiming, so that a kill at any moment is in the middle of it. */
async function claimAgain(path: string): Promise<void> {
  for (;;) await claimJob(firestore.doc(path), values.owner, leaseMs);
}

async function write(name: string): Promise<void> {
  try {
    await held?.write(() => ({ step: name }));
    say({ type: 'written', name });
  } catch (thrown) {
    say({ type: 'refused', name, code: asPipelineError(thrown).code });
  }
}
