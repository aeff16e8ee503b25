import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import {
  collectEntries,
  formatContents,
  type InstalledEntry,
  parseContents,
} from '../../../../shared/apk/package-contents.ts';
import { verifyPackage } from '../../../../shared/apk/package-read.ts';
import { writePackage } from '../../../../shared/apk/package-write.ts';
import { readTar } from '../../../../shared/apk/tar-read.ts';
import { TAR_END, type TarHeaderFields, tarHeader, tarPadding } from '../../../../shared/apk/tar-write.ts';
import { hasCode, inMemory, type PackageFixture, packageFixture } from './package-fixture.ts';

type Member = Partial<TarHeaderFields> & { readonly name: string; readonly content?: string };

async function collected(members: readonly Member[]): Promise<readonly InstalledEntry[]> {
  const parts = members.flatMap(({ content = '', ...header }) => [
    tarHeader({ type: 'file', mode: 0o644, ...header, size: Buffer.byteLength(content) }),
    Buffer.from(content),
    tarPadding(Buffer.byteLength(content)),
  ]);
  const collector = collectEntries();
  for await (const entry of readTar(inMemory(Buffer.concat([...parts, TAR_END])))) await collector.add(entry);
  return collector.entries;
}

const sha1 = (text: string): string => createHash('sha1').update(text).digest('base64');
const paths = (entries: readonly InstalledEntry[]): string[] => entries.map((one) => one.path);

describe('what a package contains', () => {
  test('has each path bare of slashes and dots, with owner, mode and target', async () => {
    const entries = await collected([
      { name: './usr/', type: 'directory', mode: 0o2775, uid: 5, gid: 6 },
      { name: 'usr//./f', content: 'text', mode: 0o4755, uid: 7 },
      { name: '/usr/l', type: 'symlink', linkName: '../f/./', mode: 0o777 },
      { name: 'usr/h', type: 'hardlink', linkName: './usr/f' },
      { name: './', type: 'directory' },
    ]);
    assert.deepEqual(entries, [
      { path: 'usr', type: 'directory', mode: 0o2775, uid: 5, gid: 6, sha1: '', target: '' },
      { path: 'usr/f', type: 'file', mode: 0o4755, uid: 7, gid: 0, sha1: sha1('text'), target: '' },
      {
        path: 'usr/l',
        type: 'symlink',
        mode: 0o777,
        uid: 0,
        gid: 0,
        sha1: sha1('../f/./'),
        target: '../f/./',
      },
      { path: 'usr/h', type: 'hardlink', mode: 0o644, uid: 0, gid: 0, sha1: '', target: 'usr/f' },
    ]);
  });

  test('takes a checksum that the entry carries, and makes one where that is missing or none', async () => {
    const carried = 'a'.repeat(40);
    const pax = (text: string): ReadonlyMap<string, Buffer> =>
      new Map([['APK-TOOLS.checksum.SHA1', Buffer.from(text)]]);
    const entries = await collected([
      { name: 'carried', content: 'x', pax: pax(carried) },
      { name: 'short', content: 'x', pax: pax('abc') },
      { name: 'none', content: 'x' },
      { name: 'empty' },
    ]);
    assert.deepEqual(
      entries.map((one) => one.sha1),
      [Buffer.from(carried, 'hex').toString('base64'), sha1('x'), sha1('x'), sha1('')],
    );
  });

  test('leaves out dot files at the top that stand before all others', async () => {
    assert.deepEqual(
      paths(
        await collected([{ name: '.dummy' }, { name: './.PKGINFO' }, { name: 'etc/.f' }, { name: '.later' }]),
      ),
      ['etc/.f', '.later'],
    );
  });

  test('has dot files further down and dot directories, also where they stand first', async () => {
    assert.deepEqual(paths(await collected([{ name: 'etc/.first' }])), ['etc/.first']);
    assert.deepEqual(
      paths(await collected([{ name: '.config/', type: 'directory' }, { name: '.config/f' }])),
      ['.config', '.config/f'],
    );
  });

  test('a path or hard link out of the root makes a package unusable', async () => {
    for (const member of [
      { name: '../etc/passwd' },
      { name: 'usr/../../f' },
      { name: 'h', type: 'hardlink', linkName: '../f' },
    ] as const) {
      await assert.rejects(collected([member]), hasCode('apk-malformed', /leads elsewhere/));
    }
  });
});

describe('the contents of a verified package', () => {
  let fixture: PackageFixture;
  before(async () => {
    fixture = await packageFixture();
  });
  after(() => fixture.remove());

  test('are its information, its scriptlets and its paths, and survive being written down', async () => {
    const written = await writePackage(
      fixture.options('contents.apk', {
        scriptlets: { 'post-install': '#!/bin/sh\ntrue\n', trigger: 'größe' },
      }),
    );
    const { contents } = await verifyPackage({ source: createReadStream(written.path) });
    assert.deepEqual(contents.info, written.info);
    assert.deepEqual(contents.scriptlets, {
      'post-install': Buffer.from('#!/bin/sh\ntrue\n').toString('base64'),
      trigger: Buffer.from('größe').toString('base64'),
    });
    const hello = contents.entries.find((one) => one.path === 'usr/bin/hello');
    assert.equal(hello?.sha1, sha1('#!/bin/sh\necho hello\n'));
    assert.equal(contents.entries.find((one) => one.path === 'usr/bin/hi')?.sha1, sha1('hello'));
    assert.deepEqual(parseContents(formatContents(contents)), contents);
    assert.equal(formatContents(parseContents(formatContents(contents))), formatContents(contents));
  });

  test('are refused where what was written down is something else', () => {
    assert.throws(() => parseContents('{'), SyntaxError);
    assert.throws(() => parseContents('{"info":{}}'), { name: /Zod/ });
  });
});
