/** What the Go pipelines ask `go` and others; that they build programs is tested in test/pipelines/large/go.test.ts. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { compiled, withPackage } from '../language.ts';
import { fails, type LocalRun, localRun, OUT, succeeds } from './local-run.ts';

/** Writes down where it runs and what its environment says, and what git ignores meanwhile. */
const GO = `record "\${PWD#"$HOME"}" "AMD64=$GOAMD64" "ARM64=$GOARM64" "EXPERIMENT=\${GOEXPERIMENT-unset}" \\
  "CACHE=\${GOMODCACHE-unset}" "ignored=$(cat "$HOME/.config/git/ignore" 2>/dev/null || true)" "$@"
[ "$1" != install ] || touch "$GOBIN/one" "$GOBIN/two"`;

const DEFAULTS = 'AMD64=v2 ARM64=v8.0 EXPERIMENT= CACHE=/var/cache/melange/gomodcache ignored=\\*';

function withGo(context: TestContext): LocalRun {
  const root = localRun(context);
  root.tool('go', GO);
  root.files({ 'go.mod': 'module a.example/thing\n' });
  return root;
}

describe('go/build', () => {
  test('builds with its defaults and leaves no list of ignored files', (context) => {
    const root = withGo(context);
    succeeds(root.run([{ uses: 'go/build', with: { packages: './cmd/a ./cmd/b\n', output: 'thing' } }]));
    assert.deepEqual(root.asked(), [
      `go: '' ${DEFAULTS} build -o /home/build/${OUT}/usr/bin/thing -tags netgo\\,osusergo\\, -ldflags -w\\  -trimpath -buildmode default ./cmd/a ./cmd/b`,
    ]);
    assert.deepEqual(root.list('.config'), []);
  });

  test('passes on all it is told, options of several lines included', (context) => {
    const root = withGo(context);
    root.files({ 'a b/go.mod': '' });
    succeeds(
      root.run([
        {
          uses: 'go/build',
          with: {
            packages: '.',
            output: 'it',
            modroot: 'a b',
            prefix: 'opt',
            'install-dir': 'libexec',
            ldflags: '-X main.a=$(echo b)',
            strip: '-s',
            tags: 'x,y',
            toolchaintags: 'netgo',
            experiments: 'loopvar',
            'extra-args': '-v -gcflags "all=-N -l"\n',
            amd64: 'v3',
            arm64: 'v9.0',
            buildmode: 'pie',
            'ignore-untracked-files': 'false',
          },
        },
      ]),
    );
    assert.deepEqual(root.asked(), [
      `go: /a\\ b AMD64=v3 ARM64=v9.0 EXPERIMENT=loopvar CACHE=/var/cache/melange/gomodcache ignored= build -o /home/build/${OUT}/opt/libexec/it -tags netgo\\,x\\,y -ldflags -s\\ -X\\ main.a=b -trimpath -buildmode pie -v -gcflags all=-N\\ -l .`,
    ]);
  });

  test('tidies first, then gets modules, tidies again and vendors', (context) => {
    const root = withGo(context);
    const more = { tidy: true, vendor: true, deps: 'b.example/b@v1\nc.example/c@v2\n' };
    succeeds(root.run([{ uses: 'go/build', with: { packages: '.', output: 'it', ...more } }]));
    const asked = root.asked().map((line) => line.replace(/^go: .* CACHE=(\S+) ignored=\S+/, '$1'));
    assert.deepEqual(asked.slice(0, -1), [
      '/var/cache/melange/gomodcache mod tidy',
      '/var/cache/melange/gomodcache get b.example/b@v1',
      '/var/cache/melange/gomodcache get c.example/c@v2',
      '/var/cache/melange/gomodcache mod tidy',
      '/var/cache/melange/gomodcache mod vendor',
    ]);
    const less = { tidy: 'yes', vendor: 'yes' };
    succeeds(root.run([{ uses: 'go/build', with: { packages: '.', output: 'it', ...less } }]));
    assert.equal(root.asked().length, 1);
  });

  test('takes go.mod.local and go.sum.local, and wants a go.mod', (context) => {
    const root = withGo(context);
    root.files({ 'go.mod.local': 'other', 'go.sum.local': 'sum', 'empty/x': '' });
    succeeds(root.run([{ uses: 'go/build', with: { packages: '.', output: 'it' } }]));
    assert.equal(root.read('go.mod'), 'other');
    assert.equal(root.read('go.sum'), 'sum');
    fails(
      root.run([{ uses: 'go/build', with: { packages: '.', output: 'it', modroot: 'empty' } }]),
      /^go\/build: there is no go\.mod in \S+\/empty; set modroot/m,
    );
    assert.equal(root.asked().length, 1);
  });
});

