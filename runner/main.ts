/** The runner process: everything is made here, in order, and ended in the opposite one. */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Firestore } from '@google-cloud/firestore';
import { PubSub } from '@google-cloud/pubsub';
import { Storage } from '@google-cloud/storage';
import { type KeyRing, loadSigningKey, publicKeyName, publicKeyPem } from '../shared/apk/keys.ts';
import { asPipelineError, toErrorRecord } from '../shared/errors.ts';
import {
  ACK_EXTENSION_S,
  FLUSH_MS,
  GIVE_BACK_MS,
  LEASE_MS,
  RENEWAL_FAILURES,
  RENEWAL_MS,
  RENEWAL_TIMEOUT_MS,
} from '../shared/limits.ts';
import { createLog } from '../shared/log.ts';
import { publicKeyObject } from '../shared/object-names.ts';
import { jobsTopic, openTopics, REQUESTS_TOPIC, runnerSubscription } from '../shared/pubsub/topics.ts';
import { createObject } from '../shared/storage/objects.ts';
import { createBackendPool } from './backends/backend-pool.ts';
import { type RunnerConfig, readConfig } from './config.ts';
import {
  configuredCredentials,
  configuredRepository,
  namedRepositoryPolicy,
  type RepositoriesAccess,
} from './configured-repositories.ts';
import { createKnownPackages } from './environment/known-packages.ts';
import { createIndexCache, type Repository } from './environment/repository.ts';
import { createEventPublisher } from './events/event-publisher.ts';
import { startHttp } from './http.ts';
import type { LeaseTimes } from './jobs/lease.ts';
import { createMetrics } from './metrics.ts';
import { openPackageLedger } from './package-ledger.ts';
import { createPackagingPool } from './packaging/packaging-pool.ts';
import { handleRequest } from './planner/consume-requests.ts';
import type { RequestContext } from './planner/requests.ts';
import { createRepositoryWriter } from './publish/repository-writer.ts';
import { startConsumer } from './queue/consumer.ts';
import { startReaper } from './reaper.ts';
import { handleJob, type WorkerContext } from './worker/handle-job.ts';
import { createParkedJobs } from './worker/parked-jobs.ts';

/** Requests planned at the same time. */
const PLANNING_CONCURRENCY = 16;

// The storage client adds one listener per request to shared agents; with many jobs that is no leak.
EventEmitter.defaultMaxListeners = 100;

// A start that fails is one line of the log, as everything else.
process.on('uncaughtException', (thrown) => {
  const error = asPipelineError(thrown);
  createLog('runner', 'info').fatal({ ...toErrorRecord(error), error }, 'the runner ends');
  process.exit(1);
});

const config = await readConfig();
const log = createLog('runner', config.LOG_LEVEL);
const owner = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
const projectId = config.GOOGLE_CLOUD_PROJECT;
const firestore = new Firestore({ projectId, ignoreUndefinedProperties: true });
const pubsub = new PubSub({ projectId });
const storage = new Storage({
  projectId,
  ...(config.STORAGE_ENDPOINT === '' ? {} : { apiEndpoint: config.STORAGE_ENDPOINT }),
});

const key = loadSigningKey(
  await readFile(config.SIGNING_KEY_FILE, 'utf8'),
  basename(config.SIGNING_KEY_FILE),
  config.SIGNING_KEY_PASSPHRASE,
);
// For the packaging threads, which have no passphrase.
const keyPem = key.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
const ownKeys: KeyRing = new Map([[publicKeyName(key), key.publicKey]]);
await createObject(storage.bucket(config.BUILDS_BUCKET), publicKeyObject(key.name), {
  bytes: Buffer.from(publicKeyPem(key)),
  type: 'application/x-pem-file',
});

const bucketUrl = `${config.STORAGE_ENDPOINT || 'https://storage.googleapis.com'}/${config.BUILDS_BUCKET}`;
const storageAuthorization = config.STORAGE_ENDPOINT === '' ? accessToken : undefined;
const access: RepositoriesAccess = {
  credentials: config.credentials.map(configuredCredentials),
  plainHttp: config.CARRYALL_SETTING === 'local' ? 'allowed' : 'refused',
  storageEndpoint: config.STORAGE_ENDPOINT,
  storageAuthorization,
};
const ownRepository: Repository = {
  location: `gs://${config.BUILDS_BUCKET}/repo`,
  baseUrl: `${bucketUrl}/repo`,
  mayBeEmpty: true,
  keys: ownKeys,
  ...(storageAuthorization === undefined ? {} : { authorization: storageAuthorization }),
};
const configured = await Promise.all(config.repositories.map((one) => configuredRepository(one, access)));
const repositories = [ownRepository, ...configured];
const namedRepositories = await namedRepositoryPolicy(config.allowedHosts, access.credentials);

