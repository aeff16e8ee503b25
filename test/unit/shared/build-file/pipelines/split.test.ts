import assert from 'node:assert/strict';
import { existsSync, lstatSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fails, localRun, succeeds } from './local-run.ts';

describe('split', () => {
  test('dev takes headers, metadata, static libraries and the links for the linker', (context) => {
    const root = localRun(context);
    const destination = 'melange-out/thing';
    root.files({
      [`${destination}/usr/include/thing.h`]: '',
      [`${destination}/usr/lib/pkgconfig/thing.pc`]: '',
      [`${destination}/usr/lib/libthing.so.1.2`]: 'elf',
      [`${destination}/usr/lib/libthing.a`]: '',
      [`${destination}/usr/lib/plugin.so`]: 'a file, no link',
      [`${destination}/usr/bin/thing-config`]: '',
      [`${destination}/usr/bin/thing`]: '',
      [`${destination}/usr/share/doc/deep/include/x y.h`]: '',
      [`${destination}/usr/share/cmake/Thing/a.cmake`]: '',
      [`${destination}/usr/share/gir-1.0/Thing.gir`]: '',
    });
    symlinkSync('libthing.so.1.2', join(root.folder, destination, 'usr/lib/libthing.so'));
    symlinkSync('libthing.so.1.2', join(root.folder, destination, 'usr/lib/libthing.so.1'));
    succeeds(root.run('[{uses: split/dev}]', 'subpackage'));
    assert.deepEqual(root.list(destination), [
      'usr/bin/thing',
      'usr/lib/libthing.so.1',
      'usr/lib/libthing.so.1.2',
      'usr/lib/plugin.so',
    ]);
    assert.deepEqual(root.list('melange-out/s'), [
      'usr/bin/thing-config',
      'usr/include/thing.h',
      'usr/lib/libthing.a',
      'usr/lib/libthing.so',
      'usr/lib/pkgconfig/thing.pc',
      'usr/share/cmake/Thing/a.cmake',
      'usr/share/doc/deep/include/x y.h',
      'usr/share/gir-1.0/Thing.gir',
    ]);
    assert.ok(lstatSync(join(root.folder, 'melange-out/s/usr/lib/libthing.so')).isSymbolicLink());
    assert.equal(existsSync(join(root.folder, destination, 'usr/lib/pkgconfig')), false);
  });

  test('dev under another prefix leaves /usr alone, and nothing to move is no error', (context) => {
    const root = localRun(context);
    root.files({ 'melange-out/thing/opt/x/include/a.h': '', 'melange-out/thing/usr/lib/b.a': '' });
    succeeds(root.run('[{uses: split/dev, with: {prefix: //opt/x}}]', 'subpackage'));
    assert.deepEqual(root.list('melange-out/s'), ['opt/x/include/a.h']);
    succeeds(root.run('[{uses: split/dev, with: {package: absent}}]', 'subpackage'));
  });

  test('in the main package it would move files onto themselves and fails', (context) => {
    const root = localRun(context);
    for (const name of [
      'dev',
      'manpages',
      'alldocs',
      'bin',
      'lib',
      'static',
      'infodir',
      'locales',
      'debug',
    ]) {
      fails(root.run(`[{uses: split/${name}}]`), /onto themselves/);
    }
  });

  test('manpages gathers all three places and removes what is empty', (context) => {
    const root = localRun(context);
    root.files({
      'melange-out/thing/usr/share/man/man1/a.1': '',
      'melange-out/thing/usr/local/share/man/man3/b.3': '',
      'melange-out/thing/usr/man/c.7': '',
      'melange-out/thing/usr/bin/thing': '',
    });
    succeeds(root.run('[{uses: split/manpages}]', 'subpackage'));
    assert.deepEqual(root.list('melange-out/s'), [
      'usr/share/man/c.7',
      'usr/share/man/man1/a.1',
      'usr/share/man/man3/b.3',
    ]);
    assert.deepEqual(readdirSync(join(root.folder, 'melange-out/thing/usr')), ['bin']);
    succeeds(root.run('[{uses: split/manpages}]', 'subpackage'));
  });

  test('alldocs, infodir, locales and static take what their names say', (context) => {
    const root = localRun(context);
    root.files({
      'melange-out/thing/usr/share/info/dir': '',
      'melange-out/thing/usr/share/info/a.info': '',
      'melange-out/thing/usr/share/doc/thing/README': '',
      'melange-out/thing/usr/share/man/man1/a.1': '',
      'melange-out/other/usr/share/info/dir': '',
      'melange-out/other/usr/share/info/b.info': '',
      'melange-out/other/usr/share/locale/de/x.mo': '',
      'melange-out/other/usr/lib/deep/l.a': '',
      'melange-out/other/lib/m.a': '',
      'melange-out/other/opt/n.a': '',
    });
    succeeds(root.run('[{uses: split/alldocs}]', 'subpackage'));
    assert.deepEqual(root.list('melange-out/s'), [
      'usr/share/doc/thing/README',
      'usr/share/info/a.info',
      'usr/share/man/man1/a.1',
    ]);
    assert.equal(existsSync(join(root.folder, 'melange-out/thing/usr')), false);
    rmSync(join(root.folder, 'melange-out/s'), { recursive: true });
    const other = '{package: other}';
    succeeds(
      root.run(
        `[{uses: split/infodir, with: ${other}}, {uses: split/locales, with: ${other}}, {uses: split/static, with: ${other}}]`,
        'subpackage',
      ),
    );
    assert.deepEqual(root.list('melange-out/s'), [
      'lib/m.a',
      'usr/lib/deep/l.a',
      'usr/share/info/b.info',
      'usr/share/locale/de/x.mo',
    ]);
    assert.deepEqual(root.list('melange-out/other'), ['opt/n.a']);
  });

  test('bin takes the programs, and their absence is an error', (context) => {
    const root = localRun(context);
    root.files({ 'melange-out/thing/usr/bin/a': '', 'melange-out/thing/etc/x': '' });
    succeeds(root.run('[{uses: split/bin}]', 'subpackage'));
    assert.deepEqual(root.list('melange-out/s'), ['usr/bin/a']);
    assert.equal(existsSync(join(root.folder, 'melange-out/thing/usr/bin')), false);
    fails(root.run('[{uses: split/bin}]', 'subpackage'), /there is no/);
  });

  test('lib takes versioned libraries, all or by pattern, also from further paths', (context) => {
    const root = localRun(context);
    root.files({
      'melange-out/thing/usr/lib/liba.so.1': '',
      'melange-out/thing/usr/lib/libb.so.2.0': '',
      'melange-out/thing/usr/lib/libb.so': '',
      'melange-out/thing/usr/lib/deep/libc.so.1': '',
      'melange-out/thing/opt/lib/libd.so.1': '',
    });
    succeeds(root.run('[{uses: split/lib, with: {patterns: a, paths: /opt/lib}}]', 'subpackage'));
    assert.deepEqual(root.list('melange-out/s'), ['usr/lib/liba.so.1']);
    succeeds(root.run('[{uses: split/lib, with: {paths: "opt/lib\\nnowhere"}}]', 'subpackage'));
    assert.deepEqual(root.list('melange-out/s'), [
      'opt/lib/libd.so.1',
      'usr/lib/liba.so.1',
      'usr/lib/libb.so.2.0',
    ]);
    assert.equal(existsSync(join(root.folder, 'melange-out/thing/opt/lib')), false);
  });
});
