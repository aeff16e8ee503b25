import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import {
  configuredCredentials,
  configuredRepository,
  namedRepositoryPolicy,
  type RepositoriesAccess,
} from '../../../runner/configured-repositories.ts';
import { createIndexCache, type Repository } from '../../../runner/environment/repository.ts';
import { publicKeyPem } from '../../../shared/apk/keys.ts';
import { PipelineError } from '../../../shared/errors.ts';
import { createObject } from '../../../shared/storage/objects.ts';
import { clientOf, startEndpoint } from '../gcs/local-endpoint.ts';
import {
  filesOf,
  INDEX,
  newKey,
  SHORT,
  type SmallRepository,
  serving,
  smallRepository,
  startServer,
  type TestServer,
} from './repository-fixture.ts';

const endpoint = await startEndpoint({ buckets: ['packages'] });

describe("a repository of the operator's file", () => {
  const folder = mkdtempSync(join(tmpdir(), 'configured-'));
  const key = join(folder, 'test.rsa.pub');
  const secret = join(folder, 'secret');
  let small: SmallRepository;
  let server: TestServer;
  let seen: string[];

  before(async () => {
    small = await smallRepository(await newKey('test.rsa'));
    writeFileSync(key, publicKeyPem(small.key));
    server = await startServer(serving({}));
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });
  beforeEach(() => {
    seen = [];
    server.answer = (request, response) => {
      seen.push(request.headers.authorization ?? 'nothing');
      serving(filesOf(small))(request, response);
    };
  });

  const access = (rest: Partial<RepositoriesAccess> = {}): RepositoriesAccess => ({
    credentials: [configuredCredentials({ host: new URL(server.url).host, bearerFile: secret })],
    plainHttp: 'allowed',
    storageEndpoint: '',
    storageAuthorization: async () => 'Bearer of-the-runner',
    ...rest,
  });
  const opened = (location: string, rest: Partial<RepositoriesAccess> = {}): Promise<Repository> =>
    configuredRepository({ location, keys: [key] }, access(rest));
  const read = async (repository: Repository): Promise<number> => {
    const { entries } = await createIndexCache(SHORT).read(
      repository,
      'x86_64',
      new AbortController().signal,
    );
    return entries.length;
  };

  test('is shown the credentials of its host as the file has them at that time', async () => {
    const repository = await opened(`${server.url}/`);
    for (const token of ['first-token', 'second-token']) {
      writeFileSync(secret, `${token}\n`);
      assert.equal(await read(repository), 1);
    }
    assert.deepEqual(seen, ['Bearer first-token', 'Bearer second-token']);
  });

  test('is shown none over plain http where that is not allowed', async () => {
    writeFileSync(secret, 'first-token');
    assert.equal(await read(await opened(server.url, { plainHttp: 'refused' })), 1);
    assert.deepEqual(seen, ['nothing']);
  });

  test('is not asked without the credentials that it should be shown', async () => {
    writeFileSync(secret, 'no token at all');
    const thrown: unknown = await read(await opened(server.url)).catch((error: unknown) => error);
    assert.ok(thrown instanceof PipelineError);
    assert.deepEqual([thrown.code, thrown.kind], ['config-invalid', 'infra']);
    assert.doesNotMatch(inspect(thrown), /no token/);
    assert.deepEqual(seen, []);
  });

  test("may lie in a bucket, which is shown the runner's own credentials at Google alone", async () => {
    const atGoogle = await opened('gs://packages/os/');
    assert.deepEqual(
      [atGoogle.location, atGoogle.baseUrl, await atGoogle.authorization?.()],
      ['gs://packages/os/', 'https://storage.googleapis.com/packages/os', 'Bearer of-the-runner'],
    );
    const bucket = clientOf(endpoint.url).bucket('packages');
    await createObject(bucket, `os${INDEX}`, { bytes: small.index, type: 'application/gzip' });
    const local = { storageEndpoint: endpoint.url, storageAuthorization: undefined };
    const here = await opened('gs://packages/os', local);
    assert.equal(here.authorization, undefined);
    assert.equal(await read(here), 1);
  });

  test('gives a host that build files may name the credentials of that host', async () => {
    const { credentials } = access();
    const allowed = [{ host: 'packages.example.org', keys: [key] }];
    const policy = await namedRepositoryPolicy([...allowed, ...allowed], credentials);
    assert.deepEqual(policy.reach.hosts, ['packages.example.org']);
    assert.equal(policy.keys.get('packages.example.org')?.size, 1);
    assert.equal(policy.credentials, credentials);
  });
});
