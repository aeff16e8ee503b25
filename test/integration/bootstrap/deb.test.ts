import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { mergedPath, spoolFiles } from '../../../deploy/local/bootstrap/deb-files.ts';
import { openDeb, parseControl } from '../../../deploy/local/bootstrap/deb-read.ts';
import { additionsFor } from '../../../deploy/local/bootstrap/maintainer-work.ts';
import { dependsOf, packagesOf, providesOf, replacesOf } from '../../../deploy/local/bootstrap/relations.ts';
import type { PackageFile } from '../../../shared/apk/package-write.ts';
import { PipelineError } from '../../../shared/errors.ts';

const hasDpkgDeb = existsSync('/usr/bin/dpkg-deb');

function hasCode(code: string, pattern = /./): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof PipelineError && thrown.code === code && pattern.test(thrown.message);
}

async function textOf(file: PackageFile | undefined): Promise<string> {
  return Buffer.concat(await Array.fromAsync(file?.open?.() ?? [])).toString();
}

describe('Debian packages', { skip: !hasDpkgDeb && 'no dpkg-deb here' }, () => {
  let folder = '';

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'deb-'));
    const tree = join(folder, 'tree');
    const put = (path: string, content: string): void => {
      mkdirSync(dirname(join(tree, path)), { recursive: true });
      writeFileSync(join(tree, path), content);
    };
    put(
      'DEBIAN/control',
      'Package: demo\nVersion: 1:2.0-3+deb12u1\nArchitecture: all\nMaintainer: A <a@example.org>\nDepends: libc6 (>= 2.34),\n awk | mawk\nDescription: a demo\n longer text\n .\n more\n',
    );
    put('bin/tool', 'tool');
    put('usr/bin/other', 'other');
    put('lib/x/libdemo.so.1', 'library');
    put('usr/share/doc/demo/copyright', 'licence');
    put('usr/share/doc/demo/changelog', 'left out');
    put('usr/share/man/man1/tool.1', 'left out');
    put('usr/share/locale/de/LC_MESSAGES/demo.mo', 'left out');
    put('sbin/große Datei', 'ü');
    chmodSync(join(tree, 'bin/tool'), 0o4755);
    linkSync(join(tree, 'bin/tool'), join(tree, 'bin/tool-again'));
    symlinkSync('/bin/tool', join(tree, 'usr/bin/tool'));
    symlinkSync('../usr/bin/other', join(tree, 'bin/climbs'));
    symlinkSync('libdemo.so.1', join(tree, 'lib/x/libdemo.so'));
    symlinkSync('../x/libdemo.so.1', join(tree, 'lib/x/up'));
    symlinkSync('usr/lib64', join(tree, 'lib64'));
    for (const form of ['xz', 'gzip', 'zstd', 'none']) {
      execFileSync(
        'dpkg-deb',
        [
          '--root-owner-group',
          '--build',
          `-Z${form}`,
          '--uniform-compression',
          tree,
          join(folder, `${form}.deb`),
        ],
        { stdio: 'pipe' },
      );
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const form of ['xz', 'gzip', 'zstd', 'none']) {
    test(`are read with parts compressed by ${form}`, async () => {
      const deb = await openDeb(join(folder, `${form}.deb`));
      assert.equal(deb.fields.get('package'), 'demo');
      assert.equal(deb.fields.get('depends'), 'libc6 (>= 2.34),\nawk | mawk');
      assert.equal(deb.fields.get('description'), 'a demo\nlonger text\n.\nmore');
      const tar = Buffer.concat(await Array.fromAsync(deb.data()));
      assert.ok(tar.equals(execFileSync('dpkg-deb', ['--fsys-tarfile', join(folder, `${form}.deb`)])));
      assert.ok(deb.builtAt > 1_600_000_000);
    });
  }

  test('are refused when cut or no packages at all', async () => {
    for (const form of ['xz', 'gzip', 'zstd']) {
      const bytes = readFileSync(join(folder, `${form}.deb`));
      for (const end of [0, 4, 70, 100, Math.floor(bytes.length / 2), bytes.length - 20]) {
        const path = join(folder, 'cut.deb');
        writeFileSync(path, bytes);
        truncateSync(path, end);
        await assert.rejects(openDeb(path), hasCode('tar-malformed', /cut\.deb/), `${form} cut at ${end}`);
      }
    }
    writeFileSync(join(folder, 'text.deb'), 'no archive, just some text');
    await assert.rejects(openDeb(join(folder, 'text.deb')), hasCode('tar-malformed', /no ar archive/));
  });

  for (const [form, suffix] of [
    ['xz', 'xz'],
    ['gzip', 'gz'],
    ['zstd', 'zst'],
  ] as const) {
    test(`damaged data compressed by ${form} ends the reading`, async () => {
      const bytes = readFileSync(join(folder, `${form}.deb`));
      const start = bytes.indexOf(`data.tar.${suffix}`);
      bytes.fill(0x55, start + 120, start + 200);
      writeFileSync(join(folder, 'damaged.deb'), bytes);
      const deb = await openDeb(join(folder, 'damaged.deb'));
      await assert.rejects(Array.fromAsync(deb.data()), hasCode('tar-malformed', /damaged/));
    });
  }

  test('files move under /usr, hard links become copies, documentation goes, licences stay', async () => {
    const deb = await openDeb(join(folder, 'xz.deb'));
    const files = await spoolFiles(deb.data(), join(folder, 'spool'));
    const byPath = new Map(files.map((file) => [file.path, file]));
    const listed = files.filter((file) => file.type !== 'directory').map((file) => file.path);
    assert.deepEqual(listed.sort(), [
      'usr/bin/climbs',
      'usr/bin/other',
      'usr/bin/tool',
      'usr/bin/tool-again',
      'usr/lib/x/libdemo.so',
      'usr/lib/x/libdemo.so.1',
      'usr/lib/x/up',
      'usr/sbin/große Datei',
      'usr/share/doc/demo/copyright',
    ]);
    assert.equal(byPath.get('usr/bin/tool')?.type, 'file', 'the file wins against the link to it');
    assert.equal(byPath.get('usr/bin/tool')?.mode, 0o4755);
    assert.equal(byPath.get('usr/bin/tool-again')?.mode, 0o4755);
    assert.equal(await textOf(byPath.get('usr/bin/tool-again')), 'tool');
    assert.equal(await textOf(byPath.get('usr/bin/tool')), 'tool');
    assert.equal(await textOf(byPath.get('usr/sbin/große Datei')), 'ü');
    assert.equal(byPath.get('usr/bin/climbs')?.linkName, '/usr/bin/other');
    assert.equal(byPath.get('usr/lib/x/libdemo.so')?.linkName, 'libdemo.so.1');
    assert.equal(byPath.get('usr/lib/x/up')?.linkName, '../x/libdemo.so.1');
    assert.equal(files.filter((file) => file.path === 'usr/bin').length, 1);
  });

  test('paths outside the merged folders stay', () => {
    assert.equal(mergedPath('bin/a'), 'usr/bin/a');
    assert.equal(mergedPath('lib64'), 'usr/lib64');
    for (const path of ['binary/a', 'usr/bin/a', 'etc/bin', 'library']) assert.equal(mergedPath(path), path);
  });
});

