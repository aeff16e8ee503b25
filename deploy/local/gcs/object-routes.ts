/** What is done with objects once they are there: read, change, delete, copy, compose. */
import { z } from 'zod';
import { appendContent, factsOf, startSum } from './content.ts';
import { sendObject } from './download.ts';
import { type Exchange, readJson, sendEmpty, sendJson } from './exchange.ts';
import type { WriteTarget } from './object-store.ts';
import { checkPreconditions, parseGeneration, readPreconditions } from './preconditions.ts';
import { Refusal } from './refusal.ts';
import { applyPatch, checkObjectName, objectResource, parseObjectPatch } from './resources.ts';

const MAX_COMPOSE_SOURCES = 32;
const READ_BYTES = 512 * 1024;

/** The Node client sends generations as numbers, `gcloud` as strings. */
const generation = z.union([z.int().nonnegative(), z.string().transform(parseGeneration)]);
const composeSchema = z.object({
  destination: z.unknown(),
  sourceObjects: z
    .array(
      z.object({
        name: z.string(),
        generation: generation.nullish(),
        objectPreconditions: z.object({ ifGenerationMatch: generation.nullish() }).nullish(),
      }),
    )
    .nullish(),
});

/** The object and conditions a request names. */
export function targetOf(exchange: Exchange, bucket: string, name: string): WriteTarget {
  const asked = exchange.query.get('generation');
  return {
    bucket,
    name,
    generation: asked === null ? undefined : parseGeneration(asked),
    conditions: readPreconditions(exchange.query),
  };
}

export function getObject(exchange: Exchange, bucket: string, name: string): void {
  const record = exchange.store.find(targetOf(exchange, bucket, name));
  sendJson(exchange, 200, objectResource(record, exchange.baseUrl));
}

export async function downloadObject(exchange: Exchange, bucket: string, name: string): Promise<void> {
  const { store, request, response, query } = exchange;
  const { record, file } = await store.openContent(targetOf(exchange, bucket, name));
  try {
    await sendObject(request, response, { record, file, query });
  } finally {
    await file.close();
  }
}

export async function patchObject(exchange: Exchange, bucket: string, name: string): Promise<void> {
  const patch = parseObjectPatch(await readJson(exchange.request));
  const target = targetOf(exchange, bucket, name);
  const record = await exchange.store.update(target, (settings) => applyPatch(settings, patch));
  sendJson(exchange, 200, objectResource(record, exchange.baseUrl));
}

export async function deleteObject(exchange: Exchange, bucket: string, name: string): Promise<void> {
  await exchange.store.remove(targetOf(exchange, bucket, name));
  sendEmpty(exchange, 204);
}

/** Always done in one call, whatever `maxBytesRewrittenPerCall` says: the bytes are shared, not copied. */
export async function rewriteObject(
  exchange: Exchange,
  source: { readonly bucket: string; readonly name: string },
  destination: { readonly bucket: string; readonly name: string },
): Promise<void> {
  const { store, query, request, baseUrl } = exchange;
  checkObjectName(destination.name);
  const settings = applyPatch({}, parseObjectPatch(await readJson(request)));
  const conditions = readPreconditions(query);
  store.bucket(destination.bucket);
  const asked = query.get('sourceGeneration');
  const { record, content } = await store.shareContent({
    ...source,
    generation: asked === null ? undefined : parseGeneration(asked),
    conditions: readPreconditions(query, 'ifSource'),
  });
  try {
    const copy = await store.commit(
      { ...destination, conditions },
      {
        content,
        facts: { size: record.size, crc32c: record.crc32c, md5Hash: record.md5Hash },
        // The source's settings are taken over only where the request gives none at all.
        settings: Object.keys(settings).length === 0 ? record.settings : settings,
        componentCount: record.componentCount,
      },
    );
    sendJson(exchange, 200, {
      kind: 'storage#rewriteResponse',
      totalBytesRewritten: String(copy.size),
      objectSize: String(copy.size),
      done: true,
      resource: objectResource(copy, baseUrl),
    });
  } catch (error) {
    await store.discardContent(content);
    throw error;
  }
}

export async function composeObject(exchange: Exchange, bucket: string, name: string): Promise<void> {
  const { store, request, query, baseUrl } = exchange;
  checkObjectName(name);
  const parsed = composeSchema.safeParse(await readJson(request));
  if (!parsed.success) throw new Refusal(400, `Invalid compose request: ${z.prettifyError(parsed.error)}`);
  const sources = parsed.data.sourceObjects ?? [];
  if (sources.length === 0 || sources.length > MAX_COMPOSE_SOURCES) {
    throw new Refusal(
      400,
      `The number of source components provided (${sources.length}) must be between 1 and ${MAX_COMPOSE_SOURCES}.`,
    );
  }
  const patch = parseObjectPatch(parsed.data.destination);
  const conditions = readPreconditions(query);
  const { content, file } = await store.createContent();
  try {
    const sum = startSum();
    let componentCount = 0;
    try {
      for (const source of sources) {
        const opened = await store.openContent({
          bucket,
          name: source.name,
          generation: source.generation ?? undefined,
          conditions: {},
        });
        try {
          const wanted = source.objectPreconditions?.ifGenerationMatch;
          if (wanted !== undefined && wanted !== null) {
            checkPreconditions(opened.record, { generationMatch: wanted });
          }
          await appendContent(
            opened.file.createReadStream({ autoClose: false, highWaterMark: READ_BYTES }),
            file,
            sum,
          );
          componentCount += opened.record.componentCount ?? 1;
        } finally {
          await opened.file.close();
        }
      }
    } finally {
      await file.close();
    }
    // Checksums in the destination are not looked at: gcloud sends those of the first part.
    const { size, crc32c } = factsOf(sum);
    const record = await store.commit(
      { bucket, name, conditions },
      { content, facts: { size, crc32c }, settings: applyPatch({}, patch), componentCount },
    );
    sendJson(exchange, 200, objectResource(record, baseUrl));
  } catch (error) {
    await store.discardContent(content);
    throw error;
  }
}
