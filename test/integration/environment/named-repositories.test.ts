import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { isPublicAddress } from '../../../runner/environment/addresses.ts';
import { namedRepositories } from '../../../runner/environment/named-repositories.ts';
import { createIndexCache, type Repository } from '../../../runner/environment/repository.ts';
import { fetchFrom } from '../../../runner/environment/repository-fetch.ts';
import type { Reach } from '../../../runner/environment/trusted-fetch.ts';
import { PipelineError } from '../../../shared/errors.ts';
import {
  certificate,
  filesOf,
  INDEX,
  lockHello,
  newKey,
  PACKAGE,
  ringOf,
  SHORT,
  type SmallRepository,
  serving,
  smallRepository,
  startServer,
  type TestServer,
  watchedLedger,
} from './repository-fixture.ts';

describe('a repository that a build file names', () => {
  const tls = certificate();
  let small: SmallRepository;
  let server: TestServer;
  let mirror: TestServer;
  /** What the resolver answers, and how often it was asked for each name. */
  let names: Record<string, string[]>;
  let resolved: string[];

  before(async () => {
    small = await smallRepository(await newKey('test.rsa'));
    server = await startServer(serving({}), tls);
    mirror = await startServer(serving({}), tls);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await mirror[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    server.answer = serving(filesOf(small));
    mirror.answer = serving(filesOf(small));
    server.asked.length = 0;
    mirror.asked.length = 0;
    names = { 'packages.example.org': ['127.0.0.1'], 'mirror.example.org': ['127.0.0.1'] };
    resolved = [];
  });

  /** 127.0.0.1 stands for a public address; all others are judged as they are. */
  const reach = (
    rest: Omit<Partial<Reach>, 'hosts'> = {},
  ): Reach & { readonly hosts: readonly string[] } => ({
    hosts: [
      `packages.example.org:${server.port}`,
      `mirror.example.org:${mirror.port}`,
      `127.0.0.1:${server.port}`,
    ],
    resolve: async (host) => {
      resolved.push(host);
      return names[host] ?? [];
    },
    isAllowed: (address) => address === '127.0.0.1' || isPublicAddress(address),
    ca: tls.cert,
    ...rest,
  });
  const base = (): string => `https://packages.example.org:${server.port}`;
  const named = (line: string, within = reach()): Repository => {
    const keys = new Map(within.hosts.map((host) => [host, ringOf(small.key)]));
    const [repository] = namedRepositories([line], { configured: [], policy: { reach: within, keys } });
    assert.ok(repository);
    return repository;
  };
  const failure = async (line: string, within = reach()): Promise<PipelineError> => {
    const ledger = watchedLedger();
    const thrown: unknown = await lockHello(named(line, within), { ledger }).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(thrown instanceof PipelineError, String(thrown));
    assert.deepEqual(ledger.remembered, []);
    return thrown;
  };
  const redirectTo = (target: string): void => {
    server.answer = (_request, response) => response.writeHead(302, { location: target }).end();
  };

  test('is used when its host, its address and its signature are right', async () => {
    const [locked] = await lockHello(named(base()));
    assert.equal(locked?.url, `${base()}${PACKAGE}`);
    assert.deepEqual(server.asked, [INDEX, PACKAGE]);
  });

  test('is asked at the address that was checked, with one look-up for each request', async () => {
    // The system's resolver does not know this name: only the checked answer can have led there.
    await lockHello(named(base()));
    assert.deepEqual(resolved, ['packages.example.org', 'packages.example.org']);
    names['packages.example.org'] = ['127.0.0.1'];
    let asked = 0;
    const rebinding = reach({
      resolve: async () => {
        asked += 1;
        return asked === 1 ? ['127.0.0.1'] : ['10.0.0.1'];
      },
    });
    server.asked.length = 0;
    const error = await failure(base(), rebinding);
    assert.deepEqual([error.code, error.kind], ['repository-refused', 'user']);
    assert.match(error.message, /10\.0\.0\.1 is no public address/);
    assert.deepEqual(server.asked, [INDEX]);
  });

  for (const address of ['10.1.2.3', '169.254.169.254', '::1', 'fd00::1', '::ffff:127.0.0.1', '127.0.0.2']) {
    test(`is refused without a connection when its name has the address ${address} among others`, async () => {
      names['packages.example.org'] = ['127.0.0.1', address];
      const before = server.connections();
      const error = await failure(base());
      assert.deepEqual([error.code, error.kind], ['repository-refused', 'user']);
      assert.ok(error.message.includes(base()) && error.message.includes(address), error.message);
      assert.equal(server.connections(), before);
    });
  }

  test('is refused without a connection when its URL is an address that is not public', async () => {
    const before = server.connections();
    const strict = reach({ isAllowed: isPublicAddress });
    for (const host of ['127.0.0.1', '2130706433', '0x7f.1', '127.1']) {
      const error = await failure(`https://${host}:${server.port}`, strict);
      assert.equal(error.code, 'repository-refused', host);
      assert.match(error.message, /127\.0\.0\.1 is no public address/);
    }
    assert.equal(server.connections(), before);
    assert.deepEqual(resolved, []);
  });

  test('is asked at an address that its URL gives, if that is allowed', async () => {
    await lockHello(named(`https://127.0.0.1:${server.port}`));
    assert.deepEqual(server.asked, [INDEX, PACKAGE]);
  });

  test('is refused without a connection when it is no https:// URL', async () => {
    const before = server.connections();
    for (const line of [
      `http://packages.example.org:${server.port}`,
      'file:///etc',
      '/etc',
      './packages',
      'gs://packages/os',
    ]) {
      assert.throws(() => named(line), { code: 'repository-refused', kind: 'user' }, line);
    }
    assert.equal(server.connections(), before);
    assert.deepEqual(resolved, []);
  });

  test('is asked again after a moment of failure, for the rest alone of what broke off', async () => {
    const { apk } = small;
    const ranges: (string | undefined)[] = [];
    const received = Promise.withResolvers<void>();
    server.answer = (request, response) => {
      ranges.push(request.headers.range);
      if (ranges.length === 1) return response.writeHead(503).end('busy');
      const headers = { etag: '"1"' };
      if (ranges.length === 2) {
        response.writeHead(200, { ...headers, 'content-length': apk.length }).write(apk.subarray(0, 200));
        return void received.promise.then(() => response.socket?.end());
      }
      const range = `bytes 200-${apk.length - 1}/${apk.length}`;
      response.writeHead(206, { ...headers, 'content-range': range }).end(apk.subarray(200));
    };
    const bytes = await fetchFrom(named(base()), `${base()}${PACKAGE}`, {
      limits: SHORT,
      read: async ({ body }) => {
        const pieces: Uint8Array[] = [];
        for await (const piece of body) {
          pieces.push(piece);
          received.resolve();
        }
        return Buffer.concat(pieces);
      },
    });
    assert.deepEqual(bytes, apk);
    assert.deepEqual(ranges, [undefined, undefined, 'bytes=200-']);
    // Each try is checked like the first.
    assert.equal(resolved.length, 3);
  });

  test('may redirect to another allowed host', async () => {
    server.answer = (request, response) =>
      response
        .writeHead(307, { location: `https://mirror.example.org:${mirror.port}${request.url ?? ''}` })
        .end();
    const [locked] = await lockHello(named(base()));
    assert.equal(locked?.url, `${base()}${PACKAGE}`);
    assert.deepEqual(mirror.asked, [INDEX, PACKAGE]);
  });

  test('may not redirect to plain http, another host, another port or a file', async () => {
    const targets = [
      `http://mirror.example.org:${mirror.port}/x`,
      `https://other.example.org:${mirror.port}/x`,
      'https://mirror.example.org/x',
      `https://user:password1@mirror.example.org:${mirror.port}/x`,
      'file:///etc/passwd',
      'https://',
    ];
    const before = mirror.connections();
    for (const target of targets) {
      redirectTo(target);
      const error = await failure(base());
      assert.deepEqual([error.code, error.kind], ['repository-refused', 'user'], target);
    }
    assert.equal(mirror.connections(), before);
    assert.deepEqual(
      server.asked,
      targets.map(() => INDEX),
    );
  });

  test('may not redirect to an allowed host with an address that is not public', async () => {
    const before = mirror.connections();
    names['mirror.example.org'] = ['192.168.1.1'];
    redirectTo(`https://mirror.example.org:${mirror.port}/x`);
    const error = await failure(base());
    assert.match(error.message, /mirror\.example\.org.*192\.168\.1\.1 is no public address/);
    assert.equal(error.code, 'repository-refused');
    assert.equal(mirror.connections(), before);
  });

  test('is followed through 5 redirects and no more', async () => {
    const redirects = (count: number): void => {
      let left = count;
      server.answer = (request, response) => {
        if (left === 0) return serving({ ...filesOf(small) })(request, response);
        left -= 1;
        response.writeHead(302, { location: request.url }).end();
      };
    };
    redirects(5);
    await lockHello(named(base()));
    redirects(6);
    server.asked.length = 0;
    const error = await failure(base());
    assert.deepEqual([error.code, error.kind], ['repository-unavailable', 'infra']);
    assert.match(error.message, /redirects more than 5 times/);
    assert.equal(server.asked.length, 6);
  });

  describe('on a host that the operator gives credentials for', () => {
    const seen: string[] = [];
    const noting = (name: string): void => {
      const target = name === 'own' ? server : mirror;
      const { answer } = target;
      target.answer = (request, response) => {
        seen.push(`${name} ${request.headers.authorization ?? 'nothing'}`);
        return answer(request, response);
      };
    };
    const shown = (host: string): Repository => {
      const within = reach();
      const keys = new Map(within.hosts.map((one) => [one, ringOf(small.key)]));
      const credentials = [{ host, authorization: async () => 'Bearer secret-of-the-operator' }];
      const policy = { reach: within, keys, credentials };
      const [repository] = namedRepositories([base()], { configured: [], policy });
      assert.ok(repository);
      return repository;
    };
    beforeEach(() => {
      seen.length = 0;
    });

    test('gets them, and whoever it redirects to does not, nor on a way back', async () => {
      let redirects = 0;
      server.answer = (request, response) => {
        redirects += 1;
        const location =
          redirects === 1
            ? `/again${request.url}`
            : `https://mirror.example.org:${mirror.port}${request.url}`;
        if (redirects <= 2) response.writeHead(302, { location }).end();
        else serving(filesOf(small))(request, response);
      };
      mirror.answer = (_request, response) =>
        response.writeHead(302, { location: `${base()}${INDEX}` }).end();
      noting('own');
      noting('mirror');
      await createIndexCache(SHORT).read(
        shown(`packages.example.org:${server.port}`),
        'x86_64',
        new AbortController().signal,
      );
      assert.deepEqual(seen, [
        'own Bearer secret-of-the-operator',
        'own Bearer secret-of-the-operator',
        'mirror nothing',
        'own nothing',
      ]);
    });

    test('does not get those of another host or port', async () => {
      noting('own');
      for (const host of ['mirror.example.org', 'packages.example.org', 'example.org']) {
        assert.equal(shown(host).authorization, undefined);
        await lockHello(shown(host));
      }
      assert.deepEqual([...new Set(seen)], ['own nothing']);
    });

    test('fails without telling them', async () => {
      server.answer = (_request, response) => response.writeHead(403).end();
      const repository = shown(`packages.example.org:${server.port}`);
      const thrown: unknown = await lockHello(repository).catch((error: unknown) => error);
      assert.ok(thrown instanceof PipelineError);
      assert.equal(thrown.code, 'repository-unavailable');
      assert.doesNotMatch(inspect(thrown, { depth: 20 }), /secret-of-the-operator/);
    });
  });

  describe('where any host is allowed', () => {
    const anywhere = (rest: Partial<Reach> = {}): Reach => ({
      ...reach(),
      hosts: 'any',
      hint: 'do else',
      ...rest,
    });
    const open = (line: string, within = anywhere()): Repository => {
      const policy = { reach: within, keys: new Map([['any', ringOf(small.key)]]) };
      const [repository] = namedRepositories([line], { configured: [], policy });
      assert.ok(repository);
      return repository;
    };
    const refusal = async (line: string, within = anywhere()): Promise<string> => {
      const thrown: unknown = await Promise.resolve()
        .then(() => lockHello(open(line, within)))
        .catch((error: unknown) => error);
      assert.ok(thrown instanceof PipelineError, String(thrown));
      assert.deepEqual([thrown.code, thrown.kind, thrown.hint], ['repository-refused', 'user', 'do else']);
      return thrown.message;
    };

    test('is used at a public address, and followed to other public hosts', async () => {
      server.answer = (request, response) =>
        response
          .writeHead(302, { location: `https://mirror.example.org:${mirror.port}${request.url}` })
          .end();
      const [locked] = await lockHello(open(base()));
      assert.equal(locked?.bytes, small.apk.length);
      assert.deepEqual(mirror.asked, [INDEX, PACKAGE]);
    });

    test('is refused without a connection for what is not https or not public', async () => {
      const before = server.connections();
      const strict = anywhere({ isAllowed: isPublicAddress });
      names['inside.example.org'] = ['93.184.215.14', '10.0.0.1'];
      const lines = [
        `http://packages.example.org:${server.port}`,
        'file:///srv/packages',
        '/srv/packages',
        'gs://packages/os',
        `https://127.0.0.1:${server.port}`,
        `https://[::1]:${server.port}`,
        'https://169.254.169.254/computeMetadata',
        `https://packages.example.org:${server.port}`,
        'https://inside.example.org/os',
      ];
      for (const line of lines) assert.match(await refusal(line, strict), /which is refused/, line);
      assert.equal(server.connections(), before);
    });

    test('may not redirect to a private address or to plain http', async () => {
      const before = mirror.connections();
      names['mirror.example.org'] = ['10.0.0.1'];
      for (const target of [
        `https://mirror.example.org:${mirror.port}/x`,
        `https://127.0.0.2:${mirror.port}/x`,
        'https://169.254.169.254/computeMetadata',
        `http://packages.example.org:${mirror.port}/x`,
        'file:///etc/passwd',
      ]) {
        redirectTo(target);
        await refusal(base());
      }
      assert.equal(mirror.connections(), before);
    });
  });

  test('must show a certificate for its name', async () => {
    names['packages.example.org'] = ['127.0.0.1'];
    const error = await failure(base(), reach({ ca: certificate().cert }));
    assert.deepEqual([error.code, error.kind], ['repository-unavailable', 'infra']);
    assert.deepEqual(server.asked, []);
  });

  test('must be signed with a key that the operator gives for its host', async () => {
    const within = reach();
    const other = ringOf(await newKey('other.rsa'));
    const keys = new Map(within.hosts.map((host) => [host, other]));
    const [repository] = namedRepositories([base()], { configured: [], policy: { reach: within, keys } });
    assert.ok(repository);
    await assert.rejects(lockHello(repository), { code: 'index-signature', kind: 'infra' });
  });

  test('without an answer is given up', async () => {
    server.answer = () => undefined;
    const error = await failure(base());
    assert.deepEqual([error.code, error.kind], ['repository-unavailable', 'infra']);
    assert.match(error.message, /nothing came for 500 ms/);
  });

  test('that stalls or breaks off inside a package is given up', async () => {
    const half = small.apk.subarray(0, small.apk.length / 2);
    for (const cut of [true, false]) {
      server.answer = (request, response) => {
        if (request.url === INDEX) return serving(filesOf(small))(request, response);
        response.writeHead(200, { 'content-length': small.apk.length });
        response.write(half, () => {
          if (cut) response.destroy();
        });
      };
      const error = await failure(base());
      assert.deepEqual([error.code, error.kind], ['repository-unavailable', 'infra'], String(cut));
    }
  });
});
