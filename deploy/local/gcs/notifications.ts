/**
 * Delivers finalize events (binary CloudEvents over HTTP) at least once. Each event is a file in the outbox until a 2xx
 * answer, so none is lost with the process. A failing one waits on its own timer and holds nobody up.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import type { Layout } from './layout.ts';
import type { EndpointLog } from './log.ts';
import { type ObjectRecord, objectResource, parseObjectRecord } from './resources.ts';

export interface NotificationOptions {
  readonly layout: Layout;
  /** Where the events of a bucket go. */
  readonly targets: ReadonlyMap<string, URL>;
  /** Of earlier runs, from `undeliveredEvents`. */
  readonly undelivered: readonly number[];
  /** For links in the event's body. */
  readonly baseUrl: string;
  readonly log: EndpointLog;
  /** Wait after the first failure; doubles with each further one. Default 100. */
  readonly firstRetryMs?: number | undefined;
  /** Longest wait. Default 10,000. */
  readonly maxRetryMs?: number | undefined;
  /** An attempt without an answer counts as failed after this. Default 120,000. */
  readonly attemptTimeoutMs?: number | undefined;
  /** Attempts at the same time, over all buckets. Default 64. */
  readonly concurrency?: number | undefined;
}

export interface Notifications {
  /** Takes over the event of a committed generation, whose file is in the outbox. */
  enqueue(generation: number): void;
  /** Ends attempts under way; what is not delivered stays in the outbox. */
  close(): Promise<void>;
}

interface Waiting {
  readonly generation: number;
  readonly failures: number;
}

/** Generations whose events the outbox holds, oldest first; to be read before anything is committed. */
export async function undeliveredEvents(layout: Layout): Promise<number[]> {
  const files = await readdir(layout.outbox);
  return files.map((file) => Number.parseInt(file, 10)).sort((a, b) => a - b);
}

/** Starts delivering. */
export function startNotifications(options: NotificationOptions): Notifications {
  const { layout, targets, undelivered, baseUrl, log } = options;
  const { firstRetryMs = 100, maxRetryMs = 10_000, attemptTimeoutMs = 120_000, concurrency = 64 } = options;
  const agents = { http: new Agent({ keepAlive: true }), https: new TlsAgent({ keepAlive: true }) };
  const ready = new Set<Waiting>();
  const timers = new Set<NodeJS.Timeout>();
  const attempts = new Set<Promise<void>>();
  const closing = new AbortController();

  for (const generation of undelivered) ready.add({ generation, failures: 0 });
  if (undelivered.length > 0) log.info({ events: undelivered.length }, 'undelivered events found');
  pump();

  return {
    enqueue(generation) {
      ready.add({ generation, failures: 0 });
      pump();
    },
    async close() {
      closing.abort();
      ready.clear();
      for (const timer of timers) clearTimeout(timer);
      await Promise.all(attempts);
      agents.http.destroy();
      agents.https.destroy();
    },
  };

  function pump(): void {
    for (const event of ready) {
      if (attempts.size >= concurrency || closing.signal.aborted) return;
      ready.delete(event);
      const running = attempt(event).finally(() => {
        attempts.delete(running);
        pump();
      });
      attempts.add(running);
    }
  }

  async function attempt(event: Waiting): Promise<void> {
    const path = layout.outboxFile(event.generation);
    try {
      const record = parseObjectRecord(await readFile(path, 'utf8'));
      if (record === undefined) {
        log.error({ generation: event.generation }, 'an event cannot be read and is dropped');
        await rm(path, { force: true });
        return;
      }
      const target = targets.get(record.bucket);
      if (target === undefined) {
        log.warn(
          { bucket: record.bucket, object: record.name },
          'an event is kept: its bucket has no listener',
        );
        return;
      }
      const status = await post(target, record);
      if (status < 200 || status > 299) throw new Error(`the listener answered ${status}`);
      await rm(path, { force: true });
    } catch (error) {
      if (closing.signal.aborted) return;
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
        log.error({ generation: event.generation }, 'an event is gone from the outbox');
        return;
      }
      retryLater(event, error);
    }
  }

  function retryLater(event: Waiting, error: unknown): void {
    const failures = event.failures + 1;
    const longest = Math.min(maxRetryMs, firstRetryMs * 2 ** Math.min(event.failures, 30));
    const waitMs = longest * (0.5 + Math.random() / 2);
    log.warn(
      { generation: event.generation, failures, waitMs, error: String(error) },
      'an event was not delivered',
    );
    const timer = setTimeout(() => {
      timers.delete(timer);
      ready.add({ generation: event.generation, failures });
      pump();
    }, waitMs);
    timers.add(timer);
  }

  function post(target: URL, record: ObjectRecord): Promise<number> {
    const body = Buffer.from(JSON.stringify(objectResource(record, baseUrl)));
    const secure = target.protocol === 'https:';
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const sent = (secure ? tlsRequest : httpRequest)(target, {
      method: 'POST',
      agent: secure ? agents.https : agents.http,
      headers: { ...eventHeaders(record), 'content-length': body.length },
      signal: AbortSignal.any([closing.signal, AbortSignal.timeout(attemptTimeoutMs)]),
    });
    sent.once('error', reject);
    sent.once('response', (response) => {
      response.resume();
      response.once('error', reject);
      response.once('end', () => resolve(response.statusCode ?? 0));
    });
    sent.end(body);
    return promise;
  }
}

/** Attributes as the HTTP binding has them: percent-encoded where they are not printable ASCII. */
function eventHeaders(record: ObjectRecord): Record<string, string> {
  return {
    'ce-specversion': '1.0',
    'ce-id': String(record.generation),
    'ce-type': 'google.cloud.storage.object.v1.finalized',
    'ce-source': `//storage.googleapis.com/projects/_/buckets/${record.bucket}`,
    'ce-subject': attributeText(`objects/${record.name}`),
    'ce-time': record.timeCreated,
    'content-type': 'application/json',
  };
}

function attributeText(text: string): string {
  return text.replace(/[^\x21\x23\x24\x26-\x7e]+/gu, (run) => encodeURIComponent(run));
}