describe('go/build/v2', () => {
  test('lets go name the files, strips them and puts the list of ignored files back', (context) => {
    const root = withGo(context);
    root.files({ '.config/git/ignore': 'mine' });
    root.tool('scanelf', 'record "$@"');
    succeeds(root.run([{ uses: 'go/build/v2', with: { vendor: true } }]));
    assert.deepEqual(root.asked(), [
      `go: '' ${DEFAULTS} build -o /home/build/${OUT}/usr/bin/ -tags netgo\\,osusergo\\, -ldflags -w\\  -trimpath -buildmode default .`,
      'scanelf: --recursive --nobanner --symlink --etype ET_EXEC\\,ET_DYN --format %a\\ %I\\ %F .',
    ]);
    assert.deepEqual(root.list('.config'), ['git/ignore']);
    assert.equal(root.read('.config/git/ignore'), 'mine');
  });

  test('wants a go.mod', (context) => {
    const root = withGo(context);
    root.files({ 'empty/x': '' });
    fails(
      root.run([{ uses: 'go/build/v2', with: { modroot: 'empty' } }]),
      /^go\/build\/v2: there is no go\.mod/m,
    );
  });
});

describe('go/install', () => {
  test('installs a version and moves what came of it', (context) => {
    const root = withGo(context);
    const to = { prefix: 'opt', 'install-dir': 'libexec', ldflags: '-X a=b', tags: 't' };
    succeeds(root.run([{ uses: 'go/install', with: { package: 'a.example/b', version: 'v1.2.3', ...to } }]));
    succeeds(root.run([{ uses: 'go/install', with: { package: 'a.example/b' } }]));
    const environment = "'' AMD64=v2 ARM64=v8.0 EXPERIMENT= CACHE=/var/cache/melange/gomodcache ignored=";
    assert.deepEqual(root.asked(), [
      `go: ${environment} install -tags netgo\\,osusergo\\,t -ldflags -w\\ -X\\ a=b -trimpath a.example/b@v1.2.3`,
      `go: ${environment} install -tags netgo\\,osusergo\\, -ldflags -w\\  -trimpath a.example/b`,
    ]);
    assert.deepEqual(root.list(OUT), ['opt/libexec/one', 'opt/libexec/two', 'usr/bin/one', 'usr/bin/two']);
  });
});

test('the Go pipelines need the toolchain they are told, and a C compiler where go may call one', () => {
  const needs = (name: string, given: object): readonly string[] =>
    compiled(withPackage(`pipeline: ${JSON.stringify([{ uses: name, with: given }])}\n`)).environment
      .packages;
  assert.deepEqual(needs('go/build', { packages: '.', output: 'x', 'go-package': 'go-1.99' }), [
    ...['build-base', 'busybox', 'ca-certificates-bundle', 'go-1.99'],
  ]);
  assert.deepEqual(needs('go/build/v2', {}), ['binutils', 'busybox', 'ca-certificates-bundle', 'scanelf']);
  assert.deepEqual(needs('go/install', { package: 'x' }), [
    ...['build-base', 'busybox', 'ca-certificates-bundle', 'git', 'go'],
  ]);
  assert.deepEqual(needs('go/bump', { deps: 'x' }), ['git', 'gobump']);
  assert.deepEqual(needs('go/covdata', { package: 'go-1.99' }), ['busybox', 'go-1.99', 'jq']);
});
