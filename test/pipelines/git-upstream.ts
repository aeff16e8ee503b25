/** The repositories that the tests of git-checkout check out. */
import assert from 'node:assert/strict';
import type { GitRepository, GitServer } from './git-server.ts';

/**
 * `main` has the commits one, two, three; `fixes` goes on from two with fix-a, fix-b; `release/1.x` goes on from one;
 * the name `same` is a tag at two and a branch at fix-a; `clash` changes what two does not have.
 */
export function createUpstream(server: GitServer): {
  readonly upstream: GitRepository;
  /** The hash of a commit by its message, or of the object of the annotated tag: `v2-object`. */
  readonly hash: (name: string) => string;
} {
  const upstream = server.create('upstream');
  const hashes: Record<string, string> = {};
  hashes['one'] = upstream.commit('one', { 'one.txt': 'one\n', 'sub/file.txt': '', 'other/file.txt': '' });
  hashes['two'] = upstream.commit('two', { 'two.txt': 'two\n' });
  upstream.git('tag', 'v1');
  upstream.git('tag', 'same');
  hashes['three'] = upstream.commit('three', { 'three.txt': 'three\n' });
  upstream.git('tag', '--annotate', 'v2', '--message', 'release');
  hashes['v2-object'] = upstream.git('rev-parse', 'v2');
  upstream.git('checkout', '--quiet', '-b', 'fixes', 'v1');
  hashes['fix-a'] = upstream.commit('fix-a', { 'a.txt': 'a\n' });
  upstream.git('branch', 'same');
  hashes['fix-b'] = upstream.commit('fix-b', { 'b.txt': 'b\n' });
  upstream.git('checkout', '--quiet', '-b', 'release/1.x', hashes['one']);
  hashes['maintenance'] = upstream.commit('maintenance', { 'm.txt': 'm\n' });
  upstream.git('tag', 'v1.0.1');
  upstream.git('checkout', '--quiet', '-b', 'clash', 'main');
  upstream.commit('before the clash', { 'two.txt': 'four\n' });
  hashes['clash'] = upstream.commit('clash', { 'two.txt': 'five\n' });
  upstream.git('checkout', '--quiet', 'main');
  return { upstream, hash: (name) => hashes[name] ?? assert.fail(`no commit ${name}`) };
}

/** A repository with a submodule that has one itself; the tag `v1` is the older of its two commits. */
export function createSubmodules(server: GitServer): {
  readonly url: string;
  readonly older: string;
  readonly newer: string;
} {
  const inner = server.create('inner');
  inner.commit('inner', { 'inner.txt': 'inner' });
  const module = server.create('module');
  module.commit('module', { 'module.txt': 'old' });
  module.git('submodule', '--quiet', 'add', '../inner', 'inner');
  module.commit('with inner', {});
  const outer = server.create('outer');
  outer.git('submodule', '--quiet', 'add', '../module', 'module');
  const older = outer.commit('older', {});
  outer.git('tag', 'v1');
  module.commit('newer', { 'module.txt': 'new' });
  outer.git('-C', 'module', 'pull', '--quiet');
  const newer = outer.commit('newer', {});
  return { url: outer.url, older, newer };
}
