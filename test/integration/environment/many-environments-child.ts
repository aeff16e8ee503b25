/**
 * Makes many environments at the same time, as a runner does, in a process of its own whose memory can be measured.
 * Prints what it took as JSON.
 */
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { Storage } from '@google-cloud/storage';
import { localSigningKey } from '../../../deploy/local/bootstrap/local-key.ts';
import { connectBuildkit } from '../../../runner/buildkit/connection.ts';
import { supportsMerge } from '../../../runner/buildkit/merge-support.ts';
import { solve } from '../../../runner/buildkit/solve.ts';
import { createKnownPackages } from '../../../runner/environment/known-packages.ts';
import { createIndexCache, type Repository } from '../../../runner/environment/repository.ts';
import { openPackageLedger } from '../../../runner/package-ledger.ts';
import { type EnvironmentContext, makeBuildEnvironment } from '../../../runner/worker/build-environment.ts';
import { loadPublicKey } from '../../../shared/apk/keys.ts';
import { compileBuildFile, parseBuildFile } from '../../../shared/build-file/index.ts';
import { openFirestore } from '../state/emulators-client.ts';
import { type ChildOutput, childInput } from './many-environments.ts';

EventEmitter.defaultMaxListeners = 100;

const input = childInput.parse(JSON.parse(readFileSync(0, 'utf8')));
const firestore = openFirestore(input.firestoreProject, input.firestoreAddress);
const builds = new Storage({ projectId: input.firestoreProject, apiEndpoint: input.storageUrl }).bucket(
  input.bucket,
);
const knownPackages = createKnownPackages(
  openPackageLedger({ firestore, builds, owner: `child-${process.pid}` }),
);
const repository: Repository = {
  location: input.repositoryUrl,
  baseUrl: input.repositoryUrl,
  mayBeEmpty: false,
  keys: new Map([[input.publicKeyName, loadPublicKey(input.publicKey, input.publicKeyName)]]),
};
const { signal } = new AbortController();
await using connection = await connectBuildkit(input.buildkitAddress);

const context: EnvironmentContext = {
  repositories: [repository],
  namedRepositories: { reach: { hosts: [] }, keys: new Map() },
  indexes: createIndexCache(),
  knownPackages,
  key: await localSigningKey(input.keyFolder, input.keyName),
  baseWorld: input.base,
};

async function make(world: readonly string[]): Promise<number> {
  const text = `package: {name: some, version: 1}
environment: {contents: {packages: [${world.join(', ')}]}}
pipeline: [{runs: 'true'}]
`;
  const { buildFile } = parseBuildFile({ file: 'some.yaml', text });
  const plan = buildFile && compileBuildFile(buildFile, { arch: input.arch, lookup: () => undefined }).plan;
  if (plan === undefined) throw new Error(`this does not compile:\n${text}`);
  const { composed, locked } = await makeBuildEnvironment(context, {
    plan,
    ahead: [],
    layout: async () => ((await supportsMerge(connection, signal)) ? 'merge' : 'one-layer'),
    signal,
  });
  await solve({
    connection,
    output: composed.root,
    services: { uploads: composed.uploads },
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
  peakRssMb: (process.resourceUsage().maxRSS * 1024) / 1e6,
  startRssMb,
  packages: sizes.reduce((sum, one) => sum + one, 0),
};
await firestore.terminate();
process.stdout.write(`${JSON.stringify(output)}\n`);
