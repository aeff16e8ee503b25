/** llvm/covreport with Debian's clang and LLVM, on a C program that runs two of its three functions. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { skipReason, startToolchain, type Toolchain } from '../toolchain.ts';

const MAIN_C = `#include "more.h"
static int used(void) { return 0; }
int main(void) { return used(); }
`;
const MORE_H = 'static inline int unused(int a) { return a + 1; }\nint keep(int a) { return unused(a); }\n';
const SOURCE = { 'main.c': MAIN_C, 'more.h': MORE_H };

/** A database of installed packages with their files, as apk writes it (apk-installed(5)), for printf. */
const INSTALLED = [
  ['P:other', 'V:1-r0', 'F:usr', 'F:usr/bin', 'R:other', 'a:0:0:755', ''],
  [
    'P:covered',
    'V:1-r0',
    'F:usr',
    'F:usr/lib',
    'R:bin',
    'F:usr/libexec/cabin',
    'R:more',
    'F:opt/covered/bin',
  ],
  ['R:first', 'a:0:0:755', 'R:second', 'F:usr/bin', 'R:third', ''],
  ['P:empty', 'V:1-r0', ''],
]
  .flat()
  .map((line) => `${line}\\n`)
  .join('');

describe('LLVM coverage', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    const names = ['clang', 'llvm-cov', 'llvm-profdata'];
    toolchain = await startToolchain({
      name: 'llvm',
      debian: ['clang-19', 'libc6-dev', 'libclang-rt-19-dev', 'llvm-19'],
      own: [
        {
          name: 'clang',
          depends: ['clang-19', 'libc6-dev', 'libclang-rt-19-dev'],
          // Debian's packages have these names with -19 behind.
          links: Object.fromEntries(names.map((name) => [`usr/bin/${name}`, `../lib/llvm-19/bin/${name}`])),
        },
        { name: 'llvm-next', depends: ['llvm-19'] },
      ],
    });
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  /** A build file that compiles and runs the program as `path`, and then reports. */
  const reporting = (
    name: string,
    path: string,
    more: string,
  ): string => `package: {name: ${name}, version: 1.0.0}
environment: {contents: {packages: [busybox, clang]}}
pipeline:
  - runs: |
      printf '${INSTALLED}' > /usr/lib/apk/db/installed
      mkdir -p /opt/covered/bin
      clang -fprofile-instr-generate -fcoverage-mapping -o "${path}" main.c
      LLVM_PROFILE_FILE=default_%p.profraw "${path}"
      LLVM_PROFILE_FILE=default_%p.profraw "${path}"
  - uses: llvm/covreport
    with: {${more}}
`;

  test('the functions covered are reported, all runs together', async () => {
    const { log } = await toolchain.build(reporting('thing', '/home/build/a b', 'object: a b'), {
      source: SOURCE,
    });
    // Two of four functions: main and used, not unused and keep.
    assert.match(log, /^Statements coverage: 50\.00%$/m);
  });

  test('source files can be left out, and another package of LLVM can be named', async () => {
    const { log } = await toolchain.build(
      reporting(
        'thing',
        '/home/build/a.out',
        'object: ./a.out, package: llvm-next, ignore-filename-regex: "more\\\\.h$|x y"',
      ),
      { source: SOURCE },
    );
    assert.match(log, /^Statements coverage: 100\.00%$/m);
  });

  test('without an object it is the first program of the package that is installed under the name', async () => {
    const { log } = await toolchain.build(reporting('covered', '/opt/covered/bin/first', ''), {
      source: SOURCE,
    });
    assert.match(log, /^Statements coverage: 50\.00%$/m);
  });

  test('without any program it fails, and without the records of a run', async () => {
    for (const name of ['absent', 'empty']) {
      const { log } = await toolchain.fail(reporting(name, '/home/build/a.out', ''), { source: SOURCE });
      assert.match(
        log,
        new RegExp(`^llvm/covreport: the package ${name} has no program; give its path`, 'm'),
      );
    }
    const { log } = await toolchain.fail(
      'package: {name: thing, version: 1.0.0}\nenvironment: {contents: {packages: [busybox, clang]}}\npipeline: [{uses: llvm/covreport, with: {object: /bin/sh}}]\n',
    );
    assert.match(log, /default_\*\.profraw/);
  });
});
