import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { describe, test } from 'node:test';
import { type FileTree, fileTree } from '../../../../runner/environment/file-tree.ts';
import type { InstalledEntry } from '../../../../shared/apk/package-contents.ts';
import { hasCode } from '../../shared/apk/package-fixture.ts';
import { contentsOf, file, folder, hardLink, link, type SmallPackage, sha1 } from './small-packages.ts';

const PLAIN = { uid: 0, gid: 0, mode: 0o755 };

function treeOf(
  packages: readonly SmallPackage[],
  more: { readonly places?: readonly number[]; readonly base?: readonly (readonly [string, number])[] } = {},
): FileTree {
  return fileTree({
    packages: packages.map(contentsOf),
    places: more.places ?? packages.map((_, index) => index),
    base: new Map((more.base ?? []).map(([path, mode]) => [path, { ...PLAIN, mode }])),
  });
}

/** What each package has installed, as `path mode sha1`. */
function installed(tree: FileTree): string[][] {
  return tree.installed.map(({ directories }) =>
    [...directories].flatMap(([path, files]) =>
      files.map(
        (one) => `${path === '' ? '' : `${path}/`}${basename(one.path)} ${one.mode.toString(8)} ${one.sha1}`,
      ),
    ),
  );
}

const removed = (tree: FileTree): (readonly string[])[] => tree.changes.map((one) => one.removed);

/** Two packages that both have `etc/f`. */
function pair(
  first: Partial<SmallPackage> & { readonly f: InstalledEntry },
  second: Partial<SmallPackage> & { readonly f: InstalledEntry },
): SmallPackage[] {
  return [
    { name: 'one', entries: [first.f], ...first },
    { name: 'two', entries: [second.f], ...second },
  ];
}

describe('files of one path in two packages', () => {
  const a = file('etc/f', 'a', { mode: 0o600 });
  const b = file('etc/f', 'b');
  const sameAsA = file('etc/f', 'a');

  test('of equal content, the first stays with its owner and mode', () => {
    const tree = treeOf(pair({ f: a }, { f: sameAsA }));
    assert.deepEqual(installed(tree), [[`etc/f 600 ${sha1('a')}`], []]);
    assert.deepEqual(removed(tree), [[], ['etc/f']]);
  });

  test('of equal content and attributes, neither layer loses it', () => {
    assert.deepEqual(removed(treeOf(pair({ f: a }, { f: a }))), [[], []]);
  });

  test('the old one stays where its package replaces the new one’s', () => {
    const tree = treeOf(pair({ f: a, replaces: ['two'] }, { f: b, replaces: ['one'] }));
    assert.deepEqual(installed(tree), [[`etc/f 600 ${sha1('a')}`], []]);
    assert.deepEqual(removed(tree), [[], ['etc/f']]);
  });

  test('the new one takes the place, and is its package’s, where both are of one origin', () => {
    const tree = treeOf(pair({ f: a, origin: 'both' }, { f: b, origin: 'both' }));
    assert.deepEqual(installed(tree), [[], [`etc/f 644 ${sha1('b')}`]]);
    assert.deepEqual(removed(tree), [[], []]);
  });

  test('no origin is not one that two packages share', () => {
    assert.throws(() => treeOf(pair({ f: a, origin: '' }, { f: b, origin: '' })), hasCode('file-conflict'));
  });

  test('the new one takes the place where its package replaces the old one’s', () => {
    const tree = treeOf(pair({ f: a }, { f: b, replaces: ['other', 'one'] }));
    assert.deepEqual(installed(tree), [[], [`etc/f 644 ${sha1('b')}`]]);
  });

  test('the third package meets the one that has the path then', () => {
    const [one, two] = pair({ f: a }, { f: b, replaces: ['one'] });
    const third = { name: 'three', entries: [file('etc/f', 'c')] };
    assert.ok(one && two);
    assert.throws(
      () => treeOf([one, two, third]),
      hasCode('file-conflict', /three-1-r0 .* belongs to two-1-r0/),
    );
    const tree = treeOf([one, two, { ...third, replaces: ['two'] }]);
    assert.deepEqual(installed(tree), [[], [], [`etc/f 644 ${sha1('c')}`]]);
  });

  test('a replaces with a version does not count', () => {
    for (const text of ['one<2', 'one=1-r0', 'one~1']) {
      assert.throws(() => treeOf(pair({ f: a }, { f: b, replaces: [text] })), hasCode('file-conflict'));
      const other = text.replace('one', 'two');
      assert.throws(() => treeOf(pair({ f: a, replaces: [other] }, { f: b })), hasCode('file-conflict'));
    }
  });

  test('else are a conflict that names both packages and the path', () => {
    assert.throws(
      () => treeOf(pair({ f: a }, { f: b })),
      hasCode('file-conflict', /two-1-r0 brings \/etc\/f, which belongs to one-1-r0/),
    );
  });

  test('symlinks of one target are one, of another they follow the rules of files', () => {
    const to = (target: string): InstalledEntry => link('etc/f', target);
    assert.deepEqual(installed(treeOf(pair({ f: to('x') }, { f: to('x') }))), [
      [`etc/f 777 ${sha1('x')}`],
      [],
    ]);
    assert.throws(() => treeOf(pair({ f: to('x') }, { f: to('y') })), hasCode('file-conflict'));
    assert.throws(() => treeOf(pair({ f: to('a') }, { f: a })), hasCode('file-conflict'));
    const replaced = treeOf(pair({ f: to('x') }, { f: to('y'), replaces: ['one'] }));
    assert.deepEqual(installed(replaced), [[], [`etc/f 777 ${sha1('y')}`]]);
  });

  test('of equal content through links in one package, the first stays and the other is dropped', () => {
    const base = { name: 'base', entries: [link('bin', 'usr/bin')] };
    const twice = (second: string): FileTree =>
      treeOf([base, { name: 'twice', entries: [file('bin/f', 'a'), file('usr/bin/f', second)] }]);
    assert.deepEqual(twice('a').changes[1]?.dropped, ['usr/bin/f']);
    assert.deepEqual(twice('b').changes[1]?.dropped, ['bin/f']);
    assert.deepEqual(installed(twice('b'))[1], [`usr/bin/f 644 ${sha1('b')}`]);
  });
});

