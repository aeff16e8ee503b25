import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { publicKeyPem, type SigningKey } from '../../../shared/apk/keys.ts';
import { createObject } from '../../../shared/storage/objects.ts';
import {
  certificate,
  filesOf,
  INDEX,
  newKey,
  PACKAGE,
  type SmallRepository,
  serving,
  smallRepository,
  startServer,
  type TestServer,
} from '../environment/repository-fixture.ts';
import { clientOf, startEndpoint } from '../gcs/local-endpoint.ts';
import { type Finished, run } from './command.ts';

const BUILD_FILE =
  'package: {name: a, version: 1}\nenvironment: {contents: {packages: [hello]}}\npipeline: [{runs: x}]\n';

const endpoint = await startEndpoint({ buckets: ['packages'] });

describe('where carryall lock goes for packages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'carryall-lock-'));
  const tls = certificate();
  const key = join(folder, 'test.rsa.pub');
  let signing: SigningKey;
  let small: SmallRepository;
  let server: TestServer;
  let plain: TestServer;
  /** Path and `Authorization` of each request. */
  let seen: string[];
  let environment: NodeJS.ProcessEnv;

  before(async () => {
    signing = await newKey('test.rsa');
    small = await smallRepository(signing);
    writeFileSync(key, publicKeyPem(signing));
    writeFileSync(join(folder, 'authority.pem'), tls.cert);
    server = await startServer(serving({}), tls);
    plain = await startServer(serving({}));
    const bucket = clientOf(endpoint.url).bucket('packages');
    for (const [path, bytes] of Object.entries(filesOf(small))) {
      await createObject(bucket, `os${path}`, { bytes, type: 'application/octet-stream' });
    }
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await plain[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });
  beforeEach(() => {
    seen = [];
    for (const one of [server, plain]) {
      one.answer = (request, response) => {
        seen.push(`${request.url} ${request.headers.authorization ?? 'nothing'}`);
        serving({ ...filesOf(small), '/test.rsa.pub': Buffer.from(publicKeyPem(signing)) })(
          request,
          response,
        );
      };
    }
    environment = { ...process.env };
    process.env['NODE_EXTRA_CA_CERTS'] = join(folder, 'authority.pem');
    delete process.env['HTTP_AUTH'];
    delete process.env['STORAGE_ENDPOINT'];
  });
  afterEach(() => {
    process.env = environment;
  });

  const lock = (repositories: readonly string[], stdin = BUILD_FILE, keyFile = key): Promise<Finished> => {
    const given = repositories.flatMap((one) => ['-r', one]);
    return run(['lock', '-', '--arch', 'x86_64', ...given, '-k', keyFile], { stdin });
  };
  const basic = `Basic ${Buffer.from('user:secret-word').toString('base64')}`;

  test('is a bucket, without credentials on an endpoint of its own', async () => {
    process.env['STORAGE_ENDPOINT'] = endpoint.url;
    const { code, stdout, stderr } = await lock(['gs://packages/os/']);
    assert.equal(stderr, '');
    assert.equal(code, 0);
    assert.match(stdout, /^hello=1\.0-r0\tsha256:/);
  });

  test('is not asked where there are no credentials for it', async () => {
    process.env['HOME'] = folder;
    process.env['CLOUDSDK_CONFIG'] = folder;
    delete process.env['GOOGLE_APPLICATION_CREDENTIALS'];
    const { code, stderr } = await lock(['gs://packages/os']);
    assert.equal(code, 1);
    assert.match(stderr, /there are no credentials for gs:\/\/ repositories: .*\n +hint: run gcloud auth/);
  });

  test('is told when it is no place in a bucket', async () => {
    const { code, stderr } = await lock(['gs://packages/../other']);
    assert.equal(code, 1);
    assert.match(stderr, /no place in Cloud Storage\n +hint: write gs:\/\/BUCKET/);
  });

  test('is shown what HTTP_AUTH gives for its host, packages and keys included', async () => {
    process.env['HTTP_AUTH'] = `basic:127.0.0.1:${server.port}:user:secret-word`;
    const { code, stderr } = await lock([server.url], BUILD_FILE, `${server.url}/test.rsa.pub`);
    assert.equal(stderr, '');
    assert.equal(code, 0);
    assert.deepEqual(seen, [`/test.rsa.pub ${basic}`, `${INDEX} ${basic}`, `${PACKAGE} ${basic}`]);
  });

  test('is shown nothing that is for another host or port', async () => {
    process.env['HTTP_AUTH'] =
      `basic:127.0.0.1:user:secret-word,basic:*:localhost:${server.port}:user:secret-word`;
    assert.equal((await lock([server.url])).code, 0);
    assert.deepEqual(seen, [`${INDEX} nothing`, `${PACKAGE} nothing`]);
  });

  test('is shown nothing over plain http, with a warning', async () => {
    process.env['HTTP_AUTH'] = `basic:127.0.0.1:${plain.port}:user:secret-word`;
    const { code, stderr } = await lock([plain.url]);
    assert.equal(code, 0);
    assert.match(stderr, /^warning: HTTP_AUTH is not sent over plain HTTP: http:\/\/127\.0\.0\.1:\d+$/m);
    assert.deepEqual(seen, [`${INDEX} nothing`, `${PACKAGE} nothing`]);
  });

  test('is not shown them anywhere when it fails', async () => {
    process.env['HTTP_AUTH'] = `basic:127.0.0.1:${server.port}:user:secret-word`;
    server.answer = (_request, response) => response.writeHead(401).end();
    const failed = await lock([server.url]);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /answered 401/);
    process.env['HTTP_AUTH'] = 'basic:secret-word';
    const wrong = await lock([server.url]);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /HTTP_AUTH gives no credentials\n +hint: write basic:HOST:USER:PASSWORD/);
    delete process.env['HTTP_AUTH'];
    const inUrl = await lock([`https://user:secret-word@127.0.0.1:${server.port}`]);
    assert.equal(inUrl.code, 1);
    assert.match(inUrl.stderr, /carries credentials\n +hint: .*HTTP_AUTH/);
    for (const { stdout, stderr } of [failed, wrong, inUrl]) {
      assert.doesNotMatch(stdout + stderr, new RegExp(`secret-word|${basic.slice(6)}`));
    }
  });

  test('is nothing on this machine or its network where the build file alone names it', async () => {
    process.env['HTTP_AUTH'] = `basic:127.0.0.1:${server.port}:user:secret-word`;
    process.env['STORAGE_ENDPOINT'] = endpoint.url;
    const before = [server.connections(), plain.connections()];
    for (const line of [
      server.url,
      `https://localhost:${server.port}`,
      `https://0x7f.1:${server.port}`,
      `https://[::1]:${server.port}`,
      'https://169.254.169.254/os',
      plain.url,
      'file:///srv/packages',
      './packages',
      'gs://packages/os',
    ]) {
      const stdin = BUILD_FILE.replace('contents: {', `contents: {repositories: ["${line}"], `);
      const { code, stdout, stderr } = await lock([], stdin);
      assert.notEqual(code, 0, line);
      assert.equal(stdout, '');
      assert.match(stderr, /leads to the repository .* which is refused: /, line);
      assert.match(stderr, /hint: give it with --repository-append instead/, line);
    }
    assert.deepEqual([server.connections(), plain.connections()], before);
    // With the user's own word it is a repository like any other.
    const stdin = BUILD_FILE.replace('contents: {', `contents: {repositories: ["${server.url}"], `);
    assert.equal((await lock([server.url], stdin)).code, 0);
  });
});
