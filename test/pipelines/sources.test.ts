/** The pipelines that get and change sources: fetch, patch and git-am, in BuildKit. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { type FileServer, startFileServer } from './file-server.ts';
import { AUTHOR, type GitServer, startGitServer } from './git-server.ts';
import { SOURCES_TOOLCHAIN } from './sources-toolchain.ts';
import { skipReason, startToolchain, type Toolchain } from './toolchain.ts';

type Inputs = Readonly<Record<string, string | number | boolean>>;

/** Debian's busybox cannot find out how an archive is compressed; other builds of it can. */
const TOOLS = ['busybox', 'gzip', 'tar', 'xz-utils'];

/** A build file that runs the pipeline, then lists and packages what lies in the workspace. */
function buildFile(pipeline: string, inputs: Inputs, packages: readonly string[] = TOOLS): string {
  return `package: {name: thing, version: 1.0.0, epoch: 0}
environment: {contents: {packages: ${JSON.stringify(packages)}}}
pipeline:
  - uses: ${pipeline}
    with: ${JSON.stringify(inputs)}
  - runs: find . -path ./melange-out -prune -o -type f -exec cp --parents '{}' "\${{targets.destdir}}" ';'
`;
}

describe('sources', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    toolchain = await startToolchain(SOURCES_TOOLCHAIN);
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  describe('fetch', () => {
    let files: FileServer;
    let archive: Buffer;
    before(async () => {
      archive = archiveOf('gzip');
      files = await startFileServer({
        'a-1.0.tar.gz': archive,
        'a-1.0.tar.xz': archiveOf('xz'),
        'a-1.0.tar': gunzipSync(archive),
      });
    });
    after(() => files?.[Symbol.asyncDispose]());
    const sum = (algorithm: string): string => createHash(algorithm).update(archive).digest('hex');
    /** Fetches and returns the files of the workspace. */
    const fetched = async (
      inputs: Inputs,
      more: { source?: Record<string, string>; packages?: string[] } = {},
    ) => {
      const { source = {}, packages } = more;
      const given = { uri: `${files.url}/a-1.0.tar.gz`, ...inputs };
      const result = await toolchain.build(buildFile('fetch', given, packages), { source });
      const paths = [...result.files.keys()].map((path) => path.replace('thing/', ''));
      return { ...result, paths: paths.filter((path) => path !== '.wget-hsts').sort() };
    };
    const fails = async (inputs: Inputs, message: RegExp): Promise<void> => {
      const given = { uri: `${files.url}/a-1.0.tar.gz`, ...inputs };
      assert.match((await toolchain.fail(buildFile('fetch', given))).log, message);
    };

    test('an archive is downloaded, checked and extracted without its top directory', async () => {
      const { paths, files: made } = await fetched({ 'expected-sha256': sum('sha256') });
      assert.deepEqual(paths, ['a-1.0.tar.gz', 'deep/run.sh', 'read.me']);
      assert.equal(made.get('thing/read.me')?.content.toString(), 'read me\n');
      assert.equal(made.get('thing/deep/run.sh')?.mode, 0o755);
    });

    test('a sum may be SHA-512 and in capitals, and of two only SHA-256 is checked', async () => {
      await fetched({ 'expected-sha512': sum('sha512').toUpperCase() });
      await fetched({ 'expected-sha256': sum('sha256'), 'expected-sha512': '0'.repeat(128) });
    });

    test('an archive with another sum, or without any, is refused', async () => {
      const sha256 = { 'expected-sha256': '0'.repeat(64) };
      await fails(sha256, new RegExp(`sha256sum of a-1.0.tar.gz is ${sum('sha256')}, expected 0{64}`));
      await fails({ ...sha256, 'expected-sha512': sum('sha512') }, /sha256sum of/);
      await fails(
        { 'expected-sha512': '1'.repeat(128) },
        /sha512sum of a-1.0.tar.gz is [0-9a-f]+, expected 1{128}/,
      );
      await fails({}, /give one of expected-sha256, expected-sha512 and expected-none/);
    });

    test('without a check anything is taken, and with expected-none no sum is compared', async () => {
      const { log } = await fetched({ 'expected-none': 'ok', 'expected-sha256': '0'.repeat(64) });
      assert.match(log, /a-1\.0\.tar\.gz is not checked/);
    });

    test('what is extracted, where to, and what stays can be chosen', async () => {
      const check = { 'expected-none': 'ok' };
      const into = await fetched(
        { ...check, directory: 'some where', 'strip-components': 0, delete: true },
        { source: { 'some where/kept': '' } },
      );
      assert.deepEqual(into.paths, ['some where/a/deep/run.sh', 'some where/a/read.me', 'some where/kept']);
      assert.deepEqual((await fetched({ ...check, 'strip-components': 2 })).paths, [
        'a-1.0.tar.gz',
        'run.sh',
      ]);
      assert.deepEqual((await fetched({ ...check, extract: false })).paths, ['a-1.0.tar.gz']);
      assert.deepEqual((await fetched({ ...check, extract: 'yes', delete: 'yes' })).paths, ['a-1.0.tar.gz']);
      await fails({ ...check, directory: 'nowhere' }, /nowhere/);
    });

    test('the compression is found out', async () => {
      const inputs = { uri: `${files.url}/a-1.0.tar.xz`, 'expected-none': 'ok', delete: true };
      assert.deepEqual((await fetched(inputs)).paths, ['deep/run.sh', 'read.me']);
    });

    test('busybox extracts too', async () => {
      const inputs = { uri: `${files.url}/a-1.0.tar`, 'expected-none': 'ok', delete: true };
      assert.deepEqual((await fetched(inputs, { packages: ['busybox'] })).paths, ['deep/run.sh', 'read.me']);
    });

    test('an archive that is no tar can only be kept', async () => {
      const uri = `${files.url}/a-1.0.tar.gz?as=zip`;
      assert.deepEqual((await fetched({ uri, 'expected-none': 'ok', extract: false })).paths, [
        'a-1.0.tar.gz?as=zip',
      ]);
      const source = {
        'a-1.0.tar.gz': 'no archive, but longer than the block that a tar begins with\n'.repeat(20),
      };
      const { error } = await toolchain.fail(
        buildFile('fetch', { uri: `${files.url}/a-1.0.tar.gz`, 'expected-none': 'ok' }),
        { source },
      );
      assert.ok(error);
    });

    test('a file of that name that lies in the workspace is taken instead', async () => {
      const before = files.asked.length;
      const { files: made } = await fetched(
        { 'expected-none': 'ok', extract: false },
        { source: { 'a-1.0.tar.gz': 'mine' } },
      );
      assert.equal(made.get('thing/a-1.0.tar.gz')?.content.toString(), 'mine');
      assert.equal(files.asked.length, before);
    });

    test('a download that is cut goes on where it ended', async () => {
      files.cutNext();
      const before = files.asked.length;
      await fetched({ 'expected-sha256': sum('sha256'), timeout: 6 });
      const half = Math.floor(archive.length / 2);
      assert.deepEqual(files.asked.slice(before), [
        '/a-1.0.tar.gz from the beginning',
        `/a-1.0.tar.gz bytes=${half}-`,
      ]);
    });

    test('a refused connection is tried again as often as allowed', async () => {
      const inputs = { uri: 'http://127.0.0.1:9/b.tar.gz', 'expected-none': 'ok', 'retry-limit': 2 };
      const { log } = await toolchain.fail(buildFile('fetch', inputs));
      assert.match(
        log,
        /Connection refused[\s\S]*Retrying[\s\S]*\(try: 2\)[\s\S]*Connection refused[\s\S]*Giving up/,
      );
      assert.doesNotMatch(log, /\(try: 3\)/);
    });

    test('a server that says nothing is left after the timeout', async () => {
      const inputs = { uri: `${files.url}/silent`, 'expected-none': 'ok', 'retry-limit': 1, timeout: 1 };
      const { log } = await toolchain.fail(buildFile('fetch', inputs));
      assert.match(log, /timed out/);
      await fails({ uri: `${files.url}/absent`, 'expected-none': 'ok' }, /404 Not Found/);
    });
  });

  describe('patch', () => {
    const ONE = '--- a/hello.txt\n+++ b/hello.txt\n@@ -1,3 +1,3 @@\n first\n-hello\n+hello world\n last\n';
    const TWO = '--- hello.txt\n+++ hello.txt\n@@ -1,3 +1,3 @@\n first\n-hello world\n+hello moon\n last\n';
    const hello = { 'hello.txt': 'first\nhello\nlast\n', 'one.patch': ONE };
    const patched = async (inputs: Inputs, source: Record<string, string>): Promise<string> => {
      const { files } = await toolchain.build(buildFile('patch', inputs), { source });
      return files.get('thing/hello.txt')?.content.toString() ?? assert.fail('no hello.txt');
    };
    const fails = async (inputs: Inputs, source: Record<string, string>, message: RegExp): Promise<void> => {
      assert.match((await toolchain.fail(buildFile('patch', inputs), { source })).log, message);
    };

    test('a list is applied in order', async () => {
      const source = { ...hello, 'more/two.patch': TWO.replaceAll(' hello.txt', ' a/hello.txt') };
      assert.equal(
        await patched({ patches: 'one.patch\n  more/two.patch\n' }, source),
        'first\nhello moon\nlast\n',
      );
    });

    test('a series is applied, with another strip level', async () => {
      const source = {
        'hello.txt': 'first\nhello world\nlast\n',
        'two.patch': TWO,
        list: '# all\n\ntwo.patch',
      };
      assert.equal(
        await patched({ series: ' list\n', 'strip-components': 0, patches: 'ignored.patch' }, source),
        'first\nhello moon\nlast\n',
      );
    });

    test('lines around may differ as far as the fuzz goes', async () => {
      const source = { ...hello, 'hello.txt': 'other\nhello\nlast\n' };
      assert.equal(await patched({ patches: 'one.patch' }, source), 'other\nhello world\nlast\n');
      await fails({ patches: 'one.patch', fuzz: 0 }, source, /Hunk #1 FAILED/);
    });

    test('it stops at a patch that does not apply or is not there, and refuses what is no list', async () => {
      const twice = await toolchain.fail(buildFile('patch', { patches: 'one.patch one.patch two.patch' }), {
        source: { ...hello, 'two.patch': TWO },
      });
      assert.doesNotMatch(twice.log, /applying two\.patch/);
      await fails({ patches: 'absent.patch' }, hello, /absent\.patch/);
      await fails({ series: 'absent' }, hello, /the series file absent does not exist/);
      await fails({ series: 'list' }, { ...hello, list: '# none\n' }, /names no patch/);
      await fails({ patches: '$(touch x)' }, hello, /must not contain/);
      await fails({ patches: 'one.patch', fuzz: '-1' }, hello, /fuzz must be a whole number/);
      await fails({ 'strip-components': 1 }, hello, /give patches or a series/);
    });
  });

  describe('git-am', () => {
    let server: GitServer;
    let mails: Record<string, string>;
    let repository: string;
    before(async () => {
      server = await startGitServer();
      const upstream = server.create('upstream');
      repository = upstream.url;
      upstream.commit('one', { 'one.txt': 'one\n' });
      upstream.git('branch', 'start');
      upstream.commit('change one', { 'one.txt': 'two\n' });
      upstream.commit('change it again', { 'one.txt': 'three\n' });
      const mail = (which: string): string => `${upstream.git('format-patch', '-1', '--stdout', which)}\n`;
      mails = { 'mails/1.patch': mail('HEAD~1'), 'mails/2.patch': mail('HEAD') };
    });
    after(() => server?.[Symbol.asyncDispose]());
    const steps = (patches: string): string => `package: {name: thing, version: 1.0.0, epoch: 0}
environment: {contents: {packages: [busybox]}}
pipeline:
  - uses: git-checkout
    with: ${JSON.stringify({ repository, branch: 'start' })}
  - uses: git-am
    with: ${JSON.stringify({ patches })}
  - runs: git log --format='commit %s by %an <%ae>, %cn' && grep -H . one.txt
`;

    test('patches become commits in order, by their authors', async () => {
      for (const patches of ['mails/1.patch mails/2.patch', 'mails/1.patch\nmails/2.patch\n']) {
        const { log } = await toolchain.build(steps(patches), { source: mails });
        assert.deepEqual(log.match(/^commit .*$/gm), [
          `commit change it again by ${AUTHOR}, Melange Build`,
          `commit change one by ${AUTHOR}, Melange Build`,
          `commit one by ${AUTHOR}, A U Thor`,
        ]);
        assert.match(log, /^one\.txt:three$/m);
      }
    });

    test('a patch that does not apply or is not there fails', async () => {
      assert.match(
        (await toolchain.fail(steps('mails/2.patch'), { source: mails })).log,
        /Patch failed at 0001/,
      );
      assert.match((await toolchain.fail(steps('mails/3.patch'), { source: mails })).log, /mails\/3\.patch/);
      assert.match((await toolchain.fail(steps(' '), { source: mails })).log, /git-am: no patches given/);
    });
  });
});

/** A tar with one top directory. */
function archiveOf(compression: 'gzip' | 'xz'): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'archive-'));
  try {
    const script = `mkdir -p a/deep && echo read me > a/read.me && echo '#!/bin/sh' > a/deep/run.sh
chmod 755 a/deep/run.sh && tar --sort=name --owner=1234 --group=1234 --${compression} -cf archive a`;
    execFileSync('sh', ['-c', script], { cwd: folder });
    return readFileSync(join(folder, 'archive'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
