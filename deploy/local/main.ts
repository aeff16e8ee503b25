/** The commands behind `make up`, `make down`, `make env`, `make status` and `make demo`. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { asPipelineError, PipelineError } from '../../shared/errors.ts';
import { openLocalClients } from './clients.ts';
import { readLocalConfig } from './config.ts';
import { runDemo } from './demo.ts';
import { reapDockerEngine } from './engine/reap.ts';
import {
  BUILDS_BUCKET,
  type LocalCloud,
  localLockName,
  localMarker,
  SPECS_BUCKET,
  startLocalCloud,
} from './local-cloud.ts';
import { tryLock } from './parts/machine-lock.ts';
import { endAll, findProcesses, isAlive, killAll } from './parts/processes.ts';
import { waitFor } from './parts/wait-for.ts';
import { progressLog } from './progress.ts';
import { printStatus } from './status.ts';

const COMMANDS = { up, down, env: printEnvironment, status, demo };

const config = readLocalConfig();
const folder = join(config.home, 'local');
await mkdir(folder, { recursive: true });
const log = progressLog((line) => console.error(line));

const command = Object.entries(COMMANDS).find(([name]) => name === process.argv[2])?.[1];
if (command === undefined) {
  console.error(`usage: node deploy/local/main.ts ${Object.keys(COMMANDS).join('|')}`);
  process.exit(2);
}
try {
  await command();
} catch (thrown) {
  const error = asPipelineError(thrown);
  if (error.kind !== 'cancelled') {
    console.error(`\n${error.message}${error.hint === undefined ? '' : `\nhint: ${error.hint}`}`);
    if (error.kind === 'bug') console.error(error.stack);
  }
  process.exitCode = 1;
}
// Nothing is left to do; what a library keeps open must not keep this process.
process.exit();

/** Starts everything and stays until Ctrl-C or `make down`. */
async function up(): Promise<void> {
  const stop = stopSignal();
  const cloud = await startLocalCloud({ config, folder, log, signal: stop });
  console.error(`
Carryall runs on this machine. Build steps use the network of the host: for trusted build files only.
  in another shell     eval "$(make -s env)"
  build a package      gcloud storage cp examples/greeting.yaml gs://${SPECS_BUCKET}/
  see what came of it  gcloud storage ls -r gs://${BUILDS_BUCKET}/
  states               make status
  backends             curl $CARRYALL_RUNNER/api/v1/backends/status
  logs of the parts    ${join(cloud.folder, 'logs')}
  stop                 Ctrl-C here, or make down
`);
  await aborted(stop);
  log('stopping');
  await cloud.close();
  await rm(join(cloud.folder, 'environment.json'), { force: true });
  log('stopped');
}

/** Stops the cloud of this checkout, also one whose supervisor was killed. */
async function down(): Promise<void> {
  const state = await readState();
  if (state !== undefined && (await isHeld()) && (await isAlive(state.pid))) {
    process.kill(state.pid, 'SIGTERM');
    log('stopping', { pid: state.pid });
    const deadline = performance.now() + 120_000;
    await waitFor(
      async () => (!(await isAlive(state.pid)) || performance.now() > deadline ? true : undefined),
      { intervalMs: 100 },
    );
  }
  const marker = localMarker(folder);
  const belonging = { marker: `${marker.name}=${marker.value}` };
  await endAll(() => findProcesses(belonging), 'SIGTERM', 10_000);
  await killAll(belonging);
  await killAll({ marker: `CARRYALL_PART=registry:${join(folder, 'registry')}` });
  await reapDockerEngine({ folder: join(folder, 'engine'), log });
  await rm(join(folder, 'environment.json'), { force: true });
  log('nothing runs any more');
}

/** Prints `export` lines for the shell. */
async function printEnvironment(): Promise<void> {
  const state = await readState();
  if (state === undefined || !(await isHeld())) throw notRunning();
  for (const [key, value] of Object.entries(state.environment)) {
    console.log(`export ${key}='${value.replaceAll("'", "'\\''")}'`);
  }
}

/** The main job on one machine: a real package from its release tarball, built, signed, verified. */
async function demo(): Promise<void> {
  const stop = stopSignal();
  const startedMs = performance.now();
  const cloud = await startLocalCloud({ config, folder, log, signal: stop });
  try {
    await runDemo({ cloud, config, log, signal: stop });
  } finally {
    log('stopping');
    await cloud.close();
    await rm(join(cloud.folder, 'environment.json'), { force: true });
  }
  log('the demo is done', { seconds: ((performance.now() - startedMs) / 1000).toFixed(1) });
}

/** Prints the newest builds and their jobs as they stand in Firestore. */
async function status(): Promise<void> {
  const state = await readState();
  if (state === undefined || !(await isHeld())) throw notRunning();
  await using clients = openLocalClients({ ports: state.ports });
  await printStatus(clients.firestore, (line) => console.log(line));
}

function notRunning(): PipelineError {
  return new PipelineError({
    code: 'process-failed',
    kind: 'infra',
    message: 'the local cloud does not run',
    hint: 'start it with "make up" in another shell',
  });
}

async function isHeld(): Promise<boolean> {
  const lock = await tryLock(localLockName(folder));
  await lock?.release();
  return lock === undefined;
}

interface State {
  readonly pid: number;
  readonly ports: LocalCloud['ports'];
  readonly environment: Readonly<Record<string, string>>;
}

async function readState(): Promise<State | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, 'environment.json'), 'utf8')) as State;
  } catch {
    // There is none: nothing was started, or it was stopped.
    return undefined;
  }
}

/** Fires on Ctrl-C and on SIGTERM. A second one ends the process at once; the next start cleans up. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(130);
      stop.abort(new Error(name));
    });
  }
  return stop.signal;
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  signal.addEventListener('abort', () => resolve(), { once: true });
  // A pending promise alone does not keep the process; its parts' handles are unreferenced here and there.
  const alive = setInterval(() => undefined, 60_000);
  await promise;
  clearInterval(alive);
}
