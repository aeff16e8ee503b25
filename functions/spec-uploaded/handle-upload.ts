/**
 * An object has appeared in a specs bucket. A build file becomes a recorded build and a message to the runner; a file
 * beside one wakes the build that waits for it. The record comes first: if this process dies before the message, the
 * event comes again, finds the record, and sends the message.
 */
import type { Firestore } from '@google-cloud/firestore';
import type { Storage } from '@google-cloud/storage';
import { diagnosticRecord, diagnosticsError } from '../../shared/build-file/diagnostic.ts';
import { parseBuildFile } from '../../shared/build-file/parse.ts';
import { isBuildFile } from '../../shared/build-file/recognise.ts';
import { asPipelineError, type ErrorRecord, PipelineError, toErrorRecord } from '../../shared/errors.ts';
import { BUILD, buildRef, builds, type NewBuild, newBuild } from '../../shared/firestore/build-record.ts';
import { createDocument, readDocument, withDeadline } from '../../shared/firestore/documents.ts';
import { newestBuild, noteUpload } from '../../shared/firestore/upload-record.ts';
import { asBuildId, type BuildId, buildIdOfUpload } from '../../shared/identity.ts';
import { BUILD_FILE_BYTES } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import type { BuildOptions } from '../../shared/messages.ts';
import { classifyUpload, pipelinesPrefix, sourceOwners } from '../../shared/object-names.ts';
import type { Topics } from '../../shared/pubsub/topics.ts';
import { isTerminalBuild } from '../../shared/states.ts';
import { readObject } from '../../shared/storage/objects.ts';
import { type Upload, uploadOf } from './event.ts';
import { optionsOf } from './options.ts';

export interface UploadContext {
  readonly firestore: Firestore;
  readonly storage: Storage;
  readonly topics: Topics;
  readonly specsBuckets: ReadonlySet<string>;
  readonly log: Log;
}

const DEFAULT_OPTIONS: BuildOptions = {
  arch: [],
  backend_selector: {},
  with_test: false,
  debug: false,
  mode: 'dag',
};

/** Most builds that one uploaded pipeline wakes. */
const WAITING_BUILDS = 1000;

/** Handles one event. An error means that it has to come again; everything a user did wrong is a record, no error. */
export async function handleUpload(context: UploadContext, event: unknown): Promise<void> {
  const upload = uploadOf(event);
  if (upload === undefined || !context.specsBuckets.has(upload.bucket)) {
    context.log.warn({ bucket: upload?.bucket }, 'not an upload to a specs bucket');
    return;
  }
  const kind = classifyUpload(upload.object);
  switch (kind.kind) {
    case 'temporary':
      return;
    case 'pipeline':
      await wakeOwners(context, await ownersOf(context, upload));
      return wakeWaitingBuilds(context, upload.bucket, kind.directory);
    case 'other':
      return wakeOwners(context, await ownersOf(context, upload));
    case 'build-file': {
      const owners = await ownersOf(context, upload);
      if (owners.length > 0) return wakeOwners(context, owners);
      return recordUpload(context, upload);
    }
  }
}

/** Builds of the build files in whose source directory the object lies. */
async function ownersOf(context: UploadContext, upload: Upload): Promise<BuildId[]> {
  const found = await Promise.all(
    sourceOwners(upload.object).map((owner) => newestBuild(context.firestore, upload.bucket, owner)),
  );
  return found.filter((build) => build !== undefined);
}

async function wakeOwners(context: UploadContext, owners: readonly BuildId[]): Promise<void> {
  for (const build of owners) {
    const stored = await readDocument(BUILD, buildRef(context.firestore, build));
    if (stored === undefined || isTerminalBuild(stored.data.state)) continue;
    await context.topics.requestPlan(build);
  }
}

async function wakeWaitingBuilds(context: UploadContext, bucket: string, directory: string): Promise<void> {
  const query = builds(context.firestore).where('state', '==', 'pending').limit(WAITING_BUILDS);
  const waiting = await withDeadline('finding waiting builds', query.get());
  for (const document of waiting.docs) {
    const source: unknown = document.get('source.object');
    if (document.get('source.bucket') !== bucket || typeof source !== 'string') continue;
    if (pipelinesPrefix(source) === `${directory}pipelines/`) {
      await context.topics.requestPlan(asBuildId(document.id));
    }
  }
}

async function recordUpload(context: UploadContext, upload: Upload): Promise<void> {
  const { bucket, object, generation } = upload;
  const text = await readText(context, upload);
  if (text === undefined || !(text instanceof PipelineError || isBuildFile(text))) {
    context.log.info({ bucket, object, generation }, 'no build file');
    return;
  }
  const build = buildIdOfUpload(upload);
  if (!(await noteUpload(context.firestore, upload, build))) {
    context.log.info({ bucket, object, generation }, 'a newer upload is known');
    return;
  }
  const ref = buildRef(context.firestore, build);
  const fields = newBuildOf(upload, text);
  const created = await createDocument(ref, newBuild(fields));
  const state = fields.rejection === undefined ? 'pending' : 'rejected';
  context.log.info({ buildId: build, bucket, object, generation, created, state }, 'build recorded');
  const stored = created ? undefined : await readDocument(BUILD, ref);
  // A rejected build has an event to be published; a planned one needs nothing.
  if (created || (stored?.data.plannedAt === null && stored.data.eventsWaiting)) {
    await context.topics.requestPlan(build);
  }
}

/** The file's text; undefined where this generation is gone; an error where it is too large to be a build file. */
async function readText(context: UploadContext, upload: Upload): Promise<string | PipelineError | undefined> {
  const { bucket, object, generation } = upload;
  try {
    const bytes = await readObject(context.storage.bucket(bucket), object, {
      generation,
      maxBytes: BUILD_FILE_BYTES,
    });
    return bytes?.toString();
  } catch (thrown) {
    const error = asPipelineError(thrown);
    if (error.kind === 'user') return error;
    throw error;
  }
}

function newBuildOf(upload: Upload, text: string | PipelineError): NewBuild {
  const { bucket, object, generation } = upload;
  const source = { kind: 'upload', bucket, object, generation } as const;
  const rejected = (error: PipelineError, diagnostics: readonly ErrorRecord[] = []): NewBuild => ({
    source,
    options: DEFAULT_OPTIONS,
    rejection: { error: toErrorRecord(error), diagnostics },
  });
  if (text instanceof PipelineError) return rejected(text);
  const { diagnostics } = parseBuildFile({ file: object, text });
  const error = diagnosticsError(diagnostics);
  if (error !== undefined) {
    const problems = diagnostics.filter((one) => one.severity === 'error').map(diagnosticRecord);
    return rejected(error, problems);
  }
  try {
    return { source, options: optionsOf(upload.metadata) };
  } catch (thrown) {
    return rejected(asPipelineError(thrown));
  }
}
