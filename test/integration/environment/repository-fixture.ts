/** A small signed repository, and servers on the loopback address that hand it out well or badly. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createKnownPackages,
  type KnownPackage,
  type PackageLedger,
} from '../../../runner/environment/known-packages.ts';
import { type LockedPackage, lockEnvironment } from '../../../runner/environment/lock.ts';
import {
  createIndexCache,
  type IndexCache,
  type Repository,
} from '../../../runner/environment/repository.ts';
import type { FetchLimits } from '../../../runner/environment/repository-fetch.ts';
import {
  generateSigningKey,
  type KeyRing,
  loadSigningKey,
  type SigningKey,
} from '../../../shared/apk/keys.ts';
import { indexEntryOf, writeIndexArchive } from '../../../shared/apk/package-index.ts';
import { writePackage } from '../../../shared/apk/package-write.ts';

export const INDEX = '/x86_64/APKINDEX.tar.gz';
export const PACKAGE = '/x86_64/hello-1.0-r0.apk';

/** Short enough for a test that waits for them, long enough for a busy machine. */
export const SHORT: FetchLimits = { idleMs: 500, totalMs: 20_000, pauseMs: 5 };

export interface SmallRepository {
  readonly key: SigningKey;
  readonly index: Buffer;
  readonly apk: Buffer;
}

export async function newKey(name: string): Promise<SigningKey> {
  const made = await generateSigningKey({ name, bits: 2048 });
  return loadSigningKey(made.privatePem, name);
}

export function ringOf(...keys: readonly SigningKey[]): KeyRing {
  return new Map(keys.map((key) => [`${key.name}.pub`, key.publicKey]));
}

/** One package `hello`, signed with the key, and its index. */
export async function smallRepository(key: SigningKey, version = '1.0-r0'): Promise<SmallRepository> {
  const folder = mkdtempSync(join(tmpdir(), 'repository-'));
  try {
    const content = Buffer.from('hello '.repeat(5000) + version);
    const written = await writePackage({
      files: [
        {
          path: 'hello',
          type: 'file',
          mode: 0o644,
          uid: 0,
          gid: 0,
          uname: 'root',
          gname: 'root',
          size: content.length,
          open: async function* () {
            yield content;
          },
        },
      ],
      description: {
        name: 'hello',
        version,
        arch: 'x86_64',
        origin: 'hello',
        description: 'prints a greeting',
        url: '',
        commit: '',
        licenses: ['MIT'],
        depends: [],
        provides: [],
        replaces: [],
        triggers: [],
      },
      key,
      sourceDateEpoch: 1_700_000_000,
      outputPath: join(folder, 'hello.apk'),
    });
    const { info, controlChecksum, size } = written;
    return {
      key,
      index: await writeIndexArchive([indexEntryOf({ info, controlChecksum, size })], { key }),
      apk: readFileSync(written.path),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Method and path of each request. */
  readonly asked: string[];
  /** Open and past connections. */
  readonly connections: () => number;
  answer: RequestListener;
}

/** Answers through `answer`, which may be replaced at any time. Disposing cuts what is still open. */
export async function startServer(
  answer: RequestListener,
  tls?: { readonly key: string; readonly cert: string },
): Promise<TestServer> {
  const asked: string[] = [];
  let connections = 0;
  const listener: RequestListener = (request, response) => {
    asked.push(request.url ?? '');
    started.answer(request, response);
  };
  const server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener);
  server.on('connection', () => {
    connections += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const started: TestServer = {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}`,
    port: address.port,
    asked,
    connections: () => connections,
    answer,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return started;
}

/** Hands out these files by path. */
export function serving(files: Readonly<Record<string, Buffer>>): RequestListener {
  return (request, response) => {
    const content = files[request.url ?? ''];
    if (content === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-length': content.length }).end(content);
  };
}

export function filesOf(repository: SmallRepository): Record<string, Buffer> {
  return { [INDEX]: repository.index, [PACKAGE]: repository.apk };
}

/** A repository as the operator configures it. */
export function configured(url: string, keys: KeyRing): Repository {
  return { location: url, baseUrl: url, mayBeEmpty: false, keys };
}

/** A ledger that tells what it was given to remember. */
export function watchedLedger(): PackageLedger & { readonly remembered: string[] } {
  const remembered: string[] = [];
  const known = new Map<string, KnownPackage>();
  const remember = (id: string, one: KnownPackage): void => {
    remembered.push(id);
    known.set(id, one);
  };
  return {
    remembered,
    async find(ids) {
      return new Map(
        ids.flatMap((id) => {
          const one = known.get(id);
          return one === undefined ? [] : [[id, { sha256: one.sha256, bytes: one.bytes }] as const];
        }),
      );
    },
    contents: async (id) => known.get(id)?.contents,
    async verifyOnce(id, { verify }) {
      const one = await verify();
      remember(id, one);
      return one;
    },
    async replace(id, one) {
      remember(id, one);
    },
  };
}

/** Locks an environment, of `hello` alone by default. */
export function lockHello(
  repository: Repository,
  options: {
    readonly ledger?: PackageLedger;
    readonly indexes?: IndexCache;
    readonly signal?: AbortSignal;
    readonly limits?: FetchLimits;
    /** Instead of `hello`. */
    readonly world?: readonly string[];
    /** Repositories ahead of it. */
    readonly before?: readonly Repository[];
  } = {},
): Promise<LockedPackage[]> {
  return lockEnvironment({
    world: options.world ?? ['hello'],
    arch: 'x86_64',
    repositories: [...(options.before ?? []), repository],
    ahead: [],
    indexes: options.indexes ?? createIndexCache(SHORT),
    packages: createKnownPackages(options.ledger),
    limits: options.limits ?? SHORT,
    signal: options.signal ?? new AbortController().signal,
  });
}

/** A certificate for the hosts below `example.org` that is its own authority. */
export function certificate(): { readonly key: string; readonly cert: string } {
  const folder = mkdtempSync(join(tmpdir(), 'certificate-'));
  try {
    const names = 'subjectAltName=DNS:packages.example.org,DNS:mirror.example.org,IP:127.0.0.1';
    const args = ['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    const rest = ['-days', '2', '-subj', '/CN=test', '-addext', names, '-keyout', 'key', '-out', 'cert'];
    execFileSync('openssl', [...args, ...rest], { cwd: folder, stdio: 'pipe' });
    return {
      key: readFileSync(join(folder, 'key'), 'utf8'),
      cert: readFileSync(join(folder, 'cert'), 'utf8'),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
