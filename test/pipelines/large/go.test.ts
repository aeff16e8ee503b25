/** go/build and go/install with Debian's Go. What needs a newer one is tested with stand-ins, see recorded-tools.test.ts. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type BuildResult, skipReason, type Toolchain } from '../toolchain.ts';
import { type GoProxy, startGoProxy } from './go-proxy.ts';
import { below, HEAD, HELLO, startGo, text } from './go-toolchain.ts';

/** A program that needs a module of the proxy. */
const GREETER = {
  'go.mod': 'module a.example/greeter\n\ngo 1.19\n',
  'main.go':
    'package main\n\nimport (\n\t"os"\n\n\t"b.example/words"\n)\n\nfunc main() { os.Stdout.WriteString(words.Greeting + "\\n") }\n',
};
const words = (greeting: string): Record<string, string> => ({
  'go.mod': 'module b.example/words\n\ngo 1.19\n',
  'words.go': `package words\n\nconst Greeting = "${greeting}"\n`,
  'cmd/say/main.go':
    'package main\n\nimport (\n\t"os"\n\n\t"b.example/words"\n)\n\nvar name = "nobody"\n\nfunc main() { os.Stdout.WriteString(words.Greeting + ", " + name + "\\n") }\n',
});

describe('Go builds', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  let proxy: GoProxy;
  /** The environment of a step that may ask the proxy, as one line of YAML. */
  let online: string;
  before(async () => {
    toolchain = await startGo();
    proxy = await startGoProxy({ 'b.example/words': { 'v1.0.0': words('one'), 'v1.1.0': words('two') } });
    online = `{GOPROXY: "${proxy.url}", GOSUMDB: "off"}`;
  });
  after(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await toolchain?.[Symbol.asyncDispose]();
  });

  test('a module without dependencies is built for the least processor, with what it was asked to contain', async () => {
    const { files, log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: go/build
    with:
      packages: .
      output: hello
      tags: spicy
      ldflags: |
        -X main.greeting=good-$(echo evening)
  - runs: |
      melange-out/hello/usr/bin/hello
      go version -m melange-out/hello/usr/bin/hello
      test ! -e .config/git/ignore
`,
      { source: HELLO },
    );
    assert.deepEqual([...files.keys()], ['hello/usr/bin/hello']);
    assert.equal(files.get('hello/usr/bin/hello')?.mode, 0o755);
    assert.match(log, /^good-evening spicy$/m);
    assert.match(log, /build\t-tags=netgo,osusergo,spicy$/m);
    assert.match(log, /build\tGO(AMD64=v2|ARCH=arm64)$/m);
    assert.match(log, /build\t-trimpath=true$/m);
    assert.equal(elfType(files, 'hello/usr/bin/hello'), ET_EXEC);
    assert.doesNotMatch(text(files, 'hello/usr/bin/hello'), /\.z?debug_info/);
  });

  test('directories, processor, experiments, linker options and further arguments can be chosen', async () => {
    const { files, log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: go/build
    with:
      modroot: the module
      packages: |
        ./...
      output: a b
      prefix: opt/hello
      install-dir: libexec
      toolchaintags: netgo
      amd64: v1
      experiments: fieldtrack
      strip: -v=0
      buildmode: pie
      extra-args: |
        -gcflags 'all=-N -l' \\
          -asmflags all=-dynlink=false
  - runs: go version -m "melange-out/hello/opt/hello/libexec/a b"
`,
      { source: below('the module', HELLO) },
    );
    assert.deepEqual([...files.keys()], ['hello/opt/hello/libexec/a b']);
    assert.match(log, /go1\.\d+[.\d]* X:fieldtrack$/m);
    assert.match(log, /build\t-tags=netgo$/m);
    assert.match(log, /build\tGO(AMD64=v1|ARCH=arm64)$/m);
    assert.match(log, /build\tGOEXPERIMENT=fieldtrack$/m);
    assert.match(log, /build\t-gcflags="?all=-N -l"?$/m);
    assert.equal(elfType(files, 'hello/opt/hello/libexec/a b'), ET_DYN);
    assert.match(text(files, 'hello/opt/hello/libexec/a b'), /\.z?debug_info/);
  });

  test('a directory without go.mod is refused', async () => {
    const { log } = await toolchain.fail(
      `${HEAD}
pipeline:
  - uses: go/build
    with: {packages: ., output: hello}
`,
      { source: below('src', HELLO) },
    );
    assert.match(log, /^go\/build: there is no go\.mod in \/home\/build; set modroot/m);
  });

  test('go.mod is tidied when that is asked for, and only then', async () => {
    const build = (tidy: string): string => `${HEAD}
pipeline:
  - uses: go/build
    environment: ${online}
    with: {packages: ., output: greeter, tidy: ${tidy}}
  - runs: |
      melange-out/hello/usr/bin/greeter
      cat go.mod
`;
    const { log } = await toolchain.build(build('true'), { source: GREETER });
    assert.match(log, /^two$/m);
    assert.match(log, /^require b\.example\/words v1\.1\.0$/m);
    const failed = await toolchain.fail(build('yes'), { source: GREETER });
    assert.match(failed.log, /no required module provides package b\.example\/words/);
  });

  test('modules are got in the given versions, kept in the cache directory, and vendored when asked', async () => {
    const { log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: go/build
    environment: ${online}
    with:
      packages: .
      output: greeter
      vendor: true
      deps: |
        b.example/words@v1.0.0
  - runs: |
      melange-out/hello/usr/bin/greeter
      cat go.mod vendor/b.example/words/words.go
      ls /var/cache/melange/gomodcache/b.example
`,
      { source: GREETER },
    );
    assert.match(log, /^one$/m);
    assert.match(log, /^require b\.example\/words v1\.0\.0$/m);
    assert.match(log, /^const Greeting = "one"$/m);
    assert.match(log, /^words@v1\.0\.0$/m);
  });

  test('go.mod.local and go.sum.local of the workspace take the place of the module’s own', async () => {
    const { log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: go/build
    with: {packages: ., output: greeter, modroot: src}
  - runs: |
      melange-out/hello/usr/bin/greeter
      cat src/go.sum
`,
      {
        source: {
          ...below('src', GREETER),
          ...below('words', words('three')),
          'src/go.sum': 'not a sum\n',
          'go.sum.local': '',
          'go.mod.local': `${GREETER['go.mod']}\nrequire b.example/words v1.0.0\n\nreplace b.example/words => ../words\n`,
        },
      },
    );
    assert.match(log, /^three$/m);
    assert.doesNotMatch(log, /not a sum/);
  });

  test('a program is installed from its import path, in a version or as the working directory has it', async () => {
    const { files, log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: go/install
    environment: ${online}
    with: {package: b.example/words/cmd/say, version: v1.0.0, ldflags: -X main.name=Ada}
  - uses: go/install
    environment: ${online}
    with:
      package: a.example/hello
      prefix: opt
      install-dir: libexec
      tags: spicy
      amd64: v3
  - runs: |
      melange-out/hello/usr/bin/say
      melange-out/hello/opt/libexec/hello
      go version -m melange-out/hello/opt/libexec/hello
`,
      { source: HELLO },
    );
    assert.deepEqual([...files.keys()].sort(), ['hello/opt/libexec/hello', 'hello/usr/bin/say']);
    assert.match(log, /^one, Ada$/m);
    assert.match(log, /^hello spicy$/m);
    assert.match(log, /build\t-tags=netgo,osusergo,spicy$/m);
    assert.match(log, /build\tGO(AMD64=v3|ARCH=arm64)$/m);
    assert.match(log, /build\t-trimpath=true$/m);
    const failed = await toolchain.fail(
      `${HEAD}
pipeline:
  - uses: go/install
    environment: ${online}
    with: {package: b.example/words/cmd/say, version: v9.0.0}
`,
    );
    assert.match(failed.log, /b\.example\/words/);
  });
});

/** Kinds of ELF files (elf(5)): bound to its addresses, or not. */
const ET_EXEC = 2;
const ET_DYN = 3;

function elfType(files: BuildResult['files'], path: string): number | undefined {
  return files.get(path)?.content.readUInt16LE(16);
}
