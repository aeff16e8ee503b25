import assert from 'node:assert/strict';
import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { stepCommand } from '../../../../shared/build-file/index.ts';
import { compiled, withPackage } from './language.ts';

const hasGit = spawnSync('git', ['--version']).status === 0;

describe('git-checkout', { skip: hasGit ? false : 'no git on this machine' }, () => {
  const base = mkdtempSync(join(tmpdir(), 'git-checkout-'));
  const upstream = join(base, 'upstream');
  const commits = new Map<string, string>();
  const environment = {
    PATH: process.env['PATH'] ?? '',
    HOME: join(base, 'user'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_DATE: '1700000000 +0000',
    GIT_COMMITTER_DATE: '1700000000 +0000',
  };

  const git = (...given: string[]): string =>
    execFileSync('git', ['-c', 'user.name=T', '-c', 'user.email=t@t.example', ...given], {
      cwd: upstream,
      env: environment,
      encoding: 'utf8',
    }).trim();
  const commit = (name: string, content = name): void => {
    writeFileSync(join(upstream, `${name}.txt`), content);
    git('add', '.');
    git('commit', '-q', '-m', name);
    commits.set(name, git('rev-parse', 'HEAD'));
  };
  const hash = (name: string): string => commits.get(name) ?? assert.fail(name);

  before(() => {
    mkdirSync(join(upstream, 'sub'), { recursive: true });
    mkdirSync(join(base, 'user'));
    git('init', '-q', '-b', 'main');
    writeFileSync(join(upstream, 'sub/inside.txt'), 'inside');
    commit('one');
    git('tag', 'v1');
    commit('two');
    git('tag', '-a', 'v2', '-m', 'release');
    commits.set('v2-object', git('rev-parse', 'v2'));
    git('checkout', '-q', '-b', 'fixes');
    commit('fix-a');
    commit('fix-b');
    git('checkout', '-q', 'main');
    commit('three');
    // A branch with the name of a tag.
    git('branch', 'v1', hash('fix-a'));
  });
  after(() => rmSync(base, { recursive: true, force: true }));

  let runs = 0;
  const checkout = (
    inputs: Readonly<Record<string, string>>,
  ): SpawnSyncReturns<string> & { readonly folder: string } => {
    runs += 1;
    const folder = join(base, `run-${runs}`);
    mkdirSync(folder);
    const given = { repository: `file://${upstream}`, 'max-retries': '0', ...inputs };
    const plan = compiled(
      withPackage(`pipeline: ${JSON.stringify([{ uses: 'git-checkout', with: given }])}\n`),
    );
    const [step] = plan.packages[0]?.steps ?? [];
    assert.ok(step);
    const command = stepCommand(step).replaceAll('/home/build', folder);
    const result = spawnSync('bash', ['-c', command], { env: environment, encoding: 'utf8' });
    return { ...result, folder };
  };
  const headOf = (folder: string): string =>
    execFileSync('git', ['rev-parse', 'HEAD'], { cwd: folder, env: environment, encoding: 'utf8' }).trim();
  const succeeds = (inputs: Readonly<Record<string, string>>, head: string): string => {
    const { status, stdout, stderr, folder } = checkout(inputs);
    assert.equal(status, 0, stdout + stderr);
    assert.equal(headOf(join(folder, inputs['destination'] ?? '.')), head);
    return folder;
  };
  const fails = (inputs: Readonly<Record<string, string>>, message: RegExp): void => {
    const { status, stderr } = checkout(inputs);
    assert.notEqual(status, 0);
    assert.match(stderr, message);
  };

  test('a tag is checked out and compared with the commit, even when a branch has its name', () => {
    const folder = succeeds({ tag: 'v1', 'expected-commit': hash('one') }, hash('one'));
    assert.ok(existsSync(join(folder, '.git')));
    assert.equal(existsSync(join(folder, 'two.txt')), false);
    fails({ tag: 'v1', 'expected-commit': hash('fix-a') }, /tag v1 is commit [0-9a-f]+, expected/);
  });

  test('the hash of an annotated tag is accepted with a warning', () => {
    succeeds({ tag: 'v2', 'expected-commit': hash('v2-object') }, hash('two'));
    succeeds({ tag: 'v2', 'expected-commit': hash('two').toUpperCase(), depth: '-1' }, hash('two'));
  });

  test('a branch is checked out at its tip, or at an older commit of it', () => {
    succeeds({ branch: 'main' }, hash('three'));
    succeeds({ branch: 'main', 'expected-commit': hash('three') }, hash('three'));
    succeeds({ branch: 'main', 'expected-commit': hash('one') }, hash('one'));
    fails({ branch: 'main', 'expected-commit': hash('one'), depth: '1' }, /with depth: -1/);
    fails({ branch: 'main', 'expected-commit': hash('fix-a') }, /is not on main/);
  });

  test('the expected commit may have to be the tip', () => {
    const tip = { branch: 'main', 'expected-commit-is-branch-tip': 'true' };
    succeeds({ ...tip, 'expected-commit': hash('three') }, hash('three'));
    fails({ ...tip, 'expected-commit': hash('two') }, /the tip of main is/);
    fails({ ...tip }, /needs expected-commit/);
    fails({ 'expected-commit-is-branch-tip': 'true', 'expected-commit': hash('two') }, /needs a branch/);
  });

  test('the default branch is taken without branch and tag, and files already there stay', () => {
    const folder = succeeds({ destination: 'src/deep', 'expected-commit': hash('three') }, hash('three'));
    assert.equal(readFileSync(join(folder, 'src/deep/three.txt'), 'utf8'), 'three');
  });

  test('cherry-picks are applied in order from a branch, with a fixed date', () => {
    const folder = checkout({
      tag: 'v2',
      'expected-commit': hash('two'),
      'cherry-picks': `# security\n fixes/${hash('fix-a')}: first fix\n\nfixes/${hash('fix-b')}: second # really\n`,
    });
    assert.equal(folder.status, 0, folder.stderr);
    const log = execFileSync('git', ['log', '-2', '--format=%s %ct'], {
      cwd: folder.folder,
      env: environment,
      encoding: 'utf8',
    });
    assert.equal(log, 'fix-b 315532800\nfix-a 315532800\n');
    fails({ tag: 'v2', 'cherry-picks': hash('fix-a') }, /is written \[branch\/\]commit: comment/);
    fails({ tag: 'v2', 'cherry-picks': `fixes/${hash('fix-a')}:` }, /has no comment/);
  });

  test('sparse paths leave other directories out', () => {
    writeFileSync(
      join(upstream, '.git/config'),
      `${readFileSync(join(upstream, '.git/config'), 'utf8')}[uploadpack]\n\tallowFilter = true\n`,
    );
    mkdirSync(join(upstream, 'other'));
    writeFileSync(join(upstream, 'other/x.txt'), '');
    commit('four');
    const folder = succeeds({ branch: 'main', 'sparse-paths': 'sub' }, hash('four'));
    assert.ok(existsSync(join(folder, 'sub/inside.txt')));
    assert.equal(existsSync(join(folder, 'other')), false);
  });

  test('contradictions and a repository that is not there fail with a reason', () => {
    fails({ branch: 'main', tag: 'v1' }, /exclude each other/);
    fails({ 'recurse-submodules': 'yes' }, /expected true or false, not 'yes'/);
    fails({ repository: `file://${base}/nowhere` }, /the clone of .* failed/);
  });

  test('a failed clone is tried again', () => {
    const { stderr, status } = checkout({
      repository: `file://${base}/nowhere`,
      'max-retries': '2',
      'initial-backoff': '0',
      'max-backoff': '0',
    });
    assert.notEqual(status, 0);
    assert.match(stderr, /retry 1 follows[\s\S]*retry 2 follows[\s\S]*failed/);
  });
});
