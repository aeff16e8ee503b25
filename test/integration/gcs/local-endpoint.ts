/** A real endpoint on a free port with a folder of its own, and the clients that talk to it. */
import { EventEmitter } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Storage } from '@google-cloud/storage';
import {
  type StorageEndpoint,
  type StorageEndpointOptions,
  startStorageEndpoint,
} from '../../../deploy/local/gcs/server.ts';

// Without it the client looks for Google's metadata server first.
process.env['METADATA_SERVER_DETECTION'] = 'none';
// Its downloads add 11 listeners to one stream, one more than Node takes for a leak.
EventEmitter.defaultMaxListeners = 20;

export const silentLog = { info: () => undefined, warn: () => undefined, error: console.error };

/** A folder that goes away after the tests of the file. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'carryall-storage-'));
  after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** An endpoint with the bucket `specs`, stopped after the tests of the file. */
export async function startEndpoint(options: Partial<StorageEndpointOptions> = {}): Promise<StorageEndpoint> {
  const folder = options.folder ?? (await temporaryFolder());
  const endpoint = await startStorageEndpoint({
    port: 0,
    buckets: ['specs'],
    log: silentLog,
    ...options,
    folder,
  });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= endpoint.close();
    return closed;
  };
  after(close);
  return { ...endpoint, close };
}

export function clientOf(url: string): Storage {
  return new Storage({ projectId: 'local', apiEndpoint: url, retryOptions: { autoRetry: false } });
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Call {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
}

/** One plain HTTP request, headers exactly as given. */
export function call(url: string, options: Call = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = request(url, { method: options.method ?? 'GET', headers: options.headers ?? {} });
  sent.once('error', reject);
  sent.once('response', (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.once('error', reject);
    response.once('end', () => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
    });
  });
  sent.end(options.body);
  return promise;
}

/** Longest wait for anything that must come. */
const PATIENCE_MS = 60_000;

/** Resolves when `holds` does. */
export async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not so within ${PATIENCE_MS} ms: ${holds.toString()}`);
    await delay(2);
  }
}

export interface ReceivedEvent {
  readonly headers: IncomingHttpHeaders;
  readonly name: string;
  readonly generation: string;
}

export interface Listener {
  readonly url: string;
  readonly port: number;
  readonly events: ReceivedEvent[];
  /** Resolves when `enough` holds for the events so far. */
  until(enough: (events: readonly ReceivedEvent[]) => boolean): Promise<void>;
  close(): void;
}

/** Takes events; `status` decides each answer (a promise holds it back). Default 204. */
export async function startListener(
  status: (event: ReceivedEvent) => number | Promise<number> = () => 204,
  port = 0,
): Promise<Listener> {
  const events: ReceivedEvent[] = [];
  const waiting = new Set<() => void>();
  const server: Server = createServer((received, response) => {
    const chunks: Buffer[] = [];
    received.on('data', (chunk: Buffer) => chunks.push(chunk));
    received.once('end', () => {
      const { name, generation } = JSON.parse(Buffer.concat(chunks).toString());
      const event = { headers: received.headers, name: String(name), generation: String(generation) };
      events.push(event);
      for (const check of waiting) check();
      void Promise.resolve(status(event)).then((code) => {
        response.statusCode = code;
        response.end();
      });
    });
  });
  const listening = Promise.withResolvers<void>();
  server.listen(port, '127.0.0.1', () => listening.resolve());
  await listening.promise;
  const address = server.address();
  const boundPort = typeof address === 'object' && address !== null ? address.port : port;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  after(close);
  return {
    url: `http://127.0.0.1:${boundPort}/`,
    port: boundPort,
    events,
    until(enough) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const timer = setTimeout(
        () => reject(new Error(`${events.length} events were not enough`)),
        PATIENCE_MS,
      );
      const check = (): void => {
        if (!enough(events)) return;
        waiting.delete(check);
        clearTimeout(timer);
        resolve();
      };
      waiting.add(check);
      check();
      return promise;
    },
    close,
  };
}
