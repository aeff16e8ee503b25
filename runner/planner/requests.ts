/** Requests of other systems: recorded first, then planned like uploads. */
import { asPipelineError, PipelineError } from '../../shared/errors.ts';
import { buildRef, newBuild } from '../../shared/firestore/build-record.ts';
import { createDocument } from '../../shared/firestore/documents.ts';
import { type BuildId, buildIdOfRequest } from '../../shared/identity.ts';
import { BUILD_FILE_BYTES } from '../../shared/limits.ts';
import type { RequestMessage } from '../../shared/messages.ts';
import { createObject, statObject } from '../../shared/storage/objects.ts';
import { type PlannerContext, planBuild } from './plan-build.ts';

export interface RequestContext extends PlannerContext {
  /** Buckets that a request's `gs://` source may lie in. */
  readonly specsBuckets: readonly string[];
}

/**
 * Records a request under its own identity, so that the same message twice is one build, and plans it.
 *
 * @throws PipelineError `source-refused` or `source-missing` (`user`) for a source that is not to be read,
 *   `request-invalid` (`user`) where another request had the same id, or locks come with a source.
 */
export async function acceptRequest(
  context: RequestContext,
  requestId: string,
  request: RequestMessage,
): Promise<BuildId> {
  const build = buildIdOfRequest(requestId);
  if (request.source !== undefined && request.locks !== undefined) {
    throw new PipelineError({
      code: 'request-invalid',
      kind: 'user',
      message: 'the request has locks and a source, and a build of an upload cannot keep them',
      hint: 'send the build file itself in config_yaml or configs',
    });
  }
  const arch = request.arch === undefined ? [] : [request.arch].flat();
  const { backend_selector, with_test, debug, mode } = request;
  const options = { arch, backend_selector, with_test, debug, mode };
  const source =
    request.source === undefined
      ? await keepRequest(context, { build, requestId, request })
      : await resolveSource(context, request.source);
  if (await createDocument(buildRef(context.firestore, build), newBuild({ source, options }))) {
    context.log.info({ buildId: build, requestId }, 'build requested');
  }
  await planBuild(context, build);
  return build;
}

async function keepRequest(
  context: RequestContext,
  kept: { readonly build: BuildId; readonly requestId: string; readonly request: RequestMessage },
): Promise<{ kind: 'request'; requestId: string; object: string }> {
  const object = `builds/${kept.build}/request.json`;
  const bytes = Buffer.from(JSON.stringify(kept.request));
  try {
    await createObject(context.storage.bucket(context.buildsBucket), object, {
      bytes,
      type: 'application/json',
    });
  } catch (thrown) {
    const cause = asPipelineError(thrown);
    if (cause.code !== 'storage-precondition') throw cause;
    throw new PipelineError({
      code: 'request-invalid',
      kind: 'user',
      message: `the request id "${kept.requestId}" was used before, for another request`,
      hint: 'give each request an id of its own; the same id means the same request',
      cause,
    });
  }
  return { kind: 'request', requestId: kept.requestId, object };
}

async function resolveSource(
  context: RequestContext,
  url: string,
): Promise<{ kind: 'upload'; bucket: string; object: string; generation: string }> {
  const match = /^gs:\/\/([^/]+)\/([^#]+)(?:#(\d+))?$/.exec(url);
  const [, bucket = '', object = '', generation] = match ?? [];
  if (!context.specsBuckets.includes(bucket) || !object.endsWith('.yaml')) {
    throw new PipelineError({
      code: 'source-refused',
      kind: 'user',
      message: `the source ${url} is no build file in a specs bucket of this installation`,
      hint: `use gs://${context.specsBuckets[0] ?? 'SPECS'}/path/name.yaml`,
    });
  }
  const there = await statObject(context.storage.bucket(bucket), object);
  if (there === undefined || (generation !== undefined && generation !== there.generation)) {
    throw new PipelineError({
      code: 'source-missing',
      kind: 'user',
      message: `there is no ${url}`,
      hint: 'upload it first; a generation that was replaced cannot be built any more',
    });
  }
  if (there.bytes > BUILD_FILE_BYTES) {
    throw new PipelineError({
      code: 'build-file-too-large',
      kind: 'user',
      message: `${url} has ${there.bytes} bytes, more than ${BUILD_FILE_BYTES}`,
    });
  }
  return { kind: 'upload', bucket, object, generation: there.generation };
}
