/** One request and its answer, with what every route needs. */
import type { KeyObject } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ObjectStore } from './object-store.ts';
import { errorBody, Refusal } from './refusal.ts';
import type { Uploads } from './uploads.ts';

export interface Exchange {
  readonly store: ObjectStore;
  readonly uploads: Uploads;
  readonly signedUrlKey: KeyObject | undefined;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Segments of the path, each decoded. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  /** Scheme and host as the client called them, no final slash. */
  readonly baseUrl: string;
}

const MAX_JSON_BYTES = 4 * 1024 * 1024;

export function sendJson(exchange: Exchange, status: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body));
  exchange.response.writeHead(status, {
    'Content-Type': 'application/json; charset=UTF-8',
    'Content-Length': bytes.length,
  });
  exchange.response.end(bytes);
}

export function sendEmpty(exchange: Exchange, status: number, headers: Record<string, string> = {}): void {
  exchange.response.writeHead(status, status === 204 ? headers : { 'Content-Length': '0', ...headers });
  exchange.response.end();
}

export function sendRefusal(response: ServerResponse, refusal: Refusal): void {
  if (refusal.status === 304) {
    response.writeHead(304);
    response.end();
    return;
  }
  const bytes = Buffer.from(JSON.stringify(errorBody(refusal.status, refusal.message)));
  response.writeHead(refusal.status, {
    'Content-Type': 'application/json; charset=UTF-8',
    'Content-Length': bytes.length,
  });
  response.end(bytes);
}

/** The request's body. Leaving it early keeps the connection, so that an answer can still be sent. */
export function bodyOf(request: IncomingMessage): AsyncIterable<Buffer> {
  return request.iterator({ destroyOnReturn: false });
}

/** The JSON value of the body; undefined where it is empty. @throws Refusal 400. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of bodyOf(request)) {
    bytes += chunk.length;
    if (bytes > MAX_JSON_BYTES) throw new Refusal(413, 'The request body is too large.');
    chunks.push(chunk);
  }
  return parseJson(Buffer.concat(chunks).toString('utf8'));
}

/** @throws Refusal 400. */
export function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, 'Parse Error: the body is no JSON.');
  }
}

export function headerText(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}
