/**
 * Makes many environments at the same time, as a runner does, in a process of its own whose memory can be measured.
 * Prints what it took as JSON.
 */
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { Storage } from '@google-cloud/storage';
import { connectBuildkit } from '../../../runner/buildkit/connection.ts';
import { solve } from '../../../runner/buildkit/solve.ts';
import { composeEnvironment } from '../../../runner/environment/compose.ts';
import { createKnownPackages } from '../../../runner/environment/known-packages.ts';
import { lockEnvironment } from '../../../runner/environment/lock.ts';
import { createIndexCache, type Repository } from '../../../runner/environment/repository.ts';
import { openPackageLedger } from '../../../runner/package-ledger.ts';
import { loadPublicKey } from '../../../shared/apk/keys.ts';
import { openFirestore } from '../state/emulators-client.ts';
import { type ChildOutput, childInput } from './many-environments.ts';

EventEmitter.defaultMaxListeners = 100;

const input = childInput.parse(JSON.parse(readFileSync(0, 'utf8')));
const firestore = openFirestore(input.firestoreProject, input.firestoreAddress);
const builds = new Storage({ projectId: input.firestoreProject, apiEndpoint: input.storageUrl }).bucket(
  input.bucket,
);
const packages = createKnownPackages(openPackageLedger({ firestore, builds, owner: `child-${process.pid}` }));
const indexes = createIndexCache();
const repository: Repository = {
  location: input.repositoryUrl,
  baseUrl: input.repositoryUrl,
  mayBeEmpty: false,
  keys: new Map([[input.keyName, loadPublicKey(input.publicKey, input.keyName)]]),
};
const { signal } = new AbortController();
await using connection = await connectBuildkit(input.buildkitAddress);

const lock = (world: readonly string[]): ReturnType<typeof lockEnvironment> =>
  lockEnvironment({
    world,
    arch: input.arch,
    repositories: [repository],
    ahead: [],
    indexes,
    packages,
    signal,
  });

async function make(world: readonly string[]): Promise<number> {
  const [locked, base] = await Promise.all([lock(world), lock(input.base)]);
  const { root, uploads } = composeEnvironment({
    packages: locked,
    world,
    base: new Set(base.map((one) => one.entry.name)),
    layout: 'merge',
    arch: input.arch,
    repositories: [],
    configuration: {},
    accounts: { users: [], groups: [] },
    paths: [],
    keys: new Map(),
    authSecrets: new Map(),
  });
  await solve({
    connection,
    output: root,
    services: { uploads },
    entitlements: [],
    onProgress: () => undefined,
    signal,
  });
  return locked.length;
}

const startRssMb = process.memoryUsage().rss / 1e6;
const started = performance.now();
const sizes = await Promise.all(input.worlds.map(make));
const output: ChildOutput = {
  seconds: (performance.now() - started) / 1000,
  peakRssMb: process.resourceUsage().maxRSS / 1000,
  startRssMb,
  packages: sizes.reduce((sum, one) => sum + one, 0),
};
await firestore.terminate();
process.stdout.write(`${JSON.stringify(output)}\n`);
