/** Which path and method does what. */
import {
  createBucket,
  deleteBucket,
  getBucket,
  getStorageLayout,
  listBuckets,
  listObjects,
} from './bucket-routes.ts';
import type { Exchange } from './exchange.ts';
import {
  composeObject,
  deleteObject,
  downloadObject,
  getObject,
  patchObject,
  rewriteObject,
} from './object-routes.ts';
import { Refusal } from './refusal.ts';
import { isSigned, verifySignedRequest } from './signed-url.ts';
import { cancelUpload, continueUpload, startUpload } from './upload-routes.ts';

/**
 * Answers one request.
 *
 * @throws Refusal for what the client is told; anything else is our fault.
 */
export async function route(exchange: Exchange): Promise<void> {
  const { path } = exchange;
  if (startsWith(path, ['storage', 'v1', 'b'])) return routeApi(exchange, path.slice(3));
  if (startsWith(path, ['upload', 'storage', 'v1', 'b'])) return routeUpload(exchange, path.slice(4));
  if (startsWith(path, ['resumable', 'upload', 'storage', 'v1', 'b'])) {
    return routeUpload(exchange, path.slice(5));
  }
  if (startsWith(path, ['download', 'storage', 'v1', 'b'])) return routeDownload(exchange, path.slice(4));
  return routePublic(exchange);
}

async function routeApi(exchange: Exchange, path: readonly string[]): Promise<void> {
  const method = exchange.request.method;
  const [bucket, section, name, action, ...rest] = path;
  if (bucket === undefined) {
    if (method === 'GET') return listBuckets(exchange);
    if (method === 'POST') return createBucket(exchange);
  } else if (section === undefined) {
    if (method === 'GET') return getBucket(exchange, bucket);
    if (method === 'DELETE') return deleteBucket(exchange, bucket);
  } else if (section === 'storageLayout' && name === undefined) {
    if (method === 'GET') return getStorageLayout(exchange, bucket);
  } else if (section === 'o' && name === undefined) {
    if (method === 'GET') return listObjects(exchange, bucket);
  } else if (section === 'o' && name !== undefined && action === undefined) {
    if (method === 'GET' && exchange.query.get('alt') === 'media') {
      return downloadObject(exchange, bucket, name);
    }
    if (method === 'GET') return getObject(exchange, bucket, name);
    if (method === 'PATCH') return patchObject(exchange, bucket, name);
    if (method === 'DELETE') return deleteObject(exchange, bucket, name);
  } else if (section === 'o' && name !== undefined && method === 'POST') {
    if (action === 'compose' && rest.length === 0) return composeObject(exchange, bucket, name);
    const [b, toBucket, o, toName, ...more] = rest;
    if (action === 'rewriteTo' && b === 'b' && o === 'o' && toBucket && toName && more.length === 0) {
      return rewriteObject(exchange, { bucket, name }, { bucket: toBucket, name: toName });
    }
  }
  throw unknownRoute(exchange);
}

async function routeUpload(exchange: Exchange, path: readonly string[]): Promise<void> {
  const method = exchange.request.method;
  const [bucket, section, ...rest] = path;
  if (bucket === undefined || section !== 'o' || rest.length > 0) throw unknownRoute(exchange);
  if (method === 'POST') return startUpload(exchange, bucket);
  if (method === 'PUT') return continueUpload(exchange);
  if (method === 'DELETE') return cancelUpload(exchange);
  throw unknownRoute(exchange);
}

async function routeDownload(exchange: Exchange, path: readonly string[]): Promise<void> {
  const [bucket, section, name, ...rest] = path;
  if (bucket === undefined || section !== 'o' || name === undefined || rest.length > 0) {
    throw unknownRoute(exchange);
  }
  if (exchange.request.method !== 'GET') throw unknownRoute(exchange);
  return downloadObject(exchange, bucket, name);
}

/** Public and signed URLs. Every object is public here; a URL that claims a signature must have a good one. */
async function routePublic(exchange: Exchange): Promise<void> {
  const { request, path, query, signedUrlKey } = exchange;
  const [bucket, ...name] = path;
  const method = request.method ?? '';
  if (bucket === undefined || name.join('/') === '' || (method !== 'GET' && method !== 'HEAD')) {
    throw unknownRoute(exchange);
  }
  if (isSigned(query)) {
    if (signedUrlKey === undefined) {
      throw new Refusal(403, 'This endpoint was started without a key for signed URLs.');
    }
    const signed = { method, path: `/${path.join('/')}`, query, headers: request.headers };
    verifySignedRequest(signed, signedUrlKey, Date.now());
  }
  return downloadObject(exchange, bucket, name.join('/'));
}

function startsWith(path: readonly string[], start: readonly string[]): boolean {
  return start.every((segment, at) => path[at] === segment);
}

/** 501, which clients do not retry, rather than a 404 that reads like a missing object. */
function unknownRoute(exchange: Exchange): Refusal {
  return new Refusal(
    501,
    `${exchange.request.method} /${exchange.path.join('/')} is not supported by this endpoint.`,
  );
}
