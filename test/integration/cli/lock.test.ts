import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { generateSigningKey, loadSigningKey } from '../../../shared/apk/keys.ts';
import { parseIndex } from '../../../shared/apk/package-index.ts';
import { startLoopbackServer } from '../../pipelines/loopback.ts';
import { type OwnPackage, writeOwnPackages } from '../../pipelines/own-packages.ts';
import { type Finished, run } from './command.ts';

const PACKAGES: readonly OwnPackage[] = [
  { name: 'bootstrap-base' },
  { name: 'tool', depends: ['library'], programs: { 'usr/bin/tool': '#!/bin/sh\n' } },
  { name: 'library', programs: { 'usr/lib/library': 'x' } },
  { name: 'unwanted' },
];

const BUILD_FILE =
  'package: {name: a, version: 1}\nenvironment: {contents: {packages: [tool]}}\npipeline: [{runs: x}]\n';

describe('carryall lock', () => {
  const folder = mkdtempSync(join(tmpdir(), 'carryall-lock-'));
  const repository = join(folder, 'repository');
  const key = join(folder, 'test.rsa.pub');
  before(async () => {
    const made = await generateSigningKey({ name: 'test.rsa' });
    writeFileSync(key, made.publicPem);
    await writeOwnPackages(PACKAGES, {
      folder: repository,
      arch: 'x86_64',
      key: loadSigningKey(made.privatePem, 'test.rsa'),
    });
  });
  after(() => rmSync(folder, { recursive: true }));

  const lock = (
    more: readonly string[],
    options: { readonly stdin?: string; readonly repositories?: readonly string[] } = {},
  ): Promise<Finished> => {
    const { stdin = BUILD_FILE, repositories = [repository] } = options;
    const given = repositories.flatMap((one) => ['-r', one]);
    return run(['lock', '-', '--arch', 'x86_64', ...given, '-k', key, ...more], { stdin });
  };
  const packageFile = (name: string): string => join(repository, 'x86_64', `${name}-1-r0.apk`);

  test('each package stands in the order of installation, with the digest and size of its file', async () => {
    const { code, stdout, stderr } = await lock([]);
    assert.equal(stderr, '');
    assert.equal(code, 0);
    const expected = ['bootstrap-base', 'library', 'tool'].map((name) => {
      const bytes = readFileSync(packageFile(name));
      return `${name}=1-r0\tsha256:${createHash('sha256').update(bytes).digest('hex')}\t${bytes.length}`;
    });
    assert.deepEqual(stdout.trimEnd().split('\n'), expected);
  });

  test('the same comes from a web server, as JSON with all that identifies a package', async () => {
    const asked: string[] = [];
    await using server = await startLoopbackServer((request, response) => {
      asked.push(request.url ?? '');
      response.end(readFileSync(join(repository, request.url ?? '')));
    });
    const { code, stdout } = await lock(['-o', 'json'], { repositories: [`${server.url}/`] });
    assert.equal(code, 0);
    const found: unknown = JSON.parse(stdout);
    const index = parseIndex((await lock(['-o', 'apkindex'])).stdout);
    assert.deepEqual(found, {
      file: '<stdin>',
      arch: 'x86_64',
      world: ['tool'],
      packages: index.map(({ name, version, controlChecksum, size }) => ({
        name,
        version,
        repository: server.url,
        url: `${server.url}/x86_64/${name}-${version}.apk`,
        checksum: controlChecksum,
        sha256: createHash('sha256')
          .update(readFileSync(packageFile(name)))
          .digest('hex'),
        bytes: size,
      })),
    });
    assert.ok(!asked.some((url) => url.includes('unwanted')), 'only what is installed is fetched');
  });

  test('packages of a tagged repository count for those who ask for the tag', async () => {
    const repositories = [`@edge ${repository}`];
    const without = await lock([], { repositories });
    assert.equal(without.code, 2);
    assert.match(without.stderr, /only in the repository tagged @edge/);
    const stdin = BUILD_FILE.replace('[tool]', '["tool@edge"]');
    assert.equal((await lock([], { repositories, stdin })).code, 0);
  });

  test('further packages and those that steps need are part of it', async () => {
    const stdin = BUILD_FILE.replace('{runs: x}', '{needs: {packages: [library]}, runs: x}').replace(
      'tool',
      '',
    );
    const { stdout } = await lock(['--package-append', 'unwanted'], { stdin });
    const names = stdout.split('\n').map((line) => line.split('=')[0]);
    assert.deepEqual(names, ['bootstrap-base', 'library', 'unwanted', '']);
  });

  test('what has no solution is the user’s, and says why; the files after it are locked', async () => {
    const { code, stdout, stderr } = await lock([], {
      stdin: BUILD_FILE.replace('[tool]', '["tool>5"]'),
    });
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /the package list asks for tool>5, but tool-1-r0 cannot be used/);
  });

  test('a repository of the build file must be https, whatever the command line allows', async () => {
    const stdin = BUILD_FILE.replace('contents: {', `contents: {repositories: ["${folder}"], `);
    const { code, stderr } = await lock([], { stdin });
    assert.equal(code, 2);
    assert.match(stderr, /, which is refused: it is no URL\n +hint: give it with --repository-append/);
  });

  test('a repository of the build file that the command line gives too counts once', async () => {
    const stdin = BUILD_FILE.replace('contents: {', `contents: {repositories: ["${repository}/"], `);
    const { code, stdout } = await lock([], { stdin });
    assert.equal(code, 0);
    assert.equal(stdout, (await lock([])).stdout);
  });

  test('an index that no given key has signed, and a key that cannot be read, are told', async () => {
    const strangers = await generateSigningKey({ name: 'test.rsa' });
    const other = join(folder, 'other');
    writeFileSync(other, strangers.publicPem);
    const run_ = (keyPath: string): Promise<Finished> =>
      run(['lock', '-', '--arch', 'x86_64', '-r', repository, '-k', keyPath], { stdin: BUILD_FILE });
    const unknown = await run_(other);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /index cannot be trusted/);
    const missing = await run_(join(folder, 'nowhere'));
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /nowhere cannot be read: there is no such file/);
  });

  test('a folder without an index for the architecture is empty, with a warning', async () => {
    const { code, stderr } = await run(['lock', '-', '--arch', 'aarch64', '-r', repository, '-k', key], {
      stdin: BUILD_FILE,
    });
    assert.equal(code, 2);
    assert.match(stderr, /^warning: .*repository has no index for aarch64$/m);
  });

  test('a package file that is not what the index says is refused', async () => {
    const file = readdirSync(join(repository, 'x86_64')).find((name) => name.startsWith('tool')) ?? '';
    const bytes = readFileSync(join(repository, 'x86_64', file));
    try {
      appendFileSync(join(repository, 'x86_64', file), 'more');
      const { code, stdout, stderr } = await lock([]);
      assert.equal(code, 1);
      assert.equal(stdout, '');
      assert.match(stderr, /tool-1-r0\.apk/);
    } finally {
      writeFileSync(join(repository, 'x86_64', file), bytes);
    }
  });
});