describe('hard links', () => {
  test('have the content of what they join, also against other packages', () => {
    const joined = { name: 'joined', entries: [file('a', 'x'), hardLink('b', 'a'), hardLink('c', 'b')] };
    assert.deepEqual(installed(treeOf([joined])), [
      [`a 644 ${sha1('x')}`, `b 644 ${sha1('x')}`, `c 644 ${sha1('x')}`],
    ]);
    assert.deepEqual(installed(treeOf([joined, { name: 'plain', entries: [file('c', 'x')] }]))[1], []);
    assert.throws(
      () => treeOf([joined, { name: 'plain', entries: [file('c', 'y')] }]),
      hasCode('file-conflict', /\/c, which belongs to joined/),
    );
  });

  test('to a symlink have its checksum', () => {
    const tree = treeOf([{ name: 'one', entries: [link('l', 'to'), hardLink('h', 'l')] }]);
    assert.deepEqual(installed(tree), [[`l 777 ${sha1('to')}`, `h 644 ${sha1('to')}`]]);
  });

  test('to a file that the package has not brought are refused', () => {
    const packages = [
      { name: 'one', entries: [file('a', 'x')] },
      { name: 'two', entries: [hardLink('b', 'a')] },
    ];
    assert.throws(
      () => treeOf(packages),
      hasCode('file-conflict', /two-1-r0 brings \/b as a hard link to \/a/),
    );
  });
});

test('devices, pipes and sockets of a package are refused', () => {
  for (const type of ['character-device', 'block-device', 'fifo'] as const) {
    const entries = [{ ...file('dev/x', ''), type }];
    assert.throws(
      () => treeOf([{ name: 'one', entries }]),
      hasCode('file-conflict', new RegExp(`a ${type}`)),
    );
  }
});

describe('directories', () => {
  test('and files of one path are a conflict, whichever comes first', () => {
    const asFile = { name: 'file', entries: [file('a', '')] };
    for (const other of [
      { name: 'folder', entries: [folder('a')] },
      { name: 'folder', entries: [file('a/f', '')] },
    ]) {
      assert.throws(
        () => treeOf([asFile, other]),
        hasCode('file-conflict', /folder-1-r0 .* belongs to file-1-r0/),
      );
      assert.throws(() => treeOf([other, asFile]), hasCode('file-conflict', /\/a, which is a directory/));
    }
    assert.throws(() => treeOf([asFile], { base: [['a', 0o755]] }), hasCode('file-conflict'));
  });

  test('keep what the first package gives them, and are disputed where another gives them something else', () => {
    const owned = { uid: 5, gid: 6, mode: 0o2775 };
    const tree = treeOf([
      { name: 'one', entries: [folder('a'), folder('b', owned), folder('c', owned)] },
      { name: 'two', entries: [folder('a', owned), folder('b'), folder('c', owned)] },
    ]);
    assert.deepEqual(tree.disputed, ['a', 'b']);
    assert.deepEqual(
      ['a', 'b', 'c'].map((path) => tree.directories.get(path)?.mode),
      [0o755, 0o2775, 0o2775],
    );
  });

  test('without an entry of their own are plain, which may be disputed, too', () => {
    const implied = { name: 'implied', entries: [file('a/b/f', '')] };
    const owned = { name: 'owned', entries: [folder('a', { mode: 0o700 }), folder('a/b')] };
    assert.deepEqual(treeOf([implied, owned]).disputed, ['a']);
    assert.equal(treeOf([implied, owned]).directories.get('a')?.mode, 0o755);
    assert.deepEqual(treeOf([owned, implied]).disputed, ['a']);
    assert.equal(treeOf([owned, implied]).directories.get('a')?.mode, 0o700);
  });

  test('are not disputed by a package that names them after a file in them', () => {
    const late = { name: 'late', entries: [file('a/f', ''), folder('a', { mode: 0o700 })] };
    const tree = treeOf([late]);
    assert.deepEqual(tree.disputed, []);
    assert.equal(tree.directories.get('a')?.mode, 0o700);
  });

  test('of the base come before those of all packages', () => {
    const tree = treeOf([{ name: 'one', entries: [folder('tmp', { mode: 0o755 })] }], {
      base: [['tmp', 0o1777]],
    });
    assert.equal(tree.directories.get('tmp')?.mode, 0o1777);
    assert.deepEqual(tree.disputed, ['tmp']);
  });

  test('of the base lie where a package’s link puts them', () => {
    const tree = treeOf([{ name: 'one', entries: [link('tmp', 'var/tmp')] }], { base: [['tmp', 0o1777]] });
    assert.equal(tree.place('tmp'), 'var/tmp');
    assert.equal(tree.directories.get('var/tmp')?.mode, 0o1777);
  });
});

