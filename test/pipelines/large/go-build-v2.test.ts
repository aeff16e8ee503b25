/** go/build/v2 with Debian's Go, git and strip. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { skipReason, type Toolchain } from '../toolchain.ts';
import { below, GO_MOD, HEAD, HELLO, startGo, text } from './go-toolchain.ts';

describe('Go builds, second version', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    toolchain = await startGo();
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  describe('go-build-v2: a real program builds and runs.', () => {
    test('go names the file itself and what it contains is stripped', async () => {
      const step = (name: string, more: string): string =>
        `  - uses: ${name}\n    with: {ldflags: -w=false${more}}\n`;
      const { files, log } = await toolchain.build(
        `${HEAD_V2}
pipeline:
${step('go/build/v2', '')}${step('go/build', ', packages: ., output: whole')}
  - runs: melange-out/hello/usr/bin/hello
`,
        { source: HELLO },
      );
      assert.deepEqual([...files.keys()].sort(), ['hello/usr/bin/hello', 'hello/usr/bin/whole']);
      assert.match(log, /^hello plain$/m);
      assert.match(text(files, 'hello/usr/bin/whole'), /\.z?debug_info/);
      assert.doesNotMatch(text(files, 'hello/usr/bin/hello'), /\.z?debug_info/);
    });

    test('several programs are built at once, and in a subpackage it is its own that are stripped', async () => {
      const { files } = await toolchain.build(
        `${HEAD_V2}
subpackages:
  - name: hello-tools
    pipeline:
      - uses: go/build/v2
        with: {packages: ./cmd/..., install-dir: sbin, ldflags: -w=false, vendor: true}
`,
        {
          source: {
            'go.mod': GO_MOD,
            'cmd/one/main.go': 'package main\n\nfunc main() {}\n',
            'cmd/two/main.go': 'package main\n\nfunc main() {}\n',
          },
        },
      );
      assert.deepEqual([...files.keys()].sort(), ['hello-tools/usr/sbin/one', 'hello-tools/usr/sbin/two']);
      assert.doesNotMatch(text(files, 'hello-tools/usr/sbin/one'), /\.z?debug_info/);
    });

    test('a directory without go.mod is refused', async () => {
      const { log } = await toolchain.fail(`${HEAD_V2}\npipeline: [{uses: go/build/v2}]\n`);
      assert.match(log, /^go\/build\/v2: there is no go\.mod in \/home\/build; set modroot/m);
    });
  });

  describe('git-dirty-detection: VCS stamp of go/build/v2 in a clean tree, modified file, untracked file with and without the ignore option.', () => {
    test('a clean tree is recorded as such', async () => {
      assert.equal(await recordedAsModified('true', ''), 'false');
    });

    test('a modified file makes it dirty', async () => {
      assert.equal(await recordedAsModified('true', 'echo "// more" >> main.go'), 'true');
    });

    test('an untracked file is ignored, and the user’s own list of ignored files is put back', async () => {
      assert.equal(await recordedAsModified('true', 'touch untracked'), 'false');
    });

    test('an untracked file makes it dirty without the option', async () => {
      assert.equal(await recordedAsModified('false', 'touch untracked'), 'true');
      assert.equal(await recordedAsModified('false', ''), 'false');
    });
  });

  /** The word `vcs.modified` of a program built from a repository with one commit, after a command in it. */
  async function recordedAsModified(ignore: string, command: string): Promise<string | undefined> {
    const { log } = await toolchain.build(
      `${HEAD_V2}
pipeline:
  - working-directory: src
    runs: |
      git -c init.defaultBranch=main init --quiet
      git add .
      git -c user.name=a -c user.email=a@a.example commit --quiet --message first
      mkdir -p "$HOME/.config/git"
      echo mine > "$HOME/.config/git/ignore"
      ${command}
  - uses: go/build/v2
    with: {modroot: src, ignore-untracked-files: ${ignore}}
  - runs: |
      go version -m melange-out/hello/usr/bin/hello
      echo "ignored: $(cat .config/git/ignore)"
      ls .config/git
`,
      { source: below('src', HELLO) },
    );
    assert.match(log, /^ignored: mine\nignore\n/m);
    return /\bvcs\.modified=(\w+)/.exec(log)?.[1];
  }
});

/** The pipeline leaves the choice of a Go to its user; git is for what is recorded of the source. */
const HEAD_V2 = `${HEAD}\nenvironment: {contents: {packages: [go, git]}}`;
