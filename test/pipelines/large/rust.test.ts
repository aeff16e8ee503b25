/** cargo/build with Debian's Rust. `cargo auditable` is a stand-in that writes down its arguments and builds for real. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { skipReason, startToolchain, type Toolchain } from '../toolchain.ts';

/** cargo calls `cargo-auditable auditable build …` for `cargo auditable build …`. */
const CARGO_AUDITABLE = `#!/bin/sh
printf 'asked: %s RUSTFLAGS=<%s>' "$PWD" "\${RUSTFLAGS-unset}"
printf ' <%s>' "$@"
echo
shift
exec cargo "$@"
`;

const CARGO_TOML = `[package]
name = "hello"
version = "1.0.0"
edition = "2021"

[features]
spicy = []
`;
const MAIN_RS = `fn main() {
    let flavour = if cfg!(feature = "spicy") { "spicy" } else { "plain" };
    let mood = if cfg!(happy) { "happy" } else { "calm" };
    let kind = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!("{flavour} {mood} {kind}");
}
`;
const HELLO = { 'Cargo.toml': CARGO_TOML, 'src/main.rs': MAIN_RS };

describe('Rust builds', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    toolchain = await startToolchain({
      name: 'rust',
      debian: ['binutils', 'cargo', 'gcc', 'libc6-dev', 'make', 'rustc'],
      own: [
        { name: 'rust', depends: ['cargo', 'rustc'] },
        { name: 'cargo-auditable', programs: { 'usr/bin/cargo-auditable': CARGO_AUDITABLE } },
      ],
    });
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  test('a release of the program is built and installed', async () => {
    const { files, log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: cargo/build
    with: {output: hello}
  - runs: melange-out/hello/usr/bin/hello
`,
      { source: HELLO },
    );
    assert.match(
      log,
      /^asked: \/home\/build RUSTFLAGS=<> <auditable> <build> <--target-dir> <target> <--release>$/m,
    );
    assert.match(log, /^plain calm release$/m);
    assert.deepEqual([...files.keys()], ['hello/usr/bin/hello']);
    assert.equal(files.get('hello/usr/bin/hello')?.mode, 0o755);
  });

  test('directories, options, compiler options and jobs can be chosen', async () => {
    const { files, log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: cargo/build
    with:
      output: hello
      modroot: the crate
      opts: |
        --frozen \\
          --features "spicy"
      rustflags: --cfg happy
      prefix: opt/hello
      install-dir: libexec
      output-dir: target/debug
      jobs: 1
  - runs: melange-out/hello/opt/hello/libexec/hello
`,
      {
        source: {
          'the crate/Cargo.toml': CARGO_TOML,
          'the crate/Cargo.lock': 'version = 3\n\n[[package]]\nname = "hello"\nversion = "1.0.0"\n',
          'the crate/src/main.rs': MAIN_RS,
        },
      },
    );
    assert.match(
      log,
      /^asked: \/home\/build\/the crate RUSTFLAGS=<--cfg happy> <auditable> <build> <--target-dir> <target> <--jobs> <1> <--frozen> <--features> <spicy>$/m,
    );
    assert.match(log, /^spicy happy debug$/m);
    assert.deepEqual([...files.keys()], ['hello/opt/hello/libexec/hello']);
  });

  test('without a name all files of the output directory are installed, if they are files', async () => {
    const { files } = await toolchain.build(
      `${HEAD}
pipeline:
  - runs: mkdir made
  - uses: cargo/build
    with: {opts: -Zunstable-options --out-dir made, output-dir: made}
    environment: {RUSTC_BOOTSTRAP: "1"}
`,
      {
        source: {
          'Cargo.toml': CARGO_TOML,
          'src/bin/one.rs': 'fn main() {}\n',
          'src/bin/two.rs': 'fn main() {}\n',
        },
      },
    );
    assert.deepEqual([...files.keys()].sort(), ['hello/usr/bin/one', 'hello/usr/bin/two']);
    const { log } = await toolchain.fail(`${HEAD}\npipeline: [{uses: cargo/build}]\n`, { source: HELLO });
    assert.match(log, /^cargo\/build: target\/release\/build is a directory; name the program with output$/m);
  });

  test('a program that does not compile, or is not made, fails the step', async () => {
    const build = `${HEAD}\npipeline: [{uses: cargo/build, with: {output: absent}}]\n`;
    assert.match((await toolchain.fail(build, { source: HELLO })).log, /target\/release\/absent/);
    const broken = { ...HELLO, 'src/main.rs': 'fn main() { 1 + ; }\n' };
    assert.match((await toolchain.fail(build, { source: broken })).log, /could not compile `hello`/);
  });
});

const HEAD = 'package: {name: hello, version: 1.0.0}';
