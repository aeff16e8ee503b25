import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { localRun, succeeds } from './local-run.ts';

describe('autoconf', {
  skip: spawnSync('make', ['--version']).status === 0 ? false : 'no make on this machine',
}, () => {
  test('configures, makes and installs into the output directory without libtool archives', (context) => {
    const root = localRun(context);
    root.files({
      'src/configure': '#!/bin/sh\nprintf \'%s\\n\' "$@" > options\n',
      'src/Makefile':
        'all:\n\techo built $(V) $(X) > built\ninstall:\n\tmkdir -p $(DESTDIR)/usr/lib\n\tcp built $(DESTDIR)/usr/lib/\n\ttouch $(DESTDIR)/usr/lib/x.la\n',
    });
    chmodSync(join(root.folder, 'src/configure'), 0o755);
    succeeds(
      root.run(
        JSON.stringify([
          { uses: 'autoconf/configure', with: { dir: 'src', opts: '--one \\\n  --two="a b"\n' } },
          { uses: 'autoconf/make', with: { dir: 'src', opts: 'X="y z"\n', targets: 'all' } },
          { uses: 'autoconf/make-install', with: { dir: 'src' } },
        ]),
      ),
    );
    assert.deepEqual(root.read('src/options').trim().split('\n'), [
      '--host=x86_64-pc-linux-gnu',
      '--build=x86_64-pc-linux-gnu',
      '--prefix=/usr',
      '--libdir=/usr/lib',
      '--mandir=/usr/share/man',
      '--infodir=/usr/share/info',
      '--sysconfdir=/etc',
      '--localstatedir=/var',
      '--one',
      '--two=a b',
    ]);
    assert.deepEqual(root.list('melange-out/thing'), ['usr/lib/built']);
    assert.equal(root.read('melange-out/thing/usr/lib/built'), 'built 1 y z\n');
  });
});
