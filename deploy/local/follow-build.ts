/** Follows a build as a person would in the Firestore console and in the log objects: states, steps, output. */
import type { Firestore } from '@google-cloud/firestore';
import type { Bucket } from '@google-cloud/storage';
import { BUILD, type BuildRecord, builds } from '../../shared/firestore/build-record.ts';
import { decodeDocument, readDocument } from '../../shared/firestore/documents.ts';
import { JOB, type JobRecord, jobs } from '../../shared/firestore/job-record.ts';
import { asBuildId, type BuildId, type ObjectGeneration } from '../../shared/identity.ts';
import { isTerminalBuild } from '../../shared/states.ts';
import { listObjects, readObject } from '../../shared/storage/objects.ts';

export interface FollowOptions {
  readonly firestore: Firestore;
  readonly bucket: Bucket;
  readonly build: BuildId;
  /** Gets a line for each change of state. */
  readonly onState: (line: string) => void;
  /** Gets the log as it is written. */
  readonly onLog: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface FollowedBuild {
  readonly build: BuildRecord;
  readonly jobs: readonly JobRecord[];
}

/** Returns when the build has ended. */
export async function followBuild(options: FollowOptions): Promise<FollowedBuild> {
  const { firestore, build, signal } = options;
  const ended = Promise.withResolvers<void>();
  const logs = new Map<string, LogTail>();
  const seen = new Map<string, string>();
  const unsubscribe = [
    builds(firestore)
      .doc(build)
      .onSnapshot((snapshot) => {
        if (!snapshot.exists) return;
        const record = decodeDocument(BUILD, snapshot.ref.path, snapshot.data());
        const line = `build ${build}: ${record.state}${record.reason === null ? '' : ` (${record.reason})`}`;
        if (seen.get(build) !== line) options.onState(line);
        seen.set(build, line);
        if (isTerminalBuild(record.state)) ended.resolve();
      }, ended.reject),
    jobs(firestore, build).onSnapshot((snapshot) => {
      for (const change of snapshot.docChanges()) {
        if (change.type === 'removed') continue;
        const record = decodeDocument(JOB, change.doc.ref.path, change.doc.data());
        const reason = record.reason === null ? '' : ` (${record.reason})`;
        const line = `${record.package} ${record.arch}: ${record.state}${reason}`;
        if (seen.get(change.doc.id) !== line) options.onState(line);
        seen.set(change.doc.id, line);
        if (record.log !== null && !logs.has(record.log)) logs.set(record.log, { shown: 0 });
      }
    }, ended.reject),
  ];
  const cancel = (): void => ended.reject(signal.reason);
  signal.addEventListener('abort', cancel, { once: true });
  const timer = setInterval(() => {
    for (const [object, tail] of logs) void showMore(options, object, tail);
  }, 500);
  try {
    await ended.promise;
    for (const [object, tail] of logs) await showMore(options, object, tail);
  } finally {
    clearInterval(timer);
    signal.removeEventListener('abort', cancel);
    for (const one of unsubscribe) one();
  }
  const record = await readDocument(BUILD, builds(firestore).doc(build));
  const all = await jobs(firestore, build).get();
  if (record === undefined) throw new Error(`the build ${build} is gone`);
  return { build: record.data, jobs: all.docs.map((one) => decodeDocument(JOB, one.ref.path, one.data())) };
}

/** Waits for the build that an upload becomes. */
export async function buildOfUpload(
  firestore: Firestore,
  upload: ObjectGeneration,
  signal: AbortSignal,
): Promise<BuildId> {
  const { promise, resolve, reject } = Promise.withResolvers<BuildId>();
  const query = builds(firestore)
    .where('source.object', '==', upload.object)
    .where('source.generation', '==', upload.generation);
  const unsubscribe = query.onSnapshot((snapshot) => {
    const [first] = snapshot.docs;
    if (first !== undefined) resolve(asBuildId(first.id));
  }, reject);
  const cancel = (): void => reject(signal.reason);
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await promise;
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', cancel);
  }
}

interface LogTail {
  /** Bytes shown so far. */
  shown: number;
  busy?: boolean;
}

/** Shows what is new: from the chunks while the attempt runs, from the whole log after that. */
async function showMore(options: FollowOptions, object: string, tail: LogTail): Promise<void> {
  if (tail.busy === true) return;
  tail.busy = true;
  try {
    const maxBytes = Number.MAX_SAFE_INTEGER;
    let text = await readObject(options.bucket, object, { maxBytes });
    if (text === undefined) {
      const chunks = await listObjects(options.bucket, `${object.slice(0, object.lastIndexOf('/'))}/log/`);
      const parts = await Promise.all(
        chunks
          .filter((one) => /\/\d+$/.test(one.name))
          .map((one) => readObject(options.bucket, one.name, { maxBytes })),
      );
      text = Buffer.concat(parts.flatMap((part) => part ?? []));
    }
    if (text.length > tail.shown) {
      options.onLog(text.subarray(tail.shown).toString());
      tail.shown = text.length;
    }
  } catch {
    // Shown the next time; the states tell what matters.
  } finally {
    tail.busy = false;
  }
}
