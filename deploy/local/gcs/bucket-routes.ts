/** Buckets, and the listing of one. */
import { z } from 'zod';
import { type Exchange, readJson, sendEmpty, sendJson } from './exchange.ts';
import { Refusal } from './refusal.ts';
import { bucketResource, checkBucketName, objectResource } from './resources.ts';

const DEFAULT_PAGE = 1000;
const creationSchema = z.object({ name: z.string() });

export function listBuckets(exchange: Exchange): void {
  const { store, query, baseUrl } = exchange;
  const prefix = query.get('prefix') ?? '';
  const after = query.get('pageToken') ?? '';
  const found = store.buckets().filter(({ name }) => name.startsWith(prefix) && name > after);
  const page = found.slice(0, maxResults(query));
  sendJson(exchange, 200, {
    kind: 'storage#buckets',
    items: page.map((bucket) => bucketResource(bucket, baseUrl)),
    ...(page.length < found.length ? { nextPageToken: page.at(-1)?.name } : {}),
  });
}

export async function createBucket(exchange: Exchange): Promise<void> {
  const parsed = creationSchema.safeParse(await readJson(exchange.request));
  if (!parsed.success) throw new Refusal(400, 'A bucket needs a name.');
  checkBucketName(parsed.data.name);
  const bucket = await exchange.store.createBucket(parsed.data.name);
  sendJson(exchange, 200, bucketResource(bucket, exchange.baseUrl));
}

export function getBucket(exchange: Exchange, bucket: string): void {
  sendJson(exchange, 200, bucketResource(exchange.store.bucket(bucket), exchange.baseUrl));
}

export async function deleteBucket(exchange: Exchange, bucket: string): Promise<void> {
  await exchange.store.deleteBucket(bucket);
  sendEmpty(exchange, 204);
}

/** `gcloud storage` asks for it before `cp -r`, `mv` and `rm -r`. */
export function getStorageLayout(exchange: Exchange, bucket: string): void {
  sendJson(exchange, 200, {
    kind: 'storage#storageLayout',
    bucket: exchange.store.bucket(bucket).name,
    location: 'US',
    locationType: 'multi-region',
    hierarchicalNamespace: { enabled: false },
  });
}

/** `versions` needs nothing of its own: only live generations are kept. */
export function listObjects(exchange: Exchange, bucket: string): void {
  const { store, query, baseUrl } = exchange;
  for (const unsupported of ['matchGlob', 'includeTrailingDelimiter', 'softDeleted', 'filter']) {
    if (query.has(unsupported)) throw new Refusal(400, `${unsupported} is not supported by this endpoint.`);
  }
  const page = store.list(bucket, {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') || undefined,
    startOffset: query.get('startOffset') ?? undefined,
    endOffset: query.get('endOffset') ?? undefined,
    pageToken: query.get('pageToken') || undefined,
    maxResults: maxResults(query),
  });
  sendJson(exchange, 200, {
    kind: 'storage#objects',
    ...(page.items.length === 0 ? {} : { items: page.items.map((item) => objectResource(item, baseUrl)) }),
    ...(page.prefixes.length === 0 ? {} : { prefixes: page.prefixes }),
    ...(page.next === undefined ? {} : { nextPageToken: page.next }),
  });
}

function maxResults(query: URLSearchParams): number {
  const text = query.get('maxResults') ?? String(DEFAULT_PAGE);
  if (!/^[1-9]\d*$/.test(text)) throw new Refusal(400, `Invalid value for maxResults: ${text}`);
  return Math.min(Number(text), DEFAULT_PAGE);
}