const topics = openTopics(pubsub);
const metrics = createMetrics();
const events = createEventPublisher(topics, log);
const pool = await createBackendPool(config.backends);
const packaging = createPackagingPool(config.PACKAGING_THREADS);
const parked = createParkedJobs(topics, log);
const repository = createRepositoryWriter({ storage, bucket: config.BUILDS_BUCKET, key, keys: ownKeys, log });
const stopping = new AbortController();
pool.onFree(() => parked.ringNext());
metrics.gauge('carryall_jobs_active', 'Jobs that run in this process', () =>
  pool.status().reduce((sum, one) => sum + one.activeJobs, 0),
);
metrics.gauge('carryall_jobs_parked', 'Jobs that wait for a backend slot', () => parked.size);

const planner: RequestContext = {
  firestore,
  storage,
  buildsBucket: config.BUILDS_BUCKET,
  specsBuckets: config.specsBuckets,
  topics,
  events,
  repositories,
  namedRepositories,
  architectures: () => pool.architectures(),
  serves: (arch, selector) => pool.serves(arch, selector),
  log,
};
const worker: WorkerContext = {
  firestore,
  engine: {
    storage,
    buildsBucket: config.BUILDS_BUCKET,
    repositories,
    namedRepositories,
    indexes: createIndexCache(),
    knownPackages: createKnownPackages(
      openPackageLedger({ firestore, builds: storage.bucket(config.BUILDS_BUCKET), owner }),
    ),
    packaging,
    key,
    keyPem,
    network: config.STEP_NETWORK,
    baseWorld: config.basePackages,
    spoolFolder: config.SPOOL_FOLDER,
    sourceDateEpoch: config.SOURCE_DATE_EPOCH,
    namespace: config.PACKAGE_NAMESPACE,
  },
  pool,
  ownRepository: { repository: ownRepository, bucketUrl },
  topics,
  events,
  repository,
  parked,
  metrics,
  log,
  owner,
  leaseTimes: leaseTimes(config),
  stopping: stopping.signal,
};

const consume = {
  pubsub,
  topics,
  log,
  ackDeadlineS: config.ACK_DEADLINE_SECONDS,
  ackExtensionS: ACK_EXTENSION_S,
};
const consumers = [
  startConsumer({
    ...consume,
    topic: REQUESTS_TOPIC,
    subscription: runnerSubscription(REQUESTS_TOPIC),
    maxMessages: PLANNING_CONCURRENCY,
    handle: (message) => handleRequest(planner, message),
  }),
  ...pool.architectures().map((arch) =>
    startConsumer({
      ...consume,
      topic: jobsTopic(arch),
      subscription: runnerSubscription(jobsTopic(arch)),
      maxMessages: config.MAX_JOBS,
      handle: (message) => handleJob(worker, message),
    }),
  ),
];
const leaseMs = worker.leaseTimes.leaseMs;
const intervalMs = config.REAPER_SECONDS * 1000;
const reaper = startReaper({ ...worker, leaseMs, intervalMs });
let draining = false;
const http = await startHttp({
  host: config.HOST,
  port: config.PORT,
  pool,
  metrics,
  unready: () => (draining ? 'it is draining' : undefined),
});
log.info(
  { owner, port: http.port, backends: config.backends.length, setting: config.CARRYALL_SETTING },
  'runner ready',
);
if (config.STEP_NETWORK === 'host')
  log.warn({}, 'build steps use the network of the host: for one machine only');

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void drain(signal));

/** Stops taking work, lets what runs finish if there is time, gives the rest back, and exits. */
async function drain(signal: string): Promise<void> {
  draining = true;
  log.info({ signal }, 'draining');
  for (const consumer of consumers) consumer.stop();
  const idle = Promise.all(consumers.map((consumer) => consumer.idle()));
  await Promise.race([idle, sleep(config.DRAIN_SECONDS * 1000)]);
  stopping.abort(new Error('the runner is shutting down'));
  await Promise.race([idle, sleep(GIVE_BACK_MS)]);
  try {
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await reaper[Symbol.asyncDispose]();
    await Promise.race([Promise.all([repository.idle(), events.idle()]), sleep(FLUSH_MS)]);
    await topics.flush();
    await http[Symbol.asyncDispose]();
    await packaging[Symbol.asyncDispose]();
    await pool[Symbol.asyncDispose]();
    await firestore.terminate();
  } catch (error) {
    log.error({ error: asPipelineError(error) }, 'the runner did not end cleanly');
  }
  log.info({}, 'runner ended');
  process.exit(0);
}

function leaseTimes(from: RunnerConfig): LeaseTimes {
  const ms = from.LEASE_SECONDS * 1000;
  const renewalMs = (ms * RENEWAL_MS) / LEASE_MS;
  return {
    leaseMs: ms,
    renewalMs,
    renewalTimeoutMs: Math.min(RENEWAL_TIMEOUT_MS, renewalMs),
    renewalFailures: RENEWAL_FAILURES,
  };
}

/** Short-lived credentials of the runner's service account, for reading buckets. */
async function accessToken(): Promise<string | undefined> {
  const token = await storage.authClient.getAccessToken();
  return token === null || token === undefined ? undefined : `Bearer ${token}`;
}
