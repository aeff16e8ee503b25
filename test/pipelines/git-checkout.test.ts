/** The pipeline git-checkout, in BuildKit, against a git server that speaks HTTP. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { AUTHOR, type GitRepository, type GitServer, startGitServer } from './git-server.ts';
import { createSubmodules, createUpstream } from './git-upstream.ts';
import { SOURCES_TOOLCHAIN } from './sources-toolchain.ts';
import { skipReason, startToolchain, type Toolchain } from './toolchain.ts';

type Inputs = Readonly<Record<string, string>>;

interface CheckoutOptions {
  /** Lines of the step itself, besides `uses` and `with`. */
  readonly step?: string;
  /** A fragment that runs before it. */
  readonly first?: string;
  /** A fragment that runs after it, in the tree. */
  readonly afterwards?: string;
  /** Where the tree is expected; default `/home/build`. */
  readonly tree?: string;
}

interface Checkout {
  readonly head: string;
  /** The full name of the branch, empty if none is checked out. */
  readonly branch: string;
  /** Number of commits that can be reached. */
  readonly commits: number;
  /** Changes of files under version control. */
  readonly changes: string;
  /** The files of the tree, sorted. */
  readonly files: readonly string[];
  /** What the steps printed. */
  readonly log: string;
}

const NAMED_IN_PLAN =
  '† git-checkout: tag on branch; no working directory; destination; depth 1 and −1; branch without and with older expected commit; branch-tip flag with default, full and partial depth; expected commit only; annotated tag hash; tag and branch of same name; cherry-picks; ownership of pre-existing files untouched.';

