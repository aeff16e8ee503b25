import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { readPackage, verifyPackage } from '../../../../shared/apk/package-read.ts';
import { type PackageFile, writePackage } from '../../../../shared/apk/package-write.ts';
import {
  directory,
  EPOCH,
  file,
  hasCode,
  inMemory,
  members,
  type PackageFixture,
  packageFixture,
  sampleFiles,
} from './package-fixture.ts';

const corpus = fileURLToPath(new URL('../../../../../shared/corpus/apks/', import.meta.url));

describe('writing apk packages', () => {
  let fixture: PackageFixture;

  before(async () => {
    fixture = await packageFixture();
  });
  after(() => fixture.remove());

  test('a written package reads back with every fact', async () => {
    const written = await writePackage(fixture.options('facts.apk'));
    const reading = await readPackage(createReadStream(written.path));
    assert.deepEqual(reading.info, written.info);
    assert.equal(reading.controlChecksum, written.controlChecksum);
    assert.equal(reading.melangeYaml, 'package:\n  name: hello\n');
    assert.deepEqual(
      [...reading.scriptlets].map(([name, text]) => [name, text.toString()]),
      [['post-install', '#!/bin/sh\ntrue\n']],
    );
    assert.deepEqual(
      reading.signatures.map((one) => one.keyName),
      ['test.rsa.pub'],
    );
    const entries = await Array.fromAsync(reading.entries, (entry) => entry);
    assert.deepEqual(
      entries.map(
        (one) =>
          `${one.type} ${one.mode.toString(8)} ${one.uid}:${one.gid} ${one.uname}:${one.gname} ${one.name}`,
      ),
      [
        'directory 755 0:0 root:root usr',
        'directory 755 0:0 root:root usr/bin',
        'file 4755 0:0 root:root usr/bin/hello',
        'symlink 777 0:0 root:root usr/bin/hi',
        'file 644 0:0 root:root usr/bin.txt',
        'file 644 0:0 root:root usr/cap',
        'file 644 65534:100 nobody:users usr/größe',
        'directory 1777 0:0 root:root usr/tmp',
      ],
    );
    const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex');
    const sums = entries.map((one) => one.pax.get('APK-TOOLS.checksum.SHA1')?.toString());
    assert.deepEqual(sums, [
      undefined,
      undefined,
      sha1('#!/bin/sh\necho hello\n'),
      sha1('hello'),
      sha1(''),
      sha1('x'),
      sha1(''),
      undefined,
    ]);
    assert.deepEqual(
      [...(entries[5]?.pax ?? [])].map(([name]) => name),
      ['APK-TOOLS.checksum.SHA1', 'SCHILY.xattr.security.capability'],
    );
    assert.deepEqual(entries[5]?.pax.get('SCHILY.xattr.security.capability'), Buffer.from([1, 0, 0, 2, 10]));
    assert.ok(entries.every((one) => one.mtime === EPOCH));
    // Root, three directories, a script of 21 bytes, a link of 5, a file of 1.
    assert.equal(written.info.installedSize, 4 * 4096 + 21 + 5 + 1);
  });

  test('the same input gives the same bytes, in whatever order the files come', async () => {
    const first = await writePackage(fixture.options('first.apk'));
    const second = await writePackage(fixture.options('second.apk', { files: sampleFiles().reverse() }));
    assert.ok(readFileSync(first.path).equals(readFileSync(second.path)));
    assert.equal(first.sha256, createHash('sha256').update(readFileSync(first.path)).digest('hex'));
    assert.equal(first.size, readFileSync(first.path).length);
    assert.deepEqual(
      readdirSync(fixture.folder).filter((name) => /part|data/.test(name)),
      [],
    );
  });

  test('openssl verifies the signature, sha256sum the datahash, sha1sum the checksum, and GNU tar reads the whole', async () => {
    const written = await writePackage(fixture.options('tools.apk'));
    const [signature, control, data, ...more] = await members(readFileSync(written.path));
    assert.ok(signature && control && data);
    assert.equal(more.length, 0);
    writeFileSync(join(fixture.folder, 'signature.tar.gz'), signature);
    writeFileSync(join(fixture.folder, 'control.tar.gz'), control);
    writeFileSync(join(fixture.folder, 'data.tar.gz'), data);
    const run = (command: string, ...args: string[]): string =>
      execFileSync(command, args, { cwd: fixture.folder, encoding: 'utf8', stdio: 'pipe' });
    run('tar', '-xzf', 'signature.tar.gz');
    assert.match(
      run(
        'openssl',
        'dgst',
        '-sha256',
        '-verify',
        'test.rsa.pub',
        '-signature',
        '.SIGN.RSA256.test.rsa.pub',
        'control.tar.gz',
      ),
      /Verified OK/,
    );
    assert.equal(run('sha256sum', 'data.tar.gz').slice(0, 64), written.dataHash);
    assert.match(
      run('tar', '-xzOf', 'control.tar.gz', '.PKGINFO'),
      new RegExp(`^datahash = ${written.dataHash}$`, 'm'),
    );
    const sha1 = Buffer.from(run('sha1sum', 'control.tar.gz').slice(0, 40), 'hex');
    assert.equal(written.controlChecksum, `Q1${sha1.toString('base64')}`);
    assert.deepEqual(run('tar', '-tzf', 'control.tar.gz').trim().split('\n'), [
      '.PKGINFO',
      '.melange.yaml',
      '.post-install',
    ]);
    // Without end marks before the last member the whole reads as one archive.
    const names = run('tar', '-tzf', 'tools.apk').trim().split('\n');
    assert.equal(names[0], '.SIGN.RSA256.test.rsa.pub');
    assert.equal(names.length, 1 + 3 + 8);
    // One header and one block of signature, no end mark.
    assert.equal(gunzipSync(signature).length, 1024);
  });

  test('a package without key has two members and reads as unsigned', async () => {
    const { key: _, ...unsigned } = fixture.options('unsigned.apk');
    const written = await writePackage(unsigned);
    assert.equal((await members(readFileSync(written.path))).length, 2);
    assert.equal((await verifyPackage({ source: createReadStream(written.path) })).signedBy, undefined);
  });

  test('files a package cannot hold are named, and nothing is left behind', async () => {
    const cases: [PackageFile, RegExp][] = [
      [{ ...file('run/pipe', ''), type: 'fifo' }, /run\/pipe is a fifo/],
      [{ ...file('run/s', ''), type: 'socket' }, /run\/s is a socket/],
      [{ ...file('dev/sda', ''), type: 'block-device' }, /dev\/sda is a block device/],
      [file('../etc/passwd', ''), /no path inside/],
      [file('/etc/passwd', ''), /no path inside/],
      [file('a//b', ''), /no path inside/],
      [file('.', ''), /no path inside/],
      [file('usr', ''), /usr occurs twice/],
      [file('.SIGN.RSA256.x.pub', ''), /keep for themselves/],
      [{ ...file('l', ''), type: 'symlink' }, /without a target/],
      [file('grows', 'abc', { size: 2 }), /grows is not what it was/],
      [file('shrinks', 'abc', { size: 4 }), /shrinks is not what it was/],
      [file('differs', 'abc', { sha1: '0'.repeat(40) }), /differs is not what it was/],
    ];
    mkdirSync(join(fixture.folder, 'invalid'));
    for (const [bad, pattern] of cases) {
      const writing = writePackage(fixture.options('invalid/bad.apk', { files: [directory('usr'), bad] }));
      await assert.rejects(writing, hasCode('output-invalid', pattern));
      assert.deepEqual(readdirSync(join(fixture.folder, 'invalid')), []);
    }
    await assert.rejects(
      writePackage(fixture.options('invalid/bad.apk', { signal: AbortSignal.abort() })),
      hasCode('cancelled'),
    );
    assert.deepEqual(readdirSync(join(fixture.folder, 'invalid')), []);
  });

  test('data headers have the bytes other writers of the format make', {
    skip: !existsSync(corpus) && 'no corpus beside the project',
  }, async () => {
    const path = join(corpus, 'libcap-2.69-r0.apk');
    const reading = await readPackage(createReadStream(path));
    const copies: PackageFile[] = [];
    for await (const entry of reading.entries) {
      const content = Buffer.concat(await Array.fromAsync(entry.content));
      copies.push(
        file(entry.name, content, { ...entry, open: () => inMemory(content) } as Partial<PackageFile>),
      );
    }
    const written = await writePackage(
      fixture.options('copy.apk', { files: copies, sourceDateEpoch: reading.info.buildDate ?? 0 }),
    );
    const [, , theirs] = await members(readFileSync(path));
    const [, , ours] = await members(readFileSync(written.path));
    const unpack = (bytes: Buffer | undefined): Buffer =>
      execFileSync('gzip', ['-dc'], { input: bytes ?? '' });
    assert.ok(unpack(ours).equals(unpack(theirs)), 'the decompressed data members are equal');
  });

  test('memory does not grow with the package', (context) => {
    const script = `
      import { writePackage } from ${JSON.stringify(new URL('../../../../shared/apk/package-write.ts', import.meta.url).href)};
      import { verifyPackage } from ${JSON.stringify(new URL('../../../../shared/apk/package-read.ts', import.meta.url).href)};
      import { createReadStream } from 'node:fs';
      const size = 300 * 1024 * 1024;
      const piece = Buffer.alloc(1024 * 1024, 'some text that compresses ');
      async function* open() { for (let at = 0; at < size; at += piece.length) { piece.writeUInt32LE(at, 0); yield Buffer.from(piece); } }
      const entry = { path: 'big', type: 'file', mode: 0o644, uid: 0, gid: 0, uname: '', gname: '', size, open };
      const description = { name: 'big', version: '1-r0', arch: 'x86_64', origin: 'big', description: '', url: '', commit: '', licenses: [], depends: [], provides: [], replaces: [], triggers: [] };
      const written = await writePackage({ files: [entry], description, sourceDateEpoch: 0, outputPath: ${JSON.stringify(join(fixture.folder, 'big.apk'))} });
      const verified = await verifyPackage({ source: createReadStream(written.path) });
      if (verified.sha256 !== written.sha256) throw new Error('differs');
      console.log(process.resourceUsage().maxRSS);
    `;
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    const megabytes = Number(printed) / 1024;
    context.diagnostic(`${megabytes.toFixed(0)} MB at most while writing and verifying 300 MB`);
    assert.ok(megabytes < 250, `${megabytes.toFixed(0)} MB for a file of 300 MB`);
  });
});
