/** A whole local cloud for the tests of one file: real emulators, real BuildKit, real processes. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LocalClients, openLocalClients } from '../../deploy/local/clients.ts';
import { readLocalConfig } from '../../deploy/local/config.ts';
import { type LocalCloud, SPECS_BUCKET, startLocalCloud } from '../../deploy/local/local-cloud.ts';
import { BUILD, type BuildRecord, buildRef } from '../../shared/firestore/build-record.ts';
import { decodeDocument, readDocument } from '../../shared/firestore/documents.ts';
import { JOB, type JobRecord, jobs } from '../../shared/firestore/job-record.ts';
import { type BuildId, buildIdOfUpload } from '../../shared/identity.ts';
import { isTerminalBuild } from '../../shared/states.ts';

/** Why there can be no local cloud here, or false. */
export const skipReason =
  process.env['BUILDKIT_ADDR'] !== undefined ||
  (process.getuid?.() === 0 && existsSync('/etc/debian_version'))
    ? false
    : 'needs BUILDKIT_ADDR, or root on Debian';

export interface TestCloud extends LocalClients {
  readonly cloud: LocalCloud;
  /** Uploads a build file; gives the id of the build it will become. */
  upload(object: string, text: string, metadata?: Readonly<Record<string, string>>): Promise<BuildId>;
  /** Uploads any other object. */
  put(object: string, text: string): Promise<void>;
  build(id: BuildId): Promise<BuildRecord | undefined>;
  jobs(id: BuildId): Promise<JobRecord[]>;
  /** The build once `ready` says so; fails after `limitMs` with what was seen last. */
  until(
    id: BuildId,
    ready: (build: BuildRecord, jobs: readonly JobRecord[]) => boolean,
    limitMs?: number,
  ): Promise<BuildRecord>;
  /** The build once it has ended. */
  ended(id: BuildId, limitMs?: number): Promise<BuildRecord>;
}

export interface TestCloudOptions {
  /** Folder name; each test file has its own, kept for its ports and caches. */
  readonly name: string;
  readonly runnerEnvironment?: Readonly<Record<string, string>>;
  readonly functionEnvironment?: Readonly<Record<string, string>>;
  readonly without?: readonly string[];
}

/** Short leases, so that a test need not wait long for a dead runner's job. */
export const SHORT_LEASES = {
  LEASE_SECONDS: '6',
  REAPER_SECONDS: '2',
  ACK_DEADLINE_SECONDS: '10',
  DRAIN_SECONDS: '5',
} as const;

export async function startTestCloud(options: TestCloudOptions): Promise<TestCloud> {
  const config = readLocalConfig();
  const folder = join(config.home, 'test-cloud', options.name);
  await mkdir(folder, { recursive: true });
  const lines: string[] = [];
  const cloud = await startLocalCloud({
    config,
    folder,
    log: (message, fields) => lines.push(`${message} ${JSON.stringify(fields ?? {})}`),
    signal: new AbortController().signal,
    buckets: 'fresh',
    ...(options.runnerEnvironment ? { runnerEnvironment: options.runnerEnvironment } : {}),
    ...(options.functionEnvironment ? { functionEnvironment: options.functionEnvironment } : {}),
    ...(options.without ? { without: options.without } : {}),
  });
  const clients = openLocalClients(cloud);
  const specs = clients.storage.bucket(SPECS_BUCKET);

  const readBuild = async (id: BuildId): Promise<BuildRecord | undefined> =>
    (await readDocument(BUILD, buildRef(clients.firestore, id)))?.data;
  const readJobs = async (id: BuildId): Promise<JobRecord[]> =>
    (await jobs(clients.firestore, id).get()).docs.map((one) =>
      decodeDocument(JOB, one.ref.path, one.data()),
    );

  const test: TestCloud = {
    ...clients,
    cloud,
    async upload(object, text, metadata = {}) {
      const file = specs.file(object);
      await file.save(text, { resumable: false, metadata: { metadata: { ...metadata } } });
      return buildIdOfUpload({ bucket: SPECS_BUCKET, object, generation: String(file.metadata.generation) });
    },
    async put(object, text) {
      await specs.file(object).save(text, { resumable: false });
    },
    build: readBuild,
    jobs: readJobs,
    async until(id, ready, limitMs = 40_000) {
      const deadline = performance.now() + limitMs;
      for (;;) {
        const build = await readBuild(id);
        const all = build === undefined ? [] : await readJobs(id);
        if (build !== undefined && ready(build, all)) return build;
        if (performance.now() > deadline) {
          const seen = JSON.stringify({ build, jobs: all }, undefined, 1);
          throw new Error(`the build ${id} did not get there: ${seen}\n${lines.slice(-20).join('\n')}`);
        }
        await sleep(50);
      }
    },
    ended: (id, limitMs) => test.until(id, (build) => isTerminalBuild(build.state), limitMs),
    async [Symbol.asyncDispose]() {
      await clients[Symbol.asyncDispose]();
      await cloud.close();
    },
  };
  return test;
}

/** A build file whose one step takes `seconds`, with nothing but a shell. */
export function sleepingPackage(name: string, seconds: number): string {
  return `package:
  name: ${name}
  version: 1.0.0
  epoch: 0
environment:
  contents:
    packages: [busybox]
pipeline:
  - name: wait
    runs: |
      for i in $(seq ${Math.max(1, Math.round(seconds * 2))}); do echo "tick $i"; sleep 0.5; done
  - name: install
    runs: |
      mkdir -p \${{targets.destdir}}/usr/share/${name}
      echo ${name} > \${{targets.destdir}}/usr/share/${name}/name
`;
}
