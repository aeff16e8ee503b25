import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { type BuildPlan, builtinPipelineNames, stepCommand } from '../../../../shared/build-file/index.ts';
import { compiled, problems, withPackage } from './language.ts';

/** Arguments with which each pipeline compiles. */
const REQUIRED: Readonly<Record<string, string>> = {
  fetch: '{uri: "https://a.example/b.tar.gz", expected-none: "yes"}',
  'git-am': '{patches: a.patch}',
  'git-checkout': '{repository: "https://a.example/b.git"}',
  'R/build': '{package: thing, version: 1.0}',
  'go/build': '{packages: ., output: thing}',
  'go/bump': '{deps: "a.example/b@v1.2.3"}',
  'go/install': '{package: a.example/b}',
  'pecl/install': '{extension: thing}',
  'xcover/profile': '{executable-path: /usr/bin/thing}',
  'npm/install': '{package: thing, version: 1.0.0}',
  'python/test': '{command: "true"}',
  'ruby/build': '{gem: thing}',
  'ruby/install': '{gem: thing, version: 1.0.0}',
};

test('every built-in pipeline compiles, and its shell is accepted by sh and bash', () => {
  const names = builtinPipelineNames();
  assert.ok(names.length >= 16);
  for (const name of names) {
    const given = REQUIRED[name] ?? '{}';
    const plan = compiled(
      withPackage(`subpackages: [{name: s, pipeline: [{uses: ${name}, with: ${given}}]}]\n`),
    );
    const steps = plan.packages[1]?.steps ?? [];
    assert.ok(steps.length > 0, name);
    for (const step of steps) {
      for (const shell of ['sh', 'bash']) {
        const checked = spawnSync(shell, ['-n', '-c', stepCommand(step)], { encoding: 'utf8' });
        assert.equal(checked.status, 0, `${name}: ${checked.stderr}`);
      }
    }
  }
});

test('the built-in pipelines need the packages they run', () => {
  const needs = (name: string): readonly string[] =>
    compiled(
      withPackage(`subpackages: [{name: s, pipeline: [{uses: ${name}, with: ${REQUIRED[name] ?? '{}'}}]}]\n`),
    ).environment.packages;
  assert.deepEqual(needs('fetch'), ['wget']);
  assert.deepEqual(needs('git-checkout'), ['git']);
  assert.deepEqual(needs('autoconf/configure'), ['autoconf', 'automake', 'libtool']);
  assert.deepEqual(needs('split/debug'), ['binutils', 'busybox', 'scanelf']);
  assert.deepEqual(needs('split/dev'), ['busybox']);
});

test('fetch accepts a reason and refuses a checksum of the wrong length when compiling', () => {
  const text = withPackage(
    'pipeline: [{uses: fetch, with: {uri: u, expected-sha512: ab, reason: because}}]\n',
  );
  assert.deepEqual(
    problems(text).map((one) => one.code),
    ['invalid-value'],
  );
});

interface Root {
  readonly folder: string;
  /** Makes files with these contents in the workspace. */
  files(contents: Readonly<Record<string, string>>): void;
  /** Runs the steps of all packages in order until one fails. */
  run(pipeline: string, options?: RunOptions): SpawnSyncReturns<string>;
  /** Files and links below a folder of the workspace, sorted. */
  list(path: string): string[];
  read(path: string): string;
}

interface RunOptions {
  /** Default `main`: the steps of the main package; else those of the subpackage `s`. */
  readonly in?: 'main' | 'subpackage';
  readonly path?: string;
}

