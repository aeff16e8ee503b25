/**
 * A Cloud Storage endpoint for one machine: the part of the JSON API that `@google-cloud/storage` and `gcloud storage`
 * use, over objects kept in a folder, with finalize events. No access control: listen on loopback only.
 */
import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { PipelineError } from '../../../shared/errors.ts';
import { sendRefusal } from './exchange.ts';
import { lockFolder } from './folder-lock.ts';
import { openLayout } from './layout.ts';
import type { EndpointLog } from './log.ts';
import { type Notifications, startNotifications, undeliveredEvents } from './notifications.ts';
import { openObjectStore } from './object-store.ts';
import { Refusal } from './refusal.ts';
import { checkBucketName } from './resources.ts';
import { route } from './routes.ts';
import { openUploads } from './uploads.ts';

export interface StorageEndpointOptions {
  /** Made where missing; one endpoint per folder. */
  readonly folder: string;
  /** 0: any free one. */
  readonly port: number;
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** Made at start where missing. */
  readonly buckets?: readonly string[] | undefined;
  /** Who is told of new objects. */
  readonly notify?: readonly BucketListener[] | undefined;
  /** PEM of the public key that V4 signed URLs are checked against; without it they are refused. */
  readonly signedUrlKey?: string | undefined;
  readonly retry?: EventRetry | undefined;
  readonly log: EndpointLog;
}

export interface BucketListener {
  readonly bucket: string;
  /** Takes finalize events by POST. */
  readonly url: string;
}

/** Delivery of events; defaults in `NotificationOptions`. */
export interface EventRetry {
  readonly firstRetryMs?: number | undefined;
  readonly maxRetryMs?: number | undefined;
  readonly attemptTimeoutMs?: number | undefined;
  readonly concurrency?: number | undefined;
}

export interface StorageEndpoint {
  /** `http://host:port`, no final slash. */
  readonly url: string;
  readonly port: number;
  /** Lets requests under way end for a short time. Undelivered events are kept for the next start. */
  close(): Promise<void>;
}

/** How long `close` waits for requests under way. */
const CLOSE_GRACE_MS = 2000;
/** Longer than clients keep idle connections, so that they close first and never meet a reset. */
const KEEP_ALIVE_MS = 75_000;

/**
 * Starts the endpoint.
 *
 * @throws PipelineError `config-invalid` where the folder is in use, the key is none or the port is taken.
 */
export async function startStorageEndpoint(options: StorageEndpointOptions): Promise<StorageEndpoint> {
  const { folder, port, host = '127.0.0.1', buckets = [], notify = [], log } = options;
  const signedUrlKey = options.signedUrlKey === undefined ? undefined : readKey(options.signedUrlKey);
  await mkdir(folder, { recursive: true });
  const lock = await lockFolder(folder);
  try {
    const layout = await openLayout(folder);
    const targets = new Map(notify.map((listener) => [listener.bucket, new URL(listener.url)]));
    let notifications: Notifications | undefined;
    const store = await openObjectStore({
      layout,
      hasListener: (bucket) => targets.has(bucket),
      onFinalized: (generation) => notifications?.enqueue(generation),
      log,
    });
    const existing = new Set(store.buckets().map((bucket) => bucket.name));
    for (const name of buckets) {
      checkBucketName(name);
      if (!existing.has(name)) await store.createBucket(name);
    }
    const uploads = await openUploads(layout, store);
    const undelivered = await undeliveredEvents(layout);

    let baseUrl = '';
    const answering = new Set<Promise<void>>();
    const server = createServer(
      { requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS },
      (request, response) => {
        const running = answer(request, response).finally(() => answering.delete(running));
        answering.add(running);
      },
    );
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      try {
        await route({ ...parseUrl(request, baseUrl), store, uploads, signedUrlKey, request, response });
      } catch (error) {
        answerError(request, response, { error, log });
      }
    };
    server.listen(port, host);
    await listening(server);
    const address = server.address();
    const boundPort = typeof address === 'object' && address !== null ? address.port : port;
    baseUrl = `http://${host.includes(':') ? `[${host}]` : host}:${boundPort}`;
    const events = startNotifications({ layout, targets, undelivered, baseUrl, log, ...options.retry });
    notifications = events;

    return {
      url: baseUrl,
      port: boundPort,
      async close() {
        const closed = once(server, 'close');
        server.close();
        server.closeIdleConnections();
        const force = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
        await closed;
        clearTimeout(force);
        // A request whose connection was cut may still be at the disk.
        await Promise.all(answering);
        await events.close();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function listening(server: ReturnType<typeof createServer>): Promise<void> {
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new PipelineError({
      code: 'config-invalid',
      kind: 'user',
      message: `the storage endpoint cannot listen: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    });
  }
}

function readKey(pem: string): ReturnType<typeof createPublicKey> {
  try {
    return createPublicKey(pem);
  } catch (cause) {
    throw new PipelineError({
      code: 'config-invalid',
      kind: 'user',
      message: 'the key for signed URLs is no public key in PEM form',
      cause,
    });
  }
}

function parseUrl(
  request: IncomingMessage,
  fallbackUrl: string,
): { path: string[]; query: URLSearchParams; baseUrl: string } {
  const target = request.url ?? '/';
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
  const host = request.headers.host;
  try {
    return {
      path: path.slice(1).split('/').map(decodeURIComponent),
      query,
      baseUrl: host === undefined ? fallbackUrl : `http://${host}`,
    };
  } catch {
    throw new Refusal(400, 'The path is not well encoded.');
  }
}

function answerError(
  request: IncomingMessage,
  response: ServerResponse,
  failure: { readonly error: unknown; readonly log: EndpointLog },
): void {
  const { error, log } = failure;
  // The client is gone, or gets a broken transfer: no second answer can follow.
  if (response.headersSent || request.socket.destroyed) {
    if (!response.writableFinished) response.destroy();
    return;
  }
  if (error instanceof Refusal) {
    sendRefusal(response, error);
    return;
  }
  log.error({ method: request.method, path: request.url?.replace(/\?.*/s, ''), error }, 'a request failed');
  sendRefusal(response, new Refusal(500, 'The endpoint failed; its log says why.'));
}
