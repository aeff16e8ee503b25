/** The pipelines of three build systems, each on a small library with a program, and the splitting of what they install. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { bytesOf, C_TOOLCHAIN, links } from './c-toolchain.ts';
import { skipReason, startToolchain, type Toolchain } from './toolchain.ts';

const GREET_C = `#include <stdio.h>
#include "greet.h"
#ifndef GREETING
#define GREETING "hello"
#endif
void greet(const char *name) { printf("%s %s\\n", GREETING, name); }
`;
const GREET_H = 'void greet(const char *name);\n';
const MAIN_C = `#include "greet.h"
int main(int count, char **words) { greet(count > 1 ? words[1] : "world"); return 0; }
`;
const SOURCES = { 'greet.c': GREET_C, 'greet.h': GREET_H, 'main.c': MAIN_C };
const MANUAL = '.TH GREET 1\n.SH NAME\ngreet \\- greets\n';

const AUTOTOOLS = {
  ...SOURCES,
  'configure.ac': `AC_INIT([greet], [1.0])
AC_CONFIG_SRCDIR([greet.c])
AM_INIT_AUTOMAKE([foreign])
AM_PROG_AR
LT_INIT
AC_PROG_CC
AC_CONFIG_FILES([Makefile greet.pc])
AC_OUTPUT
`,
  'Makefile.am': `lib_LTLIBRARIES = libgreet.la
libgreet_la_SOURCES = greet.c
libgreet_la_LDFLAGS = -version-info 3:0:1
include_HEADERS = greet.h
bin_PROGRAMS = greet
greet_SOURCES = main.c
greet_LDADD = libgreet.la
bin_SCRIPTS = greet-config
dist_man_MANS = greet.1
dist_doc_DATA = README
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = greet.pc
pagesdir = $(infodir)
pages_DATA = greet.info dir
germandir = $(localedir)/de/LC_MESSAGES
german_DATA = greet.mo
`,
  'greet.pc.in': 'libdir=@libdir@\nName: greet\nDescription: greets\nVersion: @VERSION@\nLibs: -lgreet\n',
  'greet-config': '#!/bin/sh\necho -lgreet\n',
  'greet.1': MANUAL,
  README: 'It greets.\n',
  'greet.info': 'This is greet.info.\n',
  dir: 'index of all pages\n',
  'greet.mo': 'a translation',
};

const CMAKE = {
  ...SOURCES,
  'CMakeLists.txt': `cmake_minimum_required(VERSION 3.16)
project(greet C)
include(GNUInstallDirs)
add_library(greet SHARED greet.c)
set_target_properties(greet PROPERTIES VERSION 2.1.0 SOVERSION 2)
if(GREETING)
  target_compile_definitions(greet PRIVATE "GREETING=\\"\${GREETING}\\"")
endif()
add_executable(program main.c)
set_target_properties(program PROPERTIES OUTPUT_NAME greet)
target_link_libraries(program greet)
install(TARGETS greet program EXPORT greet)
install(FILES greet.h DESTINATION \${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT greet DESTINATION \${CMAKE_INSTALL_LIBDIR}/cmake/greet)
`,
};

const MESON = {
  ...SOURCES,
  'greet.1': MANUAL,
  'meson_options.txt': "option('greeting', type: 'string', value: 'hello')\n",
  'meson.build': `project('greet', 'c', version: '1.0')
greeting = '-DGREETING="' + get_option('greeting') + '"'
library = shared_library('greet', 'greet.c', version: '2.1.0', c_args: greeting, install: true)
executable('greet', 'main.c', link_with: library, install: true)
install_headers('greet.h')
install_man('greet.1')
import('pkgconfig').generate(library, description: 'greets')
`,
};

describe('C builds', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    toolchain = await startToolchain(C_TOOLCHAIN);
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  test('autotools: a project is configured, made and installed, and split into packages', async () => {
    const { files, log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: autoconf/configure
  - uses: autoconf/make
  - uses: autoconf/make-install
${RUN_IT}
  - uses: strip
subpackages:
${split('static', 'dev', 'manpages', 'infodir', 'alldocs', 'locales', 'lib', 'bin')}`,
      { source: AUTOTOOLS },
    );
    assert.match(log, /autoreconf: running: \S*libtoolize/);
    assert.match(log, /hello Ada/);
    assert.deepEqual([...files.keys()].sort(), [
      'greet-alldocs/usr/share/doc/greet/README',
      'greet-bin/usr/bin/greet',
      'greet-dev/usr/bin/greet-config',
      'greet-dev/usr/include/greet.h',
      'greet-dev/usr/lib/libgreet.so',
      'greet-dev/usr/lib/pkgconfig/greet.pc',
      'greet-infodir/usr/share/info/greet.info',
      'greet-lib/usr/lib/libgreet.so.2',
      'greet-lib/usr/lib/libgreet.so.2.1.0',
      'greet-locales/usr/share/locale/de/LC_MESSAGES/greet.mo',
      'greet-manpages/usr/share/man/man1/greet.1',
      'greet-static/usr/lib/libgreet.a',
    ]);
    assert.deepEqual(links(files), {
      'greet-dev/usr/lib/libgreet.so': 'libgreet.so.2.1.0',
      'greet-lib/usr/lib/libgreet.so.2': 'libgreet.so.2.1.0',
    });
    assert.equal(files.get('greet-bin/usr/bin/greet')?.mode, 0o755);
    assert.match(bytesOf(files, 'greet-dev/usr/lib/pkgconfig/greet.pc'), /^libdir=\/usr\/lib$/m);
    // Its soname, then the debug information that strip took from programs and libraries but not from archives.
    assert.match(bytesOf(files, 'greet-lib/usr/lib/libgreet.so.2.1.0'), /\0libgreet\.so\.2\0/);
    assert.doesNotMatch(bytesOf(files, 'greet-lib/usr/lib/libgreet.so.2.1.0'), /\.debug_info/);
    assert.doesNotMatch(bytesOf(files, 'greet-bin/usr/bin/greet'), /\.debug_info/);
    assert.match(bytesOf(files, 'greet-static/usr/lib/libgreet.a'), /\.debug_info/);
  });

  test('autotools: directory, options, targets and triplets can be chosen', async () => {
    const { files, log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: autoconf/configure
    with:
      dir: the source
      host: \${{build.arch}}-other-linux-gnu
      opts: |
        --disable-static \\
          --libdir=/opt/lib
  - uses: autoconf/make
    with: {dir: the source, targets: libgreet.la, opts: CFLAGS="-O1 -DGREETING='\\"hi\\"'"}
  - runs: test -e "the source/libgreet.la" && test ! -e "the source/greet"
  - uses: autoconf/make-install
    with: {dir: the source, targets: install-libLTLIBRARIES install-dist_docDATA, opts: docdir=/opt/doc}
`,
      { source: below('the source', AUTOTOOLS) },
    );
    assert.match(log, /checking build system type\.\.\. \w+-pc-linux-gnu\n/);
    assert.match(log, /checking host system type\.\.\. \w+-other-linux-gnu\n/);
    assert.match(log, /-O1 "?-DGREETING=/);
    assert.deepEqual([...files.keys()].sort(), [
      'greet/opt/doc/README',
      'greet/opt/lib/libgreet.so',
      'greet/opt/lib/libgreet.so.2',
      'greet/opt/lib/libgreet.so.2.1.0',
    ]);
  });

  test('cmake: a release is built with ninja and installed below /usr/lib', async () => {
    const { files, log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: cmake/configure
    with:
      output-dir: my output
      opts: |
        -DGREETING=hi -Wno-dev
  - uses: cmake/build
    with: {output-dir: my output, opts: --target libgreet.so}
  - runs: test -e "my output/build.ninja" && test ! -e "my output/greet"
  - uses: cmake/build
    with: {output-dir: my output}
  - uses: cmake/install
    with: {output-dir: my output}
${RUN_IT}
subpackages:
${split('dev')}`,
      { source: CMAKE },
    );
    assert.match(log, /\/cc .*-O3 -DNDEBUG/);
    assert.match(log, /hi Ada/);
    assert.deepEqual([...files.keys()].sort(), [
      'greet-dev/usr/include/greet.h',
      'greet-dev/usr/lib/cmake/greet/greet-release.cmake',
      'greet-dev/usr/lib/cmake/greet/greet.cmake',
      'greet-dev/usr/lib/libgreet.so',
      'greet/usr/bin/greet',
      'greet/usr/lib/libgreet.so.2',
      'greet/usr/lib/libgreet.so.2.1.0',
    ]);
    assert.equal(links(files)['greet/usr/lib/libgreet.so.2'], 'libgreet.so.2.1.0');
  });

  test('cmake: options replace the defaults, the source directory too', async () => {
    const { files, log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: cmake/configure
    with: {opts: -S deep/source -DCMAKE_BUILD_TYPE=Debug -DCMAKE_INSTALL_LIBDIR=lib64}
  - uses: cmake/build
  - runs: test -e output/build.ninja
  - uses: cmake/install
`,
      { source: below('deep/source', CMAKE) },
    );
    assert.match(log, /\/cc .*-g /);
    assert.doesNotMatch(log, /-DNDEBUG/);
    assert.ok(files.has('greet/usr/lib64/libgreet.so.2.1.0'));
  });

  test('cmake: a configuration or a build that fails ends the step', async () => {
    const steps = `${HEAD}\npipeline: [{uses: cmake/configure}, {uses: cmake/build}]\n`;
    assert.match((await toolchain.fail(steps)).log, /does not appear to contain CMakeLists\.txt/);
    const source = { ...CMAKE, 'greet.c': '#error no greeting\n' };
    assert.match((await toolchain.fail(steps, { source })).log, /#error no greeting/);
  });

  test('meson: a project is set up, compiled and installed', async () => {
    const { files, log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: meson/configure
    with:
      output-dir: my output
      opts: |
        -Dlibdir=lib \\
          -Dgreeting=hi
  - uses: meson/compile
    with: {output-dir: my output}
  - runs: test -x "my output/greet"
  - uses: meson/install
    with: {output-dir: my output}
${RUN_IT}
subpackages:
${split('dev', 'manpages')}`,
      { source: MESON },
    );
    assert.match(log, /hi Ada/);
    assert.deepEqual([...files.keys()].sort(), [
      'greet-dev/usr/include/greet.h',
      'greet-dev/usr/lib/libgreet.so',
      'greet-dev/usr/lib/pkgconfig/greet.pc',
      'greet-manpages/usr/share/man/man1/greet.1',
      'greet/usr/bin/greet',
      'greet/usr/lib/libgreet.so.2',
      'greet/usr/lib/libgreet.so.2.1.0',
    ]);
    assert.equal(links(files)['greet/usr/lib/libgreet.so.2'], 'libgreet.so.2.1.0');
  });

  test('meson: what a project lacks is not downloaded', async () => {
    const { log } = await toolchain.fail(`${HEAD}\npipeline: [{uses: meson/configure}]\n`, {
      source: {
        'meson.build': "project('greet', 'c')\ndependency('absent', fallback: 'absent')\n",
        'subprojects/absent.wrap':
          '[wrap-file]\ndirectory = absent\nsource_url = http://127.0.0.1:9/absent.tar\nsource_filename = absent.tar\nsource_hash = 00\n',
      },
    });
    assert.match(log, /downloading is disabled/);
  });
});

const HEAD = `package: {name: greet, version: 1.0.0, epoch: 0}
environment: {contents: {packages: [build-base, busybox]}}`;

/** A step that runs the installed program with the installed library. */
const RUN_IT = `  - runs: LD_LIBRARY_PATH="\${{targets.destdir}}/usr/lib" "\${{targets.destdir}}/usr/bin/greet" Ada`;

/** A subpackage for each of these pipelines below `split/`. */
function split(...names: readonly string[]): string {
  return names.map((name) => `  - {name: greet-${name}, pipeline: [{uses: split/${name}}]}\n`).join('');
}

function below(folder: string, files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([path, content]) => [`${folder}/${path}`, content]));
}
