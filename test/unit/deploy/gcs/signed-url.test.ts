import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { Storage } from '@google-cloud/storage';
import { verifySignedRequest } from '../../../../deploy/local/gcs/signed-url.ts';

const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
/** The client refuses to sign for the past. */
const signedAt = new Date(Math.floor(Date.now() / 1000) * 1000);
const LIFE_MS = 600_000;
const signed = new URL(await signUrl("dir/ä b+(1)'!.apk"));

test('a URL that the Node client signed is good until it expires', () => {
  check({ nowMs: signedAt.getTime() });
  check({ nowMs: signedAt.getTime() + LIFE_MS - 1 });
  assert.throws(() => check({ nowMs: signedAt.getTime() + LIFE_MS }), { status: 400 });
});

test('a signer whose clock is far ahead is refused', () => {
  check({ nowMs: signedAt.getTime() - 14 * 60_000 });
  assert.throws(() => check({ nowMs: signedAt.getTime() - 16 * 60_000 }), { status: 403 });
});

test('any change of method, path, query or host spoils the signature', () => {
  const refused = { status: 403 };
  assert.throws(() => check({ method: 'PUT' }), refused);
  assert.throws(() => check({ path: '/specs/other.apk' }), refused);
  assert.throws(() => check({ host: 'localhost:1234' }), refused);
  assert.throws(() => check({ change: (query) => query.append('generation', '1') }), refused);
  assert.throws(() => check({ change: (query) => query.set('X-Goog-Expires', '601') }), refused);
  assert.throws(() => check({ change: (query) => query.set('X-Goog-Signature', 'ab') }), refused);
});

test('a missing or impossible field is a bad request', () => {
  for (const field of ['Algorithm', 'Credential', 'Date', 'Expires', 'SignedHeaders', 'Signature']) {
    assert.throws(
      () => check({ change: (query) => query.delete(`X-Goog-${field}`) }),
      { status: 400 },
      field,
    );
  }
  assert.throws(() => check({ change: (query) => query.set('X-Goog-Expires', '604801') }), { status: 400 });
  assert.throws(() => check({ change: (query) => query.set('X-Goog-Date', 'today') }), { status: 400 });
});

function check(options: {
  readonly nowMs?: number;
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly change?: (query: URLSearchParams) => void;
}): void {
  const query = new URLSearchParams(signed.search);
  options.change?.(query);
  verifySignedRequest(
    {
      method: options.method ?? 'GET',
      path: options.path ?? decodeURIComponent(signed.pathname),
      query,
      headers: { host: options.host ?? signed.host },
    },
    keys.publicKey,
    options.nowMs ?? signedAt.getTime(),
  );
}

async function signUrl(name: string): Promise<string> {
  const storage = new Storage({
    projectId: 'local',
    apiEndpoint: 'http://127.0.0.1:1234',
    credentials: {
      client_email: 'signer@local.example',
      private_key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    },
  });
  const [url] = await storage
    .bucket('specs')
    .file(name)
    .getSignedUrl({
      version: 'v4',
      action: 'read',
      accessibleAt: signedAt,
      expires: signedAt.getTime() + LIFE_MS,
    });
  return url;
}
