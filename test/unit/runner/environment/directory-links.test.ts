import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { directoryLinks } from '../../../../runner/environment/directory-links.ts';
import { hasCode } from '../../shared/apk/package-fixture.ts';
import { contentsOf, file, folder, link } from './small-packages.ts';

const links = (...targets: readonly (readonly [string, string])[]): ReturnType<typeof directoryLinks> =>
  directoryLinks([contentsOf({ name: 'links', entries: targets.map(([path, to]) => link(path, to)) })]);

describe('links to directories', () => {
  test('what has no link on its way stays where it is', () => {
    const { directory, entry } = links(['bin', 'usr/bin']);
    assert.equal(directory(''), '');
    assert.equal(directory('usr/bin'), 'usr/bin');
    assert.equal(directory('binary'), 'binary');
    assert.equal(entry(file('top', '')), 'top');
  });

  test('a directory below a link lies in its target, be that relative, absolute, or with dots', () => {
    assert.equal(links(['bin', 'usr/bin']).directory('bin/deep'), 'usr/bin/deep');
    assert.equal(links(['bin', '/usr/bin/']).directory('bin'), 'usr/bin');
    assert.equal(links(['var/run', '../run']).directory('var/run/x'), 'run/x');
    assert.equal(links(['a/b/l', '.././c//d']).directory('a/b/l'), 'a/c/d');
    assert.equal(links(['l', '../../../etc']).directory('l'), 'etc');
  });

  test('dots in a target count from where the link really lies', () => {
    const { directory } = links(['lib', 'usr/lib'], ['lib/here', '../share']);
    assert.equal(directory('lib/here'), 'usr/share');
    assert.equal(directory('usr/lib/here'), 'usr/share');
  });

  test('a link itself stays in the directory that it is in', () => {
    const { entry } = links(['lib', 'usr/lib'], ['usr/lib/old', 'new']);
    assert.equal(entry(link('lib', 'usr/lib')), 'lib');
    assert.equal(entry(link('lib/old', 'new')), 'usr/lib/old');
    assert.equal(entry(folder('lib/old')), 'usr/lib/new');
    assert.equal(entry(file('lib/old/f', '')), 'usr/lib/new/f');
  });

  test('links lead through links, also where one is named by a way through another', () => {
    const chain = links(['a', 'b'], ['b', 'c'], ['c', 'd/e']);
    assert.equal(chain.directory('a/f'), 'd/e/f');
    // l/x lies in m/z only because of the link m/y, which is no higher up.
    const late = links(['l', 'm/y'], ['l/x', 'target'], ['m/y', 'z']);
    assert.equal(late.directory('m/z/x'), 'm/z/target');
    assert.equal(late.directory('l/x'), 'm/z/target');
  });

  test('the link of the first package counts, and a later package’s links hold for earlier ones', () => {
    const { directory, followed } = directoryLinks([
      contentsOf({ name: 'early', entries: [folder('lib'), file('lib/f', '')] }),
      contentsOf({ name: 'base', entries: [link('lib', 'usr/lib')] }),
      contentsOf({ name: 'other', entries: [link('lib', 'usr/lib64')] }),
    ]);
    assert.deepEqual([...followed], []);
    assert.equal(directory('lib'), 'usr/lib');
    assert.deepEqual([...followed], [['lib', 'usr/lib']]);
  });

  test('links that lead in a circle are refused when something lies below them, and only then', () => {
    const round = links(['a', 'b'], ['b', 'a'], ['self', 'self']);
    assert.equal(round.directory('c'), 'c');
    assert.equal(round.entry(link('a', 'b')), 'a');
    assert.throws(() => round.directory('a/x'), hasCode('file-conflict', /\/a\/x leads .* in a circle/));
    assert.throws(() => round.directory('self'), hasCode('file-conflict'));
  });

  test('a chain of forty links is followed, as Linux follows it', () => {
    const chain = Array.from({ length: 41 }, (_, index) => [`l${index}`, `l${index + 1}`] as const);
    assert.equal(links(...chain).directory('l1'), 'l41');
    assert.throws(() => links(...chain).directory('l0'), hasCode('file-conflict'));
  });
});
