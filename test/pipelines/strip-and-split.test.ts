/** The pipelines that work on what was installed, with the tools of a real environment. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { bytesOf, C_TOOLCHAIN, links } from './c-toolchain.ts';
import { skipReason, startToolchain, type Toolchain } from './toolchain.ts';

const GREET_C = `int greet(int age) {
  return age + 1;
}
`;
const SOURCE = { 'greet.c': GREET_C, 'main.c': 'int main(void) { return 0; }\n' };

/** A build file whose environment has a compiler and these packages. */
const withCompiler = (rest: string): string =>
  `package: {name: greet, version: 1.0.0, epoch: 0}
environment: {contents: {packages: [gcc, libc6-dev, binutils, busybox]}}
${rest}`;

/** A build file whose environment has only what its pipelines need. */
const bare = (rest: string): string => `package: {name: greet, version: 1.0.0, epoch: 0}\n${rest}`;

describe('strip and split', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    toolchain = await startToolchain(C_TOOLCHAIN);
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  test('strip takes debug information from native programs and libraries, and leaves all else alone', async () => {
    const { files, log } = await toolchain.build(
      withCompiler(`
pipeline:
  - working-directory: \${{targets.destdir}}
    runs: |
      mkdir deep
      gcc -g -c -fPIC -o greet.o /home/build/greet.c
      gcc -g -shared -o "deep/lib greet.so" greet.o
      gcc -g -no-pie -o deep/program /home/build/main.c
      chmod 0555 deep/program
      ln deep/program same
      ln -s deep/program link
      ar r libgreet.a greet.o
      # Byte 18 of an ELF file is the machine, byte 7 the system.
      cp deep/program foreign
      printf '\\002' | dd of=foreign bs=1 seek=18 conv=notrunc
      cp deep/program standalone
      printf '\\377' | dd of=standalone bs=1 seek=7 conv=notrunc
  - uses: strip
  - runs: stat -c 'names %h' "\${{targets.destdir}}/same" "\${{targets.destdir}}/deep/program"
`),
      { source: SOURCE },
    );
    assert.deepEqual(log.match(/^names \d+$/gm), ['names 2', 'names 2']);
    const has = (path: string, section: string): boolean => bytesOf(files, path).includes(section);
    for (const path of ['greet/deep/lib greet.so', 'greet/deep/program']) {
      assert.ok(!has(path, '.debug_info'), path);
      assert.ok(has(path, '.symtab'), path);
    }
    assert.equal(files.get('greet/deep/program')?.mode, 0o555);
    for (const path of ['greet/greet.o', 'greet/libgreet.a', 'greet/foreign', 'greet/standalone']) {
      assert.ok(has(path, '.debug_info'), path);
    }
    assert.deepEqual(links(files), { 'greet/link': 'deep/program' });
  });

  test('strip is given other options, and works on the package it is used in', async () => {
    const { files } = await toolchain.build(
      withCompiler(`
pipeline:
  - runs: gcc -g -o "\${{targets.destdir}}/main" main.c
subpackages:
  - name: greet-sub
    pipeline:
      - runs: gcc -g -o "\${{targets.subpkgdir}}/sub" main.c
      - uses: strip
        with: {opts: --strip-all -R .comment}
`),
      { source: SOURCE },
    );
    assert.ok(bytesOf(files, 'greet/main').includes('.debug_info'));
    assert.ok(!bytesOf(files, 'greet-sub/sub').includes('.symtab'));
    assert.ok(!bytesOf(files, 'greet-sub/sub').includes('.comment'));
  });

  test('strip fails when a file cannot be stripped', async () => {
    const { log } = await toolchain.fail(
      withCompiler(`
pipeline:
  - runs: |
      gcc -o program main.c
      head -c 2000 program > "\${{targets.destdir}}/cut"
  - uses: strip
`),
      { source: SOURCE },
    );
    assert.match(log, /strip: .*cut/);
  });

  test('debug moves debug information to files that a debugger finds, and keeps links and modes', async () => {
    const { files, log } = await toolchain.build(
      withCompiler(`
pipeline:
  - working-directory: \${{targets.destdir}}
    runs: |
      mkdir -p usr/lib usr/bin
      gcc -g -shared -fPIC -Wl,-soname,libgreet.so.2 -o usr/lib/libgreet.so.2.1.0 /home/build/greet.c
      chmod 0555 usr/lib/libgreet.so.2.1.0
      ln usr/lib/libgreet.so.2.1.0 usr/lib/same.so
      ln -s libgreet.so.2.1.0 usr/lib/libgreet.so.2
      gcc -g -no-pie -o usr/bin/fixed /home/build/main.c
subpackages:
  - name: greet-dbg
    pipeline:
      - uses: split/debug
      - working-directory: \${{targets.destdir}}/usr/lib
        runs: |
          stat -c 'inode %i, %h names' libgreet.so.2.1.0 same.so
          readelf --debug-dump=links same.so
          mkdir /tmp/look
          cp libgreet.so.2.1.0 \${{targets.subpkgdir}}/usr/lib/debug/usr/lib/*.debug /tmp/look
          address="$(nm -D libgreet.so.2.1.0 | awk '$3 == "greet" { print $1 }')"
          addr2line -f -e /tmp/look/libgreet.so.2.1.0 "$address"
`),
      { source: SOURCE },
    );
    const library = bytesOf(files, 'greet/usr/lib/libgreet.so.2.1.0');
    assert.match(library, /\.gnu_debuglink/);
    assert.doesNotMatch(library, /\.debug_info|\.comment|\.symtab/);
    assert.equal(files.get('greet/usr/lib/libgreet.so.2.1.0')?.mode, 0o555);
    const [name, otherName] = log.match(/^inode \d+, 2 names$/gm) ?? [];
    assert.ok(name !== undefined && name === otherName, log);
    assert.equal(links(files)['greet/usr/lib/libgreet.so.2'], 'libgreet.so.2.1.0');
    assert.deepEqual(
      [...files.keys()].filter((path) => path.startsWith('greet-dbg/')),
      ['greet-dbg/usr/lib/debug/usr/lib/libgreet.so.2.1.0.debug'],
    );
    assert.match(log, /Separate debug info file: libgreet\.so\.2\.1\.0\.debug/);
    assert.match(log, /^greet\n.*greet\.c:1$/m);
    // Programs at a fixed address keep theirs.
    assert.match(bytesOf(files, 'greet/usr/bin/fixed'), /\.debug_info/);
  });

  test('with busybox alone, each pipeline takes its files, from the main package or another', async () => {
    const { files } = await toolchain.build(
      bare(`
pipeline:
  - needs: {packages: [busybox]}
    working-directory: \${{targets.destdir}}
    runs: |
      mkdir -p usr/bin usr/lib/cmake/greet usr/include/deep usr/share/aclocal usr/share/gir-1.0 usr/share/qt6/mkspecs
      mkdir -p lib opt/lib opt/more/lib usr/share/doc/greet usr/local/share/doc usr/local/share/man/man3 usr/man
      mkdir -p usr/share/info usr/share/locale/de src/include
      touch usr/bin/greet usr/bin/greet-config usr/bin/greet_config usr/lib/cmake/greet/greet.cmake
      touch usr/include/deep/greet.h usr/share/aclocal/greet.m4 usr/share/gir-1.0/Greet.gir usr/share/qt6/mkspecs/m
      touch usr/lib/libgreet.so.2.1 usr/lib/libother.so.1 usr/lib/libgreet.a usr/lib/greet.prl usr/lib/real.so
      touch lib/libroot.a lib/libroot.so.1 opt/lib/libopt.so.1 opt/lib/libopt.a opt/more/lib/libgreet.so.9
      touch usr/share/doc/greet/README usr/local/share/doc/NEWS usr/local/share/man/man3/greet.3 usr/man/greet.7
      touch usr/share/info/dir usr/share/info/greet.info usr/share/locale/de/greet.mo src/include/x.h src/main.c
      ln -s libgreet.so.2.1 usr/lib/libgreet.so
      ln -s libroot.so.1 lib/libroot.so
subpackages:
  - name: greet-static
    pipeline: [{uses: split/static}]
  - name: greet-dev
    pipeline: [{uses: split/dev}]
  - name: greet-libgreet
    pipeline:
      - uses: split/lib
        with:
          patterns: |
            greet
          paths: |
            opt/more/lib
            /nowhere
  - name: greet-libs
    pipeline: [{uses: split/lib, with: {paths: opt/lib}}]
  - name: greet-doc
    pipeline: [{uses: split/alldocs}]
  - name: greet-lang
    pipeline: [{uses: split/locales}]
  - name: tools
    pipeline: [{runs: 'mkdir -p "\${{targets.subpkgdir}}/usr/bin" && touch "\${{targets.subpkgdir}}/usr/bin/tool"'}]
  - name: tools-bin
    pipeline: [{uses: split/bin}]
  - name: tools-again
    pipeline: [{uses: split/bin, with: {package: tools-bin}}]
  - name: greet-absent
    pipeline:
      - {uses: split/dev, with: {package: nowhere}}
      - {uses: split/static, with: {package: nowhere}}
      - {uses: split/lib, with: {package: nowhere}}
      - {uses: split/alldocs, with: {package: nowhere}}
      - {uses: split/locales, with: {package: nowhere}}
      - {uses: split/manpages, with: {package: nowhere}}
      - {uses: split/infodir, with: {package: nowhere}}
`),
    );
    assert.deepEqual([...files.keys()].sort(), [
      'greet-dev/lib/libroot.so',
      'greet-dev/src/include/x.h',
      'greet-dev/usr/bin/greet-config',
      'greet-dev/usr/bin/greet_config',
      'greet-dev/usr/include/deep/greet.h',
      'greet-dev/usr/lib/cmake/greet/greet.cmake',
      'greet-dev/usr/lib/greet.prl',
      'greet-dev/usr/lib/libgreet.so',
      'greet-dev/usr/share/aclocal/greet.m4',
      'greet-dev/usr/share/gir-1.0/Greet.gir',
      'greet-dev/usr/share/qt6/mkspecs/m',
      'greet-doc/usr/share/doc/NEWS',
      'greet-doc/usr/share/doc/greet/README',
      'greet-doc/usr/share/info/greet.info',
      'greet-doc/usr/share/man/greet.7',
      'greet-doc/usr/share/man/man3/greet.3',
      'greet-lang/usr/share/locale/de/greet.mo',
      'greet-libgreet/opt/more/lib/libgreet.so.9',
      'greet-libgreet/usr/lib/libgreet.so.2.1',
      'greet-libs/lib/libroot.so.1',
      'greet-libs/opt/lib/libopt.so.1',
      'greet-libs/usr/lib/libother.so.1',
      'greet-static/lib/libroot.a',
      'greet-static/usr/lib/libgreet.a',
      'greet/opt/lib/libopt.a',
      'greet/src/main.c',
      'greet/usr/bin/greet',
      'greet/usr/lib/real.so',
      'tools-again/usr/bin/tool',
    ]);
  });

  test('dev looks below another prefix', async () => {
    const { files } = await toolchain.build(
      bare(`
pipeline:
  - working-directory: \${{targets.destdir}}
    runs: mkdir -p opt/x/usr/lib opt/x/lib usr/lib && touch opt/x/usr/lib/a.h usr/lib/b.h && ln -s t opt/x/lib/c.so
subpackages:
  - name: greet-dev
    pipeline: [{uses: split/dev, with: {prefix: /opt/x/usr}}]
`),
    );
    assert.deepEqual([...files.keys()].sort(), [
      'greet-dev/opt/x/lib/c.so',
      'greet-dev/opt/x/usr/lib/a.h',
      'greet/usr/lib/b.h',
    ]);
  });

  for (const name of ['alldocs', 'bin', 'debug', 'dev', 'infodir', 'lib', 'locales', 'manpages', 'static']) {
    test(`split/${name} fails in the main package`, async () => {
      const { log } = await toolchain.fail(bare(`pipeline: [{uses: split/${name}}]\n`));
      assert.match(log, new RegExp(`split/${name}: .*; use it in a subpackage`));
    });
  }

  for (const [name, folder] of [
    ['manpages', 'usr/share/man'],
    ['alldocs', 'usr/share/doc'],
    ['bin', 'usr/bin'],
  ]) {
    test(`split/${name} fails where ${folder} is empty`, async () => {
      const { log } = await toolchain.fail(
        bare(`
pipeline: [{runs: 'mkdir -p "\${{targets.destdir}}/${folder}"'}]
subpackages: [{name: greet-part, pipeline: [{uses: split/${name}}]}]
`),
      );
      assert.match(log, new RegExp(`mv: .*greet/${folder}/\\*`));
    });
  }

  test('split/bin fails where there are no programs', async () => {
    const { log } = await toolchain.fail(
      bare('subpackages: [{name: greet-part, pipeline: [{uses: split/bin}]}]\n'),
    );
    assert.match(log, /split\/bin: there is no .*greet\/usr\/bin/);
  });
});
