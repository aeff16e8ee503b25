/** Packages that put an environment to the test: conflicts, replacements, odd files, links where others have directories. */
import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { directory, symlink, textFile } from '../../../deploy/local/bootstrap/maintainer-work.ts';
import { readPackage } from '../../../shared/apk/package-read.ts';
import type { RawPackage, TestPackage } from './installable-packages.ts';

/** A folder whose path takes more than the hundred bytes of a plain tar header. */
export const LONG = `usr/share/odd/${'long-name-of-a-directory-'.repeat(3)}/${'another-one-'.repeat(7)}`;

/** In the order of installation, after Debian's. */
export const OWN: readonly (TestPackage | RawPackage)[] = [
  {
    name: 'odd',
    files: [
      ...['bin', 'lib', 'usr', 'usr/sbin', 'usr/share', 'usr/share/odd'].map((path) => directory(path)),
      { ...directory('lib/odd', 0o750), uid: 5, gid: 6 },
      ...['var', 'var/other'].map((path) => directory(path)),
      { ...directory('var/games', 0o2775), uid: 5, gid: 6 },
      directory(LONG.slice(0, LONG.lastIndexOf('/'))),
      directory(LONG),
      textFile('bin/setuid-tool', '#!/bin/sh\n', 0o4755),
      textFile('usr/sbin/odd', '#!/bin/sh\n', 0o755),
      textFile('lib/odd/secret', 'secret', 0o600),
      { ...textFile('usr/share/odd/owned', 'owned', 0o640), uid: 12, gid: 34 },
      textFile('usr/share/odd/größe ☃', 'snow'),
      textFile(`${LONG}/file`, 'long'),
    ],
  },
  {
    name: 'games',
    files: [
      ...['var', 'var/games'].map((path) => directory(path)),
      textFile('var/games/score', '0'),
      { ...directory('var/other', 0o2775), uid: 5, gid: 6 },
    ],
  },
  { name: 'implicit', entries: [{ name: 'var/games/implied', type: 'file', mode: 0o644, content: 'i' }] },
  {
    name: 'raw',
    entries: [
      { name: '.dummy', type: 'file', mode: 0o644, content: '' },
      { name: '.hidden', type: 'file', mode: 0o644, content: 'no file of the package' },
      { name: './', type: 'directory', mode: 0o700, uid: 7, gid: 7 },
      { name: 'usr/lib/raw/first', type: 'file', mode: 0o755, uid: 3, content: 'one inode' },
      { name: 'usr/lib/raw/second', type: 'hardlink', mode: 0o755, uid: 3, linkName: 'usr/lib/raw/first' },
      { name: 'lib/moved/first', type: 'file', mode: 0o755, content: 'one inode below a link' },
      { name: 'lib/moved/second', type: 'hardlink', mode: 0o755, linkName: 'lib/moved/first' },
    ],
  },
  {
    name: 'twice',
    entries: [
      { name: 'bin/twice', type: 'file', mode: 0o755, content: 'in /bin' },
      { name: 'usr/bin/twice', type: 'file', mode: 0o755, content: 'in /usr/bin' },
    ],
  },
  {
    name: 'keeper',
    files: [
      directory('etc'),
      textFile('etc/kept.conf', 'the first', 0o600),
      textFile('etc/shared', 'same', 0o600),
    ],
    about: { replaces: ['loser'] },
  },
  {
    name: 'loser',
    files: [directory('etc'), textFile('etc/kept.conf', 'the second'), textFile('etc/shared', 'same')],
  },
  {
    name: 'accounts',
    files: [
      directory('etc'),
      textFile(
        'etc/passwd',
        'root:x:0:0:root:/root:/bin/sh\ngame:x:5:6:games:/srv/deep/game:/bin/sh\nnone:x:9:9::/dev/null:/bin/sh\nlast:x:10:11::/srv/last:/bin/sh',
      ),
    ],
    about: { replaces: ['bootstrap-base'] },
  },
  {
    name: 'old-half',
    files: [...['usr', 'usr/share'].map((path) => directory(path)), textFile('usr/share/overwritten', 'old')],
    about: { origin: 'halves' },
  },
  {
    name: 'new-half',
    files: [
      ...['usr', 'usr/share'].map((path) => directory(path)),
      textFile('usr/share/overwritten', 'new', 0o600),
    ],
    about: { origin: 'halves' },
  },
  {
    name: 'early',
    files: [directory('opt'), directory('opt/place', 0o711), textFile('opt/place/file', 'early')],
  },
  {
    name: 'late',
    files: [
      ...['opt', 'usr', 'usr/lib', 'usr/lib/late'].map((path) => directory(path)),
      symlink('opt/place', '/usr/lib/late'),
    ],
  },
  { name: 'merged-sbin', files: [directory('usr'), symlink('usr/sbin', 'bin')] },
  {
    name: 'scripted',
    files: [],
    about: { triggers: ['/usr/share/odd', '/usr/lib/*'] },
    scriptlets: { 'post-install': '#!/bin/sh\ntouch /ran\n', trigger: '#!/bin/sh\ntouch /triggered\n' },
  },
];

/** Packages of the base layer: of Debian's, the one that links /bin, and of ours some that others have files of. */
export const BASE = ['bootstrap-base', 'libc6', 'bash', 'new-half', 'raw', 'accounts'];

const CONFLICTING: TestPackage = {
  name: 'other-bash',
  files: [directory('bin'), textFile('bin/bash', 'another shell', 0o755)],
};

/** Not in the environment of most tests: with it, layers are put together in another way. */
const DOTTED: RawPackage = {
  name: 'dotted',
  entries: [
    { name: 'usr/share/dotted', type: 'file', mode: 0o644, content: '' },
    { name: '.later', type: 'file', mode: 0o640, content: 'a file of the package' },
  ],
};

/** Those that are not in the environment of most tests. */
export const SPECIAL = [
  CONFLICTING,
  DOTTED,
  { name: 'release', files: [directory('etc'), symlink('etc/os-release', '../usr/lib/os-release')] },
];

/** A package with a library under another name than the library's own, which ldconfig(8) would link to it. */
export async function libraryWithoutLink(folder: string): Promise<TestPackage> {
  const name = (await readdir(folder)).find((file) => file.startsWith('libacl1-')) ?? '';
  const { entries } = await readPackage(createReadStream(join(folder, name)));
  const libraries: Buffer[] = [];
  for await (const entry of entries) {
    if (entry.type === 'file' && /\/libacl\.so\.[\d.]+$/.test(entry.name)) {
      libraries.push(Buffer.concat(await Array.fromAsync(entry.content)));
    }
  }
  const [library] = libraries;
  assert.ok(library !== undefined);
  const file = textFile('usr/lib/libunlinked.so.7', library, 0o755);
  return { name: 'unlinked', files: [directory('usr'), directory('usr/lib'), file] };
}