/** A workspace in a temporary folder: the paths of the guest are replaced in the compiled fragments. */
function workspace(context: TestContext): Root {
  const folder = mkdtempSync(join(tmpdir(), 'pipeline-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const walk = (path: string): string[] =>
    !existsSync(path)
      ? []
      : readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
          entry.isDirectory()
            ? walk(join(path, entry.name)).map((below) => `${entry.name}/${below}`)
            : [entry.name],
        );
  return {
    folder,
    files(contents) {
      for (const [path, content] of Object.entries(contents)) {
        const target = join(folder, path);
        mkdirSync(dirname(target), { recursive: true });
        writeFileSync(target, content);
      }
    },
    run(pipeline, options = {}) {
      const where =
        options.in === 'subpackage'
          ? `subpackages: [{name: s, pipeline: ${pipeline}}]`
          : `pipeline: ${pipeline}`;
      const plan: BuildPlan = compiled(withPackage(`${where}\n`));
      const steps = plan.packages.flatMap((one) => one.steps);
      let result = spawnSync('true', { encoding: 'utf8' });
      for (const step of steps) {
        const command = stepCommand(step)
          .replaceAll('/home/build', folder)
          .replaceAll('/var/cache/melange', join(folder, 'cache'));
        result = spawnSync('bash', ['-c', command], {
          encoding: 'utf8',
          env: {
            PATH: options.path ?? process.env['PATH'] ?? '',
            HOME: join(folder, 'user'),
            GIT_CONFIG_NOSYSTEM: '1',
            LC_ALL: 'C',
          },
        });
        if (result.status !== 0) return result;
      }
      return result;
    },
    list: (path) => walk(join(folder, path)).sort(),
    read: (path) => readFileSync(join(folder, path), 'utf8'),
  };
}

function succeeds(result: SpawnSyncReturns<string>): void {
  assert.equal(result.status, 0, result.stdout + result.stderr);
}

function fails(result: SpawnSyncReturns<string>, message: RegExp): void {
  assert.notEqual(result.status, 0);
  assert.match(result.stderr, message);
}

describe('split', () => {
  test('dev takes headers, metadata, static libraries and the links for the linker', (context) => {
    const root = workspace(context);
    const destination = 'melange-out/thing';
    root.files({
      [`${destination}/usr/include/thing.h`]: '',
      [`${destination}/usr/lib/pkgconfig/thing.pc`]: '',
      [`${destination}/usr/lib/libthing.so.1.2`]: 'elf',
      [`${destination}/usr/lib/libthing.a`]: '',
      [`${destination}/usr/lib/plugin.so`]: 'a file, no link',
      [`${destination}/usr/bin/thing-config`]: '',
      [`${destination}/usr/bin/thing`]: '',
      [`${destination}/usr/share/doc/deep/include/x y.h`]: '',
      [`${destination}/usr/share/cmake/Thing/a.cmake`]: '',
      [`${destination}/usr/share/gir-1.0/Thing.gir`]: '',
    });
    symlinkSync('libthing.so.1.2', join(root.folder, destination, 'usr/lib/libthing.so'));
    symlinkSync('libthing.so.1.2', join(root.folder, destination, 'usr/lib/libthing.so.1'));
    succeeds(root.run('[{uses: split/dev}]', { in: 'subpackage' }));
    assert.deepEqual(root.list(destination), [
      'usr/bin/thing',
      'usr/lib/libthing.so.1',
      'usr/lib/libthing.so.1.2',
      'usr/lib/plugin.so',
    ]);
    assert.deepEqual(root.list('melange-out/s'), [
      'usr/bin/thing-config',
      'usr/include/thing.h',
      'usr/lib/libthing.a',
      'usr/lib/libthing.so',
      'usr/lib/pkgconfig/thing.pc',
      'usr/share/cmake/Thing/a.cmake',
      'usr/share/doc/deep/include/x y.h',
      'usr/share/gir-1.0/Thing.gir',
    ]);
    assert.ok(lstatSync(join(root.folder, 'melange-out/s/usr/lib/libthing.so')).isSymbolicLink());
    assert.equal(existsSync(join(root.folder, destination, 'usr/lib/pkgconfig')), false);
  });

  test('dev under another prefix leaves /usr alone, and nothing to move is no error', (context) => {
    const root = workspace(context);
    root.files({ 'melange-out/thing/opt/x/include/a.h': '', 'melange-out/thing/usr/lib/b.a': '' });
    succeeds(root.run('[{uses: split/dev, with: {prefix: //opt/x}}]', { in: 'subpackage' }));
    assert.deepEqual(root.list('melange-out/s'), ['opt/x/include/a.h']);
    succeeds(root.run('[{uses: split/dev, with: {package: absent}}]', { in: 'subpackage' }));
  });

  test('in the main package it would move files onto themselves and fails', (context) => {
    const root = workspace(context);
    for (const name of [
      'dev',
      'manpages',
      'alldocs',
      'bin',
      'lib',
      'static',
      'infodir',
      'locales',
      'debug',
    ]) {
      fails(root.run(`[{uses: split/${name}}]`), /onto themselves/);
    }
  });

  test('manpages gathers all three places and removes what is empty', (context) => {
    const root = workspace(context);
    root.files({
      'melange-out/thing/usr/share/man/man1/a.1': '',
      'melange-out/thing/usr/local/share/man/man3/b.3': '',
      'melange-out/thing/usr/man/c.7': '',
      'melange-out/thing/usr/bin/thing': '',
    });
    succeeds(root.run('[{uses: split/manpages}]', { in: 'subpackage' }));
    assert.deepEqual(root.list('melange-out/s'), [
      'usr/share/man/c.7',
      'usr/share/man/man1/a.1',
      'usr/share/man/man3/b.3',
    ]);
    assert.deepEqual(readdirSync(join(root.folder, 'melange-out/thing/usr')), ['bin']);
    succeeds(root.run('[{uses: split/manpages}]', { in: 'subpackage' }));
  });

  test('alldocs, infodir, locales and static take what their names say', (context) => {
    const root = workspace(context);
    root.files({
      'melange-out/thing/usr/share/info/dir': '',
      'melange-out/thing/usr/share/info/a.info': '',
      'melange-out/thing/usr/share/doc/thing/README': '',
      'melange-out/thing/usr/share/man/man1/a.1': '',
      'melange-out/other/usr/share/info/dir': '',
      'melange-out/other/usr/share/info/b.info': '',
      'melange-out/other/usr/share/locale/de/x.mo': '',
      'melange-out/other/usr/lib/deep/l.a': '',
      'melange-out/other/lib/m.a': '',
      'melange-out/other/opt/n.a': '',
    });
    succeeds(root.run('[{uses: split/alldocs}]', { in: 'subpackage' }));
    assert.deepEqual(root.list('melange-out/s'), [
      'usr/share/doc/thing/README',
      'usr/share/info/a.info',
      'usr/share/man/man1/a.1',
    ]);
    assert.equal(existsSync(join(root.folder, 'melange-out/thing/usr')), false);
    rmSync(join(root.folder, 'melange-out/s'), { recursive: true });
    const other = '{package: other}';
    succeeds(
      root.run(
        `[{uses: split/infodir, with: ${other}}, {uses: split/locales, with: ${other}}, {uses: split/static, with: ${other}}]`,
        {
          in: 'subpackage',
        },
      ),
    );
    assert.deepEqual(root.list('melange-out/s'), [
      'lib/m.a',
      'usr/lib/deep/l.a',
      'usr/share/info/b.info',
      'usr/share/locale/de/x.mo',
    ]);
    assert.deepEqual(root.list('melange-out/other'), ['opt/n.a']);
  });

  test('bin takes the programs, and their absence is an error', (context) => {
    const root = workspace(context);
    root.files({ 'melange-out/thing/usr/bin/a': '', 'melange-out/thing/etc/x': '' });
    succeeds(root.run('[{uses: split/bin}]', { in: 'subpackage' }));
    assert.deepEqual(root.list('melange-out/s'), ['usr/bin/a']);
    assert.equal(existsSync(join(root.folder, 'melange-out/thing/usr/bin')), false);
    fails(root.run('[{uses: split/bin}]', { in: 'subpackage' }), /there is no/);
  });

  test('lib takes versioned libraries, all or by pattern, also from further paths', (context) => {
    const root = workspace(context);
    root.files({
      'melange-out/thing/usr/lib/liba.so.1': '',
      'melange-out/thing/usr/lib/libb.so.2.0': '',
      'melange-out/thing/usr/lib/libb.so': '',
      'melange-out/thing/usr/lib/deep/libc.so.1': '',
      'melange-out/thing/opt/lib/libd.so.1': '',
    });
    succeeds(root.run('[{uses: split/lib, with: {patterns: a, paths: /opt/lib}}]', { in: 'subpackage' }));
    assert.deepEqual(root.list('melange-out/s'), ['usr/lib/liba.so.1']);
    succeeds(root.run('[{uses: split/lib, with: {paths: "opt/lib\\nnowhere"}}]', { in: 'subpackage' }));
    assert.deepEqual(root.list('melange-out/s'), [
      'opt/lib/libd.so.1',
      'usr/lib/liba.so.1',
      'usr/lib/libb.so.2.0',
    ]);
    assert.equal(existsSync(join(root.folder, 'melange-out/thing/opt/lib')), false);
  });
});

const PATCH_ONE = '--- a/hello.txt\n+++ b/hello.txt\n@@ -1 +1 @@\n-hello\n+hello world\n';
const PATCH_TWO = '--- hello.txt\n+++ hello.txt\n@@ -1 +1 @@\n-hello world\n+hello moon\n';

describe('patch', {
  skip: spawnSync('patch', ['--version']).status === 0 ? false : 'no patch on this machine',
}, () => {
  test('applies a list in order', (context) => {
    const root = workspace(context);
    root.files({
      'hello.txt': 'hello\n',
      'one.patch': PATCH_ONE,
      'p/two-2.0.patch': PATCH_TWO.replaceAll(' hello.txt', ' a/hello.txt'),
    });
    succeeds(root.run('[{uses: patch, with: {patches: "one.patch\\n  p/two-2.0.patch\\n"}}]'));
    assert.equal(root.read('hello.txt'), 'hello moon\n');
  });

  test('applies a series with remarks and empty lines, with another strip level and no fuzz', (context) => {
    const root = workspace(context);
    root.files({
      'hello.txt': 'hello world\n',
      'two.patch': PATCH_TWO,
      series: '# first\n\ntwo.patch',
    });
    succeeds(root.run('[{uses: patch, with: {series: series, strip-components: "0", fuzz: "0"}}]'));
    assert.equal(root.read('hello.txt'), 'hello moon\n');
  });

  test('refuses shell in names, numbers that are none, and having nothing to do', (context) => {
    const root = workspace(context);
    root.files({ 'evil-series': '$(touch injected)\n', empty: '# nothing\n', 'one.patch': PATCH_ONE });
    for (const evil of ["'", '`x`', '$(touch injected)', '${x}', ';x', '|x', '&x', '>x', '<x']) {
      fails(root.run(JSON.stringify([{ uses: 'patch', with: { series: evil } }])), /must not contain/);
    }
    fails(root.run('[{uses: patch, with: {series: evil-series}}]'), /must not contain/);
    fails(root.run('[{uses: patch, with: {patches: "a;b"}}]'), /must not contain/);
    fails(root.run('[{uses: patch, with: {series: absent}}]'), /does not exist/);
    fails(root.run('[{uses: patch, with: {series: empty}}]'), /names no patch/);
    fails(root.run('[{uses: patch}]'), /give patches or a series/);
    fails(root.run('[{uses: patch, with: {patches: one.patch, fuzz: many}}]'), /fuzz must be a whole number/);
    fails(
      root.run('[{uses: patch, with: {patches: one.patch, strip-components: "-1"}}]'),
      /strip-components must be/,
    );
    assert.equal(existsSync(join(root.folder, 'injected')), false);
  });

  test('stops at the first patch that does not apply', (context) => {
    const root = workspace(context);
    root.files({ 'hello.txt': 'bye\n', 'one.patch': PATCH_ONE, 'two.patch': PATCH_TWO });
    assert.notEqual(root.run('[{uses: patch, with: {patches: one.patch two.patch}}]').status, 0);
    assert.equal(root.read('hello.txt'), 'bye\n');
  });
});

describe('fetch', () => {
  const archive = (root: Root): string => {
    root.files({ 'top/inner/file.txt': 'content\n' });
    mkdirSync(join(root.folder, 'cache'));
    succeeds(
      spawnSync('tar', ['-C', root.folder, '-czf', join(root.folder, 'cache/made.tar.gz'), 'top'], {
        encoding: 'utf8',
      }),
    );
    rmSync(join(root.folder, 'top'), { recursive: true });
    return join(root.folder, 'cache/made.tar.gz');
  };
  const digest = (path: string, algorithm: string): string =>
    createHash(algorithm).update(readFileSync(path)).digest('hex');

  test('takes the archive from the cache by its checksum, extracts and deletes it', (context) => {
    const root = workspace(context);
    const made = archive(root);
    const sha256 = digest(made, 'sha256');
    spawnSync('mv', [made, join(root.folder, `cache/sha256:${sha256}`)]);
    succeeds(
      root.run(
        `[{uses: fetch, with: {uri: "https://a.example/x/b.tar.gz", expected-sha256: "${sha256}", delete: true}}]`,
      ),
    );
    assert.equal(root.read('inner/file.txt'), 'content\n');
    assert.equal(existsSync(join(root.folder, 'b.tar.gz')), false);
  });

  test('takes an archive that lies in the workspace, and keeps the leading components asked for', (context) => {
    const root = workspace(context);
    const made = archive(root);
    const sha512 = digest(made, 'sha512').toUpperCase();
    spawnSync('mv', [made, join(root.folder, 'b.tar.gz')]);
    root.files({ 'into/.keep': '' });
    succeeds(
      root.run(
        `[{uses: fetch, with: {uri: "https://a.example/b.tar.gz", expected-sha512: "${sha512}", strip-components: 0, directory: into}}]`,
      ),
    );
    assert.equal(root.read('into/top/inner/file.txt'), 'content\n');
    assert.ok(existsSync(join(root.folder, 'b.tar.gz')));
  });

  test('refuses an archive with another checksum, and one without any', (context) => {
    const root = workspace(context);
    root.files({ 'b.tar.gz': 'something else' });
    const wanted = '0'.repeat(64);
    fails(
      root.run(`[{uses: fetch, with: {uri: "https://a.example/b.tar.gz", expected-sha256: "${wanted}"}}]`),
      /expected 0{64}/,
    );
    fails(root.run('[{uses: fetch, with: {uri: "https://a.example/b.tar.gz"}}]'), /give one of/);
    succeeds(
      root.run(
        '[{uses: fetch, with: {uri: "https://a.example/b.tar.gz", expected-none: ok, extract: false}}]',
      ),
    );
  });

  test('asks wget with the given limits when the archive is nowhere', (context) => {
    const root = workspace(context);
    root.files({ 'tools/wget': '#!/bin/sh\nprintf \'%s\\n\' "$@" > asked\nprintf x > b.bin\n' });
    chmodSync(join(root.folder, 'tools/wget'), 0o755);
    const path = `${join(root.folder, 'tools')}${delimiter}${process.env['PATH'] ?? ''}`;
    succeeds(
      root.run(
        '[{uses: fetch, with: {uri: "https://a.example/b.bin", expected-none: ok, extract: false, timeout: 9}}]',
        { path },
      ),
    );
    assert.deepEqual(root.read('asked').trim().split('\n'), [
      '--timeout=9',
      '--dns-timeout=20',
      '--tries=5',
      '--random-wait',
      '--retry-connrefused',
      '--continue',
      '--output-document=b.bin',
      'https://a.example/b.bin',
    ]);
  });
});

describe('autoconf', {
  skip: spawnSync('make', ['--version']).status === 0 ? false : 'no make on this machine',
}, () => {
  test('configures, makes and installs into the output directory without libtool archives', (context) => {
    const root = workspace(context);
    root.files({
      'src/configure': '#!/bin/sh\nprintf \'%s\\n\' "$@" > options\n',
      'src/Makefile':
        'all:\n\techo built $(V) $(X) > built\ninstall:\n\tmkdir -p $(DESTDIR)/usr/lib\n\tcp built $(DESTDIR)/usr/lib/\n\ttouch $(DESTDIR)/usr/lib/x.la\n',
    });
    chmodSync(join(root.folder, 'src/configure'), 0o755);
    succeeds(
      root.run(
        JSON.stringify([
          { uses: 'autoconf/configure', with: { dir: 'src', opts: '--one \\\n  --two="a b"\n' } },
          { uses: 'autoconf/make', with: { dir: 'src', opts: 'X="y z"\n', targets: 'all' } },
          { uses: 'autoconf/make-install', with: { dir: 'src' } },
        ]),
      ),
    );
    assert.deepEqual(root.read('src/options').trim().split('\n'), [
      '--host=x86_64-pc-linux-gnu',
      '--build=x86_64-pc-linux-gnu',
      '--prefix=/usr',
      '--libdir=/usr/lib',
      '--mandir=/usr/share/man',
      '--infodir=/usr/share/info',
      '--sysconfdir=/etc',
      '--localstatedir=/var',
      '--one',
      '--two=a b',
    ]);
    assert.deepEqual(root.list('melange-out/thing'), ['usr/lib/built']);
    assert.equal(root.read('melange-out/thing/usr/lib/built'), 'built 1 y z\n');
  });
});

test('strip visits native programs and libraries only', (context) => {
  const root = workspace(context);
  root.files({
    'tools/scanelf':
      '#!/bin/sh\necho "EM_X86_64 NONE ./a b"\necho "EM_AARCH64 NONE ./foreign"\necho "EM_X86_64 STANDALONE ./bare"\necho "EM_X86_64 NONE ./gone"\n',
    'tools/strip': '#!/bin/sh\nprintf "%s|" "$@" >> ../../stripped\n',
    'melange-out/thing/a b': '',
    'melange-out/thing/foreign': '',
    'melange-out/thing/bare': '',
  });
  for (const tool of ['scanelf', 'strip']) chmodSync(join(root.folder, 'tools', tool), 0o755);
  const path = `${join(root.folder, 'tools')}${delimiter}${process.env['PATH'] ?? ''}`;
  succeeds(root.run('[{uses: strip, with: {opts: -g -p}}]', { path }));
  assert.equal(root.read('stripped'), '-g|-p|./a b|');
});