describe('layers', () => {
  const a = file('etc/f', 'a');
  const b = file('etc/f', 'b');

  test('lose what a package earlier in the merge has, if that came later in the installation', () => {
    const packages = pair({ f: a, origin: 'both' }, { f: b, origin: 'both' });
    assert.deepEqual(removed(treeOf(packages, { places: [1, 0] })), [['etc/f'], []]);
    assert.deepEqual(removed(treeOf(packages, { places: [0, 1] })), [[], []]);
  });

  test('keep what lies below the one that counts', () => {
    const packages = pair({ f: a, replaces: ['two'] }, { f: b });
    assert.deepEqual(removed(treeOf(packages, { places: [1, 0] })), [[], []]);
    assert.deepEqual(removed(treeOf(packages, { places: [0, 1] })), [[], ['etc/f']]);
  });

  test('have their directories moved below links, those above first', () => {
    const tree = treeOf([
      { name: 'base', entries: [link('lib', 'usr/lib'), folder('usr/lib'), link('usr/lib/x', 'y')] },
      { name: 'one', entries: [folder('lib'), file('lib/x/deep/f', ''), file('usr/lib/g', '')] },
    ]);
    assert.deepEqual(tree.changes[0]?.moved, []);
    assert.deepEqual(tree.changes[1]?.moved, [
      { from: 'lib', to: 'usr/lib', misplaced: 'lib' },
      { from: 'lib/x', to: 'usr/lib/y', misplaced: 'usr/lib/x' },
    ]);
    assert.deepEqual([...(tree.installed[1]?.directories.keys() ?? [])], ['usr/lib', 'usr/lib/y/deep']);
    assert.equal(tree.place('lib/x'), 'usr/lib/y');
    assert.ok(tree.has('lib/g') && tree.has('usr/lib/y/deep/f') && tree.has('lib'));
    assert.ok(!tree.has('usr/lib') && !tree.has('lib/f'));
  });

  test('are moved also where the link comes with a later package', () => {
    const tree = treeOf([
      { name: 'one', entries: [folder('bin'), file('bin/f', '')] },
      { name: 'base', entries: [link('bin', '/usr/bin')] },
    ]);
    assert.deepEqual(tree.changes[0]?.moved, [{ from: 'bin', to: 'usr/bin', misplaced: 'bin' }]);
    assert.equal(installed(tree)[0]?.[0]?.split(' ')[0], 'usr/bin/f');
  });

  test('are not moved where the link is the package’s own', () => {
    const tree = treeOf([{ name: 'one', entries: [link('bin', 'usr/bin'), file('bin/f', '')] }]);
    assert.deepEqual(tree.changes[0]?.moved, []);
    assert.equal(installed(tree)[0]?.[1]?.split(' ')[0], 'usr/bin/f');
  });

  test('with a directory that moves and is not plain get its attributes set again', () => {
    const tree = treeOf([
      { name: 'one', entries: [folder('bin', { mode: 0o711 })] },
      { name: 'base', entries: [link('bin', 'usr/bin')] },
    ]);
    assert.deepEqual(tree.disputed, ['usr/bin']);
    assert.equal(tree.directories.get('usr/bin')?.mode, 0o711);
  });

  test('below links in a circle, or below a link that another package replaces, are refused', () => {
    const below = { name: 'below', entries: [file('l/f', '')] };
    assert.throws(
      () => treeOf([{ name: 'round', entries: [link('l', 'm'), link('m', 'l')] }, below]),
      hasCode('file-conflict', /circle/),
    );
    const two = [
      { name: 'one', entries: [link('l', 'x')], origin: 'both' },
      { name: 'two', entries: [link('l', 'y')], origin: 'both' },
    ];
    assert.throws(() => treeOf([...two, below]), hasCode('file-conflict', /below \/l, .* two-1-r0 replaces/));
    assert.equal(treeOf(two).installed.length, 2);
  });
});
