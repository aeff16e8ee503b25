import assert from 'node:assert/strict';
import { test } from 'node:test';
import { busyboxLinks, busyboxPackage } from '../../../../runner/environment/busybox.ts';
import { BASE_DIRECTORIES } from '../../../../runner/environment/database.ts';
import { fileTree } from '../../../../runner/environment/file-tree.ts';
import type { LockedPackage } from '../../../../runner/environment/lock.ts';
import { file, folder, link, lockedOf } from './small-packages.ts';

function linksOf(
  packages: readonly LockedPackage[],
  taken: readonly string[] = [],
): readonly string[] | undefined {
  const contents = packages.map((one) => one.contents);
  const places = contents.map((_, index) => index);
  return busyboxLinks(packages, fileTree({ packages: contents, places, base: BASE_DIRECTORIES }), taken);
}

const program = file('bin/busybox', 'program');
const busybox = (list: string): LockedPackage =>
  lockedOf({ name: 'busybox', entries: [program], texts: { 'etc/busybox-paths.d/busybox': list } });

test('every path of the list that nothing else has becomes a link, once', () => {
  const others = lockedOf({
    name: 'others',
    entries: [file('usr/bin/vi', 'vi'), link('usr/bin/awk', 'gawk'), folder('opt/tool')],
  });
  const list = '/bin/sh\n/usr/bin/vi\nusr/bin/awk\n//sbin/init\n/opt/tool\n/bin/sh\n\n';
  assert.deepEqual(linksOf([busybox(list), others]), ['bin/sh', 'sbin/init']);
});

test('a path counts by where it really lies', () => {
  const base = lockedOf({ name: 'base', entries: [link('bin', 'usr/bin')] });
  const vi = lockedOf({ name: 'vi', entries: [file('usr/bin/vi', 'vi')] });
  assert.deepEqual(linksOf([base, busybox('/bin/vi\n/bin/sh\n/usr/bin/sh\n'), vi]), ['usr/bin/sh']);
});

test('what the build file makes is left to it', () => {
  assert.deepEqual(linksOf([busybox('/bin/sh\n/usr/bin/vi\n')], ['/usr/bin/vi/']), ['bin/sh']);
  const base = lockedOf({ name: 'base', entries: [link('bin', 'usr/bin')] });
  assert.deepEqual(linksOf([base, busybox('/bin/vi\n')], ['/usr/bin/vi']), []);
});

test('without a list, or without the program, nothing is known', () => {
  assert.equal(linksOf([lockedOf({ name: 'busybox', entries: [program] })]), undefined);
  const texts = { 'etc/busybox-paths.d/busybox': '/bin/sh\n' };
  assert.equal(linksOf([lockedOf({ name: 'busybox', entries: [], texts })]), undefined);
  assert.equal(linksOf([]), undefined);
});

test('the list is that of the package named busybox, else of the last whose provides have the word', () => {
  const entries = [program];
  const one = lockedOf({ name: 'one', entries, provides: ['busybox=1'] });
  const two = lockedOf({
    name: 'two',
    entries: [],
    texts: { 'etc/busybox-paths.d/two': '/bin/two\n' },
    provides: ['cmd:busybox=1'],
  });
  assert.equal(busyboxPackage([one, two]), 'two');
  assert.deepEqual(linksOf([one, two]), ['bin/two']);
  assert.equal(busyboxPackage([two, one]), 'one');
  assert.equal(linksOf([two, one]), undefined);
  assert.equal(busyboxPackage([busybox(''), two]), 'busybox');
  assert.equal(busyboxPackage([lockedOf({ name: 'bash', entries: [] })]), undefined);
});