describe('relations of Debian packages', () => {
  const packages = packagesOf(
    [
      'Package: gawk\nProvides: awk',
      'Package: libc6\nProvides: libc6-2.36',
      'Package: perl-base\nProvides: perlapi (= 5.36), gawk',
      'Package: tool',
    ].map(parseControl),
  );
  const depends = (field: string): string[] => dependsOf(parseControl(`Package: tool\n${field}`), packages);

  test('versions and architectures go, the first alternative there is taken, virtual names are resolved', () => {
    assert.deepEqual(depends('Depends: libc6 (>= 2.34), mawk | gawk, perlapi:any (= 5.36) [amd64]'), [
      'gawk',
      'libc6',
      'perl-base',
    ]);
    assert.deepEqual(depends('Pre-Depends: awk\nDepends: awk, original-awk | awk'), ['gawk']);
  });

  test('what only maintainer scripts need is left out, and a package never needs itself', () => {
    assert.deepEqual(depends('Depends: debconf (>= 0.5) | debconf-2.0, dpkg (>= 1.15), tool'), []);
  });

  test('a dependency that is not there is an error', () => {
    assert.throws(() => depends('Depends: nothing | nobody'), hasCode('unsolvable', /nothing or nobody/));
  });

  test('a provide that is the name of a real package is dropped, replaces are those of the repository', () => {
    const fields = parseControl(
      'Package: perl-base\nProvides: perlapi (= 5.36), gawk\nReplaces: libc6 (<< 2), gone, perl-base',
    );
    assert.deepEqual(providesOf(fields, packages), ['perlapi']);
    assert.deepEqual(replacesOf(fields, packages), ['libc6']);
  });

  test('links of the alternatives system are made only where their program is and the name is free', async () => {
    const file = (path: string): PackageFile => ({
      path,
      type: 'file',
      mode: 0o755,
      uid: 0,
      gid: 0,
      uname: '',
      gname: '',
      size: 0,
    });
    const additions = async (name: string, paths: readonly string[]): Promise<string[]> => {
      const made = await additionsFor({
        name,
        files: paths.map(file),
        packages,
        programPath: '/nowhere/busybox',
      });
      return made.files.map((one) => `${one.path} → ${one.linkName}`);
    };
    assert.deepEqual(await additions('gawk', ['usr/bin/gawk']), [
      'usr/bin/awk → gawk',
      'usr/bin/nawk → gawk',
    ]);
    assert.deepEqual(await additions('mawk', ['usr/bin/mawk']), [], 'gawk has the names already');
    assert.deepEqual(await additions('automake', ['usr/bin/automake-1.17', 'usr/bin/aclocal']), [
      'usr/bin/automake → automake-1.17',
    ]);
    assert.deepEqual(await additions('bash', ['usr/bin/bash']), ['usr/bin/sh → bash']);
  });
});
