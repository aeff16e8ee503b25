/** What cargo/build asks cargo; that it builds programs is tested in test/pipelines/large/rust.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fails, localRun, OUT, succeeds } from './local-run.ts';

const CARGO = `record "\${PWD#"$HOME"}" "FLAGS=\${RUSTFLAGS-unset}" "$@"
mkdir -p target/release made
touch target/release/thing made/one made/two`;

test('cargo/build asks for a release and installs the program that is named', (context) => {
  const root = localRun(context);
  root.tool('cargo', CARGO);
  succeeds(root.run([{ uses: 'cargo/build', with: { output: 'thing' } }]));
  assert.deepEqual(root.asked(), ["cargo: '' FLAGS= auditable build --target-dir target --release"]);
  assert.deepEqual(root.list(OUT), ['usr/bin/thing']);
});

test('cargo/build passes on all it is told, options of several lines included', (context) => {
  const root = localRun(context);
  root.tool('cargo', CARGO);
  root.files({ 'a b/x': '' });
  succeeds(
    root.run([
      {
        uses: 'cargo/build',
        with: {
          output: 'one',
          opts: '--frozen \\\n  --config "a = 1"\n',
          modroot: 'a b',
          rustflags: '-C link-args=-Wl,-z,shstk',
          prefix: 'opt',
          'install-dir': 'libexec',
          'output-dir': 'made',
          jobs: 3,
        },
      },
    ]),
  );
  assert.deepEqual(root.asked(), [
    'cargo: /a\\ b FLAGS=-C\\ link-args=-Wl\\,-z\\,shstk auditable build --target-dir target --jobs 3 --frozen --config a\\ =\\ 1',
  ]);
  assert.deepEqual(root.list(OUT), ['opt/libexec/one']);
});

test('cargo/build installs all files without a name, and refuses directories among them', (context) => {
  const root = localRun(context);
  root.tool('cargo', CARGO);
  succeeds(root.run([{ uses: 'cargo/build', with: { 'output-dir': 'made' } }]));
  assert.deepEqual(root.list(OUT), ['usr/bin/one', 'usr/bin/two']);
  root.files({ 'made/deps/x': '' });
  fails(
    root.run([{ uses: 'cargo/build', with: { 'output-dir': 'made' } }]),
    /^cargo\/build: made\/deps is a/m,
  );
});
