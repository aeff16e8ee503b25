import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  BASE_DIRECTORIES,
  databaseTar,
  type EnvironmentSettings,
} from '../../../../runner/environment/database.ts';
import { fileTree } from '../../../../runner/environment/file-tree.ts';
import { readTar } from '../../../../shared/apk/tar-read.ts';
import { inMemory } from '../../shared/apk/package-fixture.ts';
import { file, folder, link, lockedOf, type SmallPackage } from './small-packages.ts';

const SETTINGS: EnvironmentSettings = {
  arch: 'x86_64',
  world: ['b', 'a>1', 'b'],
  repositories: ['https://b.test', 'https://a.test'],
  keys: new Map([['test.rsa.pub', 'PEM']]),
  configuration: { contents: {} },
};

type Settings = Partial<Parameters<typeof databaseTar>[2]>;

interface Member {
  readonly type: string;
  readonly attributes: string;
  readonly content: Buffer;
}

async function members(
  packages: readonly SmallPackage[],
  settings: Settings = {},
): Promise<Map<string, Member>> {
  return membersOf(tarOf(packages, settings));
}

function tarOf(packages: readonly SmallPackage[], settings: Settings = {}): Buffer {
  const locked = packages.map(lockedOf);
  const tree = fileTree({
    packages: locked.map((one) => one.contents),
    places: locked.map((_, index) => index),
    base: BASE_DIRECTORIES,
  });
  return databaseTar(locked, tree, { ...SETTINGS, links: [], ...settings });
}

async function membersOf(tar: Buffer): Promise<Map<string, Member>> {
  const found = new Map<string, Member>();
  for await (const entry of readTar(inMemory(tar))) {
    const content = Buffer.concat(await Array.fromAsync(entry.content));
    assert.ok(!found.has(entry.name), entry.name);
    const attributes = `${entry.uid}:${entry.gid}:${entry.mode.toString(8)}`;
    found.set(entry.name, { type: entry.type, attributes, content });
  }
  return found;
}

const text = (found: ReadonlyMap<string, Member>, name: string): string | undefined =>
  found.get(name)?.content.toString();

describe('the package database of an environment', () => {
  test('says what was asked for, sorted and once each', async () => {
    const found = await members([]);
    assert.equal(text(found, 'etc/apk/world'), 'a>1\nb\n');
    assert.equal(text(found, 'etc/apk/arch'), 'x86_64\n');
    assert.equal(text(found, 'etc/apk/repositories'), 'https://a.test\nhttps://b.test\n');
    assert.equal(text(found, 'etc/apk/keys/test.rsa.pub'), 'PEM');
    assert.equal(text(found, 'etc/apko.json'), '{"contents":{}}\n');
    assert.equal(found.get('etc/apko.json')?.attributes, '0:0:444');
    assert.equal(found.get('usr/lib/apk/db/lock')?.attributes, '0:0:600');
    assert.equal(text(found, 'usr/lib/apk/db/installed'), '');
    assert.equal(text(found, 'usr/lib/apk/db/triggers'), '');
    assert.equal(
      (await membersOf(found.get('usr/lib/apk/db/scripts.tar')?.content ?? Buffer.alloc(0))).size,
      0,
    );
  });

  test('brings the directories that are there in any case, before the files in them', async () => {
    const found = await members([]);
    assert.equal(found.get('./')?.attributes, '0:0:755');
    assert.equal(found.get('tmp/')?.attributes, '0:0:1777');
    assert.equal(found.get('proc/')?.attributes, '0:0:555');
    for (const path of ['usr/lib/apk/exec/', 'var/cache/misc/', 'etc/apk/keys/'])
      assert.ok(found.has(path), path);
    const names = [...found.keys()];
    for (const [index, name] of names.entries()) {
      const parent = name.replace(/[^/]+\/?$/, '');
      if (parent !== '' && name !== './')
        assert.ok(names.indexOf(parent) < index && names.includes(parent), name);
    }
  });

  test('sets disputed directories to what the first package gives them, and no others', async () => {
    const owned = { uid: 5, gid: 6, mode: 0o2775 };
    const found = await members([
      { name: 'one', entries: [folder('var/games', owned), folder('srv', owned)] },
      { name: 'two', entries: [folder('var/games'), folder('srv', owned)] },
    ]);
    assert.equal(found.get('var/games/')?.attributes, '5:6:2775');
    assert.ok(!found.has('srv/'));
  });

  test('lies where links of the packages lead', async () => {
    const found = await members([
      {
        name: 'one',
        entries: [link('etc', 'usr/etc'), link('usr/lib', '/lib'), folder('lib', { mode: 0o711 })],
      },
    ]);
    for (const path of ['usr/etc/apk/world', 'lib/apk/db/installed', 'usr/etc/apko.json']) {
      assert.ok(found.has(path), path);
    }
    assert.ok(![...found.keys()].some((path) => /^(etc|usr\/lib)\//.test(path)));
  });

  test('leaves a key alone that a package brings', async () => {
    const path = 'etc/apk/keys/test.rsa.pub';
    assert.ok(!(await members([{ name: 'keys', entries: [file(path, 'PEM\n')] }])).has(path));
  });

  test('holds the scriptlets under the names of apk-tools, and the triggers by checksum', async () => {
    const found = await members([
      {
        name: 'one',
        entries: [],
        triggers: ['/usr/share/*', '/lib'],
        scriptlets: { 'post-install': Buffer.from('#!/bin/sh\n').toString('base64') },
      },
      { name: 'two', entries: [] },
    ]);
    assert.equal(text(found, 'usr/lib/apk/db/triggers'), 'Q1one/+= /usr/share/* /lib\n');
    const scripts = await membersOf(found.get('usr/lib/apk/db/scripts.tar')?.content ?? Buffer.alloc(0));
    assert.deepEqual([...scripts.keys()], ['one-1-r0.Q1one/+=.post-install']);
    assert.equal(text(scripts, 'one-1-r0.Q1one/+=.post-install'), '#!/bin/sh\n');
    assert.equal(scripts.get('one-1-r0.Q1one/+=.post-install')?.attributes, '0:0:755');
  });

  test('lists a file that another package took over with that one alone, and directories with all', async () => {
    const installed =
      text(
        await members([
          { name: 'one', entries: [folder('opt/x'), file('opt/x/f', '1')] },
          { name: 'two', entries: [folder('opt/x'), file('opt/x/f', '2')], replaces: ['one'] },
        ]),
        'usr/lib/apk/db/installed',
      ) ?? '';
    assert.deepEqual(installed.match(/^[PFRr]:.*/gm), [
      'P:one',
      'F:opt/x',
      'P:two',
      'r:one',
      'F:opt/x',
      'R:f',
    ]);
  });

  test('is the same for the same environment', () => {
    const packages = [{ name: 'one', entries: [folder('a'), file('a/f', '1')] }];
    assert.deepEqual(tarOf(packages), tarOf(packages));
  });
});