describe('git-checkout', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  let server: GitServer;
  let upstream: GitRepository;
  /** The hash by the name that the fixture gives a commit. */
  let hash: (name: string) => string;

  before(async () => {
    server = await startGitServer();
    ({ upstream, hash } = createUpstream(server));
    toolchain = await startToolchain(SOURCES_TOOLCHAIN);
  });
  after(async () => {
    await toolchain?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  const buildFile = (inputs: Inputs, options: CheckoutOptions): string => {
    const { step = '', first, afterwards = '', tree = '/home/build' } = options;
    const given = JSON.stringify({ repository: upstream.url, 'max-retries': '0', ...inputs });
    return `package: {name: thing, version: 1.0.0, epoch: 0}
environment: {contents: {packages: [busybox]}}
pipeline:
${first === undefined ? '' : `  - runs: ${JSON.stringify(first)}\n`}  - uses: git-checkout
    with: ${given}
    ${step}
  - working-directory: ${tree}
    runs: ${JSON.stringify(`${FACTS}\n${afterwards}`)}
`;
  };
  const checkout = async (inputs: Inputs, options: CheckoutOptions = {}): Promise<Checkout> => {
    const { log } = await toolchain.build(buildFile(inputs, options));
    const facts = (name: string): string[] =>
      [...log.matchAll(new RegExp(`^fact ${name} (.*)$`, 'gm'))].map(([, value = '']) => value);
    return {
      head: facts('head').join(),
      branch: facts('branch').join(),
      commits: Number(facts('commits').join()),
      changes: facts('change').join('\n'),
      files: facts('file').sort(),
      log,
    };
  };
  const fails = async (inputs: Inputs, message: RegExp): Promise<void> => {
    assert.match((await toolchain.fail(buildFile(inputs, {}))).log, message);
  };

  describe(NAMED_IN_PLAN, () => {
    test('a tag of the main branch is checked out detached, with one commit', async () => {
      const result = await checkout({ tag: 'v1', 'expected-commit': hash('two') });
      assert.equal(result.head, hash('two'));
      assert.equal(result.branch, '');
      assert.equal(result.commits, 1);
      assert.equal(result.changes, '');
      assert.deepEqual(result.files, ['one.txt', 'other/file.txt', 'sub/file.txt', 'two.txt']);
    });

    test('a tag on a branch is checked out', async () => {
      const result = await checkout({ tag: 'v1.0.1', 'expected-commit': hash('maintenance').toUpperCase() });
      assert.equal(result.head, hash('maintenance'));
      await fails(
        { tag: 'v1.0.1', 'expected-commit': hash('two') },
        /tag v1\.0\.1 is commit [0-9a-f]+, expected/,
      );
    });

    test('without a working directory the tree comes into the workspace', async () => {
      const { files, log } = await checkout({ tag: 'v1' }, { tree: '/home/build' });
      assert.ok(files.includes('one.txt'));
      assert.match(log, /warning: no expected-commit given/);
    });

    test('with a working directory the tree comes into that', async () => {
      const { head, files } = await checkout(
        { tag: 'v1', 'expected-commit': hash('two') },
        { step: 'working-directory: /home/build/deep/place', tree: '/home/build/deep/place' },
      );
      assert.equal(head, hash('two'));
      assert.ok(files.includes('one.txt'));
    });

    test('a destination is made below the working directory', async () => {
      const { head, log } = await checkout(
        { tag: 'v1', destination: 'made/for it' },
        {
          step: 'working-directory: place',
          tree: '/home/build/place/made/for it',
          afterwards: 'ls -A /home/build/place',
        },
      );
      assert.equal(head, hash('two'));
      assert.match(log, /^made$/m);
      assert.doesNotMatch(log, /^(\.git|one\.txt)$/m);
    });

    test('depth 1 brings one commit, depth 2 two, depth -1 all', async () => {
      for (const [depth, commits] of [
        ['1', 1],
        ['2', 2],
        ['-1', 3],
      ] as const) {
        const expected = { 'expected-commit': hash('three'), depth };
        assert.equal((await checkout({ branch: 'main', ...expected })).commits, commits, depth);
        assert.equal((await checkout({ tag: 'v2', ...expected })).commits, commits, depth);
      }
    });

    test('a branch without expected commit is checked out at its tip', async () => {
      const result = await checkout({ branch: 'main' });
      assert.equal(result.head, hash('three'));
      assert.equal(result.branch, 'refs/heads/main');
      assert.equal(result.commits, 1);
      assert.match(result.log, /warning: no expected-commit given/);
    });

    test('a branch with an older expected commit is reset to it', async () => {
      const result = await checkout({ branch: 'main', 'expected-commit': hash('one') });
      assert.equal(result.head, hash('one'));
      assert.equal(result.branch, 'refs/heads/main');
      assert.deepEqual(result.files, ['one.txt', 'other/file.txt', 'sub/file.txt']);
      assert.equal((await checkout({ branch: 'main', 'expected-commit': hash('three') })).commits, 3);
    });

    test('an expected commit that is not on the branch, or deeper than the clone, is refused', async () => {
      await fails({ branch: 'main', 'expected-commit': hash('fix-a') }, /is not on main, whose tip is/);
      await fails(
        { branch: 'main', 'expected-commit': hash('one'), depth: '1' },
        /got commit [0-9a-f]+, expected [0-9a-f]+; with depth: -1/,
      );
      await fails({ branch: 'main', 'expected-commit': hash('one'), depth: '3' }, /with depth: -1/);
    });

    for (const [name, depth, commits] of [
      ['default', {}, 1],
      ['full', { depth: '-1' }, 3],
      ['partial', { depth: '2' }, 2],
    ] as const) {
      test(`with the branch-tip flag and ${name} depth, the expected commit must be the tip`, async () => {
        const inputs = { branch: 'main', 'expected-commit-is-branch-tip': 'true', ...depth };
        const result = await checkout({ ...inputs, 'expected-commit': hash('three') });
        assert.equal(result.head, hash('three'));
        assert.equal(result.commits, commits);
        await fails({ ...inputs, 'expected-commit': hash('two') }, /the tip of main is [0-9a-f]+, expected/);
      });
    }

    test('with an expected commit only, it must be the newest of the default branch or have full depth', async () => {
      const { head, log } = await checkout({ 'expected-commit': hash('three') });
      assert.equal(head, hash('three'));
      assert.match(log, /warning: neither branch nor tag given/);
      assert.equal((await checkout({ 'expected-commit': hash('one'), depth: '-1' })).head, hash('one'));
      await fails({ 'expected-commit': hash('one') }, /with depth: -1/);
    });

    test('the hash of an annotated tag is accepted with a warning', async () => {
      const { head, log } = await checkout({ tag: 'v2', 'expected-commit': hash('v2-object') });
      assert.equal(head, hash('three'));
      assert.match(log, /warning: expected-commit is the hash of the annotated tag/);
      const byCommit = await checkout({ tag: 'v2', 'expected-commit': hash('three') });
      assert.doesNotMatch(byCommit.log, /warning/);
    });

    test('of a tag and a branch of the same name, each can be had', async () => {
      const tag = { tag: 'same', 'expected-commit': hash('two') };
      assert.equal((await checkout(tag)).head, hash('two'));
      assert.equal((await checkout({ ...tag, depth: '-1' })).head, hash('two'));
      const branch = await checkout({ branch: 'same', 'expected-commit': hash('fix-a') });
      assert.equal(branch.head, hash('fix-a'));
      assert.equal(branch.branch, 'refs/heads/same');
      await fails({ tag: 'same', 'expected-commit': hash('fix-a') }, /tag same is commit/);
    });

    test('cherry-picks are applied in order, with the date of the source', async () => {
      const picks = `
# security
fixes/${hash('fix-a')}: the first fix
  fixes/${hash('fix-b')}: the second # of two
   # an indented remark
release/1.x/${hash('maintenance')}: from a branch with a slash
`;
      const { log, files } = await checkout(
        { tag: 'v1', 'expected-commit': hash('two'), 'cherry-picks': picks },
        {
          step: 'environment: {SOURCE_DATE_EPOCH: "1700000000", GIT_TRACE: "1"}',
          afterwards: "git log -3 --format='picked %s by %an for %cn at %ct%n%b'",
        },
      );
      assert.deepEqual(files, [
        ...['a.txt', 'b.txt', 'm.txt'],
        ...['one.txt', 'other/file.txt', 'sub/file.txt', 'two.txt'],
      ]);
      const by = `by ${AUTHOR.replace(/ <.*/, '')} for Melange Build at 1700000000`;
      assert.deepEqual(log.match(/^picked .*$/gm), [
        `picked maintenance ${by}`,
        `picked fix-b ${by}`,
        `picked fix-a ${by}`,
      ]);
      assert.match(log, new RegExp(`^\\(cherry picked from commit ${hash('fix-a')}\\)$`, 'm'));
      assert.equal(log.match(/built-in: git fetch .*fixes/g)?.length, 1);
    });

    test('cherry-picks date back to 1980 at most, and need no branch when the history is there', async () => {
      const { log } = await checkout(
        { branch: 'main', depth: '-1', 'cherry-picks': `${hash('fix-a')}: all branches were cloned` },
        { afterwards: "git log -1 --format='picked %s at %ct'" },
      );
      assert.match(log, /^picked fix-a at 315532800$/m);
    });

    test('cherry-picks may come from the branch that is checked out', async () => {
      const { log, files } = await checkout({
        branch: 'main',
        'expected-commit': hash('one'),
        'cherry-picks': `main/${hash('three')}: without the one in between\nfixes/${hash('fix-a')}: too\n`,
      });
      assert.deepEqual(files, ['a.txt', 'one.txt', 'other/file.txt', 'sub/file.txt', 'three.txt']);
      assert.doesNotMatch(log, /refusing/);
    });

    test('cherry-picks that are malformed, unknown or in conflict fail', async () => {
      const tag = { tag: 'v1' };
      await fails({ ...tag, 'cherry-picks': hash('fix-a') }, /is written \[branch\/\]commit: comment, not/);
      await fails({ ...tag, 'cherry-picks': `fixes/${hash('fix-a')}: # why` }, /has no comment/);
      await fails(
        { ...tag, 'cherry-picks': `nowhere/${hash('fix-a')}: why` },
        /find remote ref refs\/heads\/nowhere/,
      );
      await fails({ ...tag, 'cherry-picks': `fixes/${'0'.repeat(40)}: why` }, /bad object 0{40}/);
      await fails({ ...tag, 'cherry-picks': `clash/${hash('clash')}: why` }, /CONFLICT/);
    });

    test('owners of files that were there before stay, and so does what git does not bring', async () => {
      const { log } = await checkout(
        { tag: 'v1', destination: 'tree' },
        {
          first: [
            'mkdir -p tree/sub tree/own',
            'echo mine | tee tree/kept.txt tree/sub/kept.txt tree/own/kept.txt tree/one.txt',
            'chown -R 1234:2345 tree',
            'chmod 0640 tree/kept.txt',
          ].join('\n'),
          tree: '/home/build/tree',
          afterwards:
            "stat -c 'owner %n %u:%g' . sub own kept.txt sub/kept.txt own/kept.txt two.txt .git\nstat -c 'mode %a' kept.txt\ngrep -H . kept.txt sub/kept.txt one.txt",
        },
      );
      assert.deepEqual(log.match(/^owner .*$/gm), [
        ...['owner . 1234:2345', 'owner sub 1234:2345', 'owner own 1234:2345'],
        ...['owner kept.txt 1234:2345', 'owner sub/kept.txt 1234:2345', 'owner own/kept.txt 1234:2345'],
        ...['owner two.txt 0:0', 'owner .git 0:0'],
      ]);
      assert.match(log, /^mode 640$/m);
      assert.match(log, /^kept\.txt:mine\nsub\/kept\.txt:mine\none\.txt:one$/m);
    });
  });

  test('sparse paths leave other directories out, also with a tag and an older commit', async () => {
    for (const inputs of [
      { tag: 'v1', 'expected-commit': hash('two') },
      { branch: 'main', 'expected-commit': hash('two') },
    ]) {
      const { head, files } = await checkout({ ...inputs, 'sparse-paths': 'sub absent' });
      assert.equal(head, hash('two'));
      assert.deepEqual(files, ['one.txt', 'sub/file.txt', 'two.txt']);
    }
  });

  test('submodules are checked out when asked for, and at the commit the expected one names', async () => {
    const { url: repository, older, newer } = createSubmodules(server);
    const recurse = { repository, 'recurse-submodules': 'true' };
    const all = ['.gitmodules', 'module/.git', 'module/.gitmodules', 'module/inner/.git'];
    all.push('module/inner/inner.txt', 'module/module.txt');
    const afterwards = 'cat module/module.txt; echo; git -C module rev-list --count HEAD';

    assert.deepEqual((await checkout({ repository, branch: 'main' })).files, ['.gitmodules']);
    const tip = await checkout({ ...recurse, branch: 'main', 'expected-commit': newer }, { afterwards });
    assert.deepEqual(tip.files, all);
    assert.match(tip.log, /^new\n3$/m);
    for (const which of [{ branch: 'main' }, { tag: 'v1' }]) {
      const old = await checkout({ ...recurse, ...which, 'expected-commit': older }, { afterwards });
      assert.match(old.log, /^old\n2$/m);
      assert.equal(old.changes, '');
    }
    const shallow = await checkout(
      { ...recurse, branch: 'main', 'shallow-submodules': 'true', 'submodule-jobs': '2' },
      { afterwards, step: 'environment: {GIT_TRACE: "1"}' },
    );
    assert.deepEqual(shallow.files, all);
    assert.match(shallow.log, /^new\n1$/m);
    assert.match(shallow.log, /git clone .*--jobs 2/);
  });

  test('a clone that fails is tried again', async () => {
    server.failNext(2);
    const retries = { 'max-retries': '2', 'initial-backoff': '0' };
    const { head, log } = await checkout({ tag: 'v1', ...retries });
    assert.equal(head, hash('two'));
    assert.match(log, /retry 1 follows in 0 seconds[\s\S]*retry 2 follows in 0 seconds/);
    server.failNext(100);
    await fails({ tag: 'v2', ...retries }, /retry 2 follows[\s\S]*the clone of .* failed/);
    assert.equal(server.requests, 3);
    server.failNext(0);
  });

  test('the wait before a retry grows up to its limit', async () => {
    server.failNext(2);
    const { log } = await checkout({
      ...{ tag: 'v1', 'max-retries': '2' },
      ...{ 'initial-backoff': '1', 'max-backoff': '1' },
    });
    const waits = [...log.matchAll(/follows in (\d+) seconds/g)].map(([, seconds]) => Number(seconds));
    assert.equal(waits.length, 2);
    for (const seconds of waits) assert.ok(seconds === 1 || seconds === 2, `${seconds} s`);
  });

  test('a server that cannot be reached, a repository or a name that is not there fail', async () => {
    await fails(
      { repository: 'http://127.0.0.1:9/none' },
      /the clone of http:\/\/127\.0\.0\.1:9\/none failed/,
    );
    await fails({ repository: `${server.url}/none` }, /the clone of .* failed/);
    await fails({ tag: 'none' }, /Remote branch none not found/);
  });

  test('inputs that contradict each other fail', async () => {
    const tip = { 'expected-commit-is-branch-tip': 'true' };
    const expected = { 'expected-commit': hash('three') };
    await fails({ branch: 'main', tag: 'v1' }, /branch and tag exclude each other/);
    await fails({ ...tip, ...expected }, /needs a branch/);
    await fails({ ...tip, branch: 'main' }, /needs expected-commit/);
    await fails({ ...tip, ...expected, tag: 'v2' }, /not a tag/);
    for (const name of ['expected-commit-is-branch-tip', 'recurse-submodules', 'shallow-submodules']) {
      await fails({ branch: 'main', [name]: 'yes' }, /expected true or false, not 'yes'/);
    }
  });
});

/** What is there to see of the tree in the current directory. */
const FACTS = `echo "fact head $(git rev-parse HEAD)"
echo "fact branch $(git symbolic-ref --quiet HEAD || true)"
echo "fact commits $(git rev-list --count HEAD)"
git status --porcelain --untracked-files=no | sed 's/^/fact change /'
find . -path ./.git -prune -o -path ./melange-out -prune -o -name .gitconfig -prune -o -type f -print | sed 's|^./|fact file |'`;
