import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { splitGzipMembers } from '../../../../shared/apk/gzip-split.ts';
import {
  generateSigningKey,
  loadPublicKey,
  loadSigningKey,
  publicKeyPem,
  type SigningKey,
} from '../../../../shared/apk/keys.ts';
import { readPackage, verifyPackage } from '../../../../shared/apk/package-read.ts';
import {
  type PackageFile,
  type WritePackageOptions,
  writePackage,
} from '../../../../shared/apk/package-write.ts';
import { PipelineError } from '../../../../shared/errors.ts';

const corpus = fileURLToPath(new URL('../../../../../shared/corpus/apks/', import.meta.url));
const EPOCH = 1_700_000_000;

function file(path: string, content: string | Buffer, rest: Partial<PackageFile> = {}): PackageFile {
  const bytes = Buffer.from(content);
  return {
    path,
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    uname: 'root',
    gname: 'root',
    size: bytes.length,
    open: () => inMemory(bytes),
    ...rest,
  };
}

function directory(path: string, rest: Partial<PackageFile> = {}): PackageFile {
  return { ...file(path, ''), type: 'directory', mode: 0o755, ...rest };
}

async function* inMemory(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

function hasCode(code: string, pattern = /./): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof PipelineError && thrown.code === code && pattern.test(thrown.message);
}

async function members(bytes: Buffer): Promise<Buffer[]> {
  const found: Buffer[][] = [];
  const splitting = splitGzipMembers(inMemory(bytes), (piece, index) => {
    found[index] ??= [];
    found[index].push(Buffer.from(piece));
  });
  for await (const member of splitting) for await (const _ of member.content);
  return found.map((pieces) => Buffer.concat(pieces));
}

describe('apk packages', () => {
  let folder = '';
  let key: SigningKey;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'package-'));
    const made = await generateSigningKey({ name: 'test.rsa', bits: 2048 });
    key = loadSigningKey(made.privatePem, made.name);
    writeFileSync(join(folder, 'test.rsa.pub'), made.publicPem);
  });
  after(() => rmSync(folder, { recursive: true }));

  const files = (): PackageFile[] => [
    file('usr/bin/hello', '#!/bin/sh\necho hello\n', {
      mode: 0o4755,
      uid: 1000,
      gid: 1000,
      uname: 'build',
      gname: 'build',
    }),
    directory('usr'),
    directory('usr/bin/', { uid: 1000 }),
    { ...file('usr/bin/hi', ''), type: 'symlink', linkName: 'hello' },
    file('./usr/bin.txt', ''),
    file('usr/größe', randomBytes(0), { uid: 65534, gid: 100, uname: 'nobody', gname: 'users' }),
    file('usr/cap', 'x', {
      xattrs: new Map([
        ['security.capability', Buffer.from([1, 0, 0, 2, 10])],
        ['security.selinux', Buffer.from('no')],
      ]),
    }),
    directory('usr/tmp', { mode: 0o1777 }),
  ];

  const options = (name: string, rest: Partial<WritePackageOptions> = {}): WritePackageOptions => ({
    files: files(),
    description: {
      name: 'hello',
      version: '2.10-r0',
      arch: 'x86_64',
      origin: 'hello',
      description: 'prints a greeting',
      url: '',
      commit: '',
      licenses: ['MIT'],
      depends: ['so:libc.so.6'],
      provides: [],
      replaces: [],
      triggers: [],
    },
    scriptlets: { 'post-install': '#!/bin/sh\ntrue\n', 'pre-install': '' },
    melangeYaml: 'package:\n  name: hello\n',
    key,
    sourceDateEpoch: EPOCH,
    outputPath: join(folder, name),
    ...rest,
  });

  test('a written package reads back with every fact', async () => {
    const written = await writePackage(options('facts.apk'));
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
    const first = await writePackage(options('first.apk'));
    const second = await writePackage(options('second.apk', { files: files().reverse() }));
    assert.ok(readFileSync(first.path).equals(readFileSync(second.path)));
    assert.equal(first.sha256, createHash('sha256').update(readFileSync(first.path)).digest('hex'));
    assert.equal(first.size, readFileSync(first.path).length);
    assert.deepEqual(
      readdirSync(folder).filter((name) => /part|data/.test(name)),
      [],
    );
  });

  test('openssl verifies the signature, sha256sum the datahash, sha1sum the checksum, and GNU tar reads the whole', async () => {
    const written = await writePackage(options('tools.apk'));
    const [signature, control, data, ...more] = await members(readFileSync(written.path));
    assert.ok(signature && control && data);
    assert.equal(more.length, 0);
    writeFileSync(join(folder, 'signature.tar.gz'), signature);
    writeFileSync(join(folder, 'control.tar.gz'), control);
    writeFileSync(join(folder, 'data.tar.gz'), data);
    const run = (command: string, ...args: string[]): string =>
      execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
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

  test('a verified package tells its digests, its signer and its paths', async () => {
    const written = await writePackage(options('verify.apk'));
    const keys = new Map([['test.rsa.pub', loadPublicKey(publicKeyPem(key), 'test.rsa.pub')]]);
    const seen: string[] = [];
    const verified = await verifyPackage({
      source: createReadStream(written.path, { highWaterMark: 100 }),
      keys,
      expectedControlChecksum: written.controlChecksum,
      onEntry: (entry) => seen.push(entry.name),
    });
    assert.equal(verified.sha256, written.sha256);
    assert.equal(verified.size, written.size);
    assert.equal(verified.dataHash, written.dataHash);
    assert.equal(verified.signedBy, 'test.rsa.pub');
    assert.equal(seen.length, 8);
    const unsigned = await verifyPackage({ source: createReadStream(written.path) });
    assert.equal(unsigned.signedBy, undefined);
  });

  test('the source is let go of when a package is refused or not read to its end', async () => {
    const written = await writePackage(options('close.apk'));
    const refused = createReadStream(written.path, { highWaterMark: 512 });
    await assert.rejects(
      verifyPackage({ source: refused, expectedControlChecksum: 'Q1other' }),
      hasCode('apk-mismatch'),
    );
    assert.ok(refused.destroyed);
    const unread = createReadStream(written.path, { highWaterMark: 512 });
    const reading = await readPackage(unread);
    for await (const _ of reading.entries) break;
    assert.ok(unread.destroyed);
    const broken = createReadStream(join(folder, 'test.rsa.pub'));
    await assert.rejects(verifyPackage({ source: broken }), hasCode('apk-malformed'));
    assert.ok(broken.destroyed);
  });

  test('a package without key has two members and reads as unsigned', async () => {
    const { key: _, ...unsigned } = options('unsigned.apk');
    const written = await writePackage(unsigned);
    assert.equal((await members(readFileSync(written.path))).length, 2);
    assert.equal((await verifyPackage({ source: createReadStream(written.path) })).signedBy, undefined);
  });

  test('tampered packages are refused with the digests that differ', async () => {
    const written = await writePackage(options('tamper.apk'));
    const other = await writePackage(options('tamper-other.apk', { files: [directory('usr')] }));
    const [signature, control, data] = await members(readFileSync(written.path));
    const [, otherControl, otherData] = await members(readFileSync(other.path));
    assert.ok(signature && control && data && otherControl && otherData);
    const keys = new Map([['test.rsa.pub', key.publicKey]]);
    const verify = (parts: readonly Buffer[], expected?: string): Promise<unknown> =>
      verifyPackage({
        source: inMemory(Buffer.concat(parts)),
        keys,
        ...(expected ? { expectedControlChecksum: expected } : {}),
      });
    await assert.rejects(
      verify([signature, control, otherData]),
      hasCode('apk-mismatch', new RegExp(`SHA-256 ${other.dataHash}.*says ${written.dataHash}`)),
    );
    await assert.rejects(
      verify([signature, otherControl, otherData]),
      hasCode('apk-mismatch', /signature by test\.rsa\.pub/),
    );
    await assert.rejects(
      verify([otherControl, otherData], written.controlChecksum),
      (thrown) =>
        thrown instanceof PipelineError &&
        thrown.code === 'apk-mismatch' &&
        thrown.message.includes(written.controlChecksum) &&
        thrown.message.includes(other.controlChecksum),
    );
    await assert.rejects(verify([control, data, otherData]), hasCode('apk-mismatch'));
    await assert.rejects(verify([data, control]), hasCode('apk-malformed', /no \.PKGINFO/));
    await assert.rejects(verify([signature, control]), hasCode('apk-malformed', /no data member/));
    await assert.rejects(verify([signature]), hasCode('apk-malformed', /no control member/));
    await assert.rejects(verify([]), hasCode('apk-malformed'));
  });

  test('a package cut anywhere is refused', async () => {
    const written = await writePackage(options('cut.apk'));
    const bytes = readFileSync(written.path);
    for (let end = 0; end < bytes.length; end += 13) {
      await assert.rejects(
        verifyPackage({ source: inMemory(bytes.subarray(0, end)) }),
        hasCode('apk-malformed'),
        `cut at ${end}`,
      );
    }
  });

  test('any damage is told as what it is, never as a crash', async () => {
    const written = await writePackage(options('fuzz.apk'));
    const bytes = readFileSync(written.path);
    const signedFrom = (await members(bytes))[0]?.length ?? 0;
    const keys = new Map([['test.rsa.pub', key.publicKey]]);
    const change = fc.record({ at: fc.nat(bytes.length - 1), value: fc.integer({ min: 1, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const damaged = Buffer.from(bytes);
        for (const { at, value } of changes) damaged[at] = (damaged[at] ?? 0) ^ value;
        const isSignedPart = changes.some(({ at }) => damaged[at] !== bytes[at] && at >= signedFrom);
        try {
          await verifyPackage({
            source: inMemory(damaged),
            keys,
            expectedControlChecksum: written.controlChecksum,
          });
          assert.ok(!isSignedPart, 'a change of signed bytes went unnoticed');
        } catch (thrown) {
          if (!(thrown instanceof PipelineError)) throw thrown;
          assert.match(thrown.code, /^(apk-malformed|apk-mismatch|tar-malformed|index-signature)$/);
        }
      }),
      { numRuns: 400 },
    );
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
    mkdirSync(join(folder, 'invalid'));
    for (const [bad, pattern] of cases) {
      const writing = writePackage(options('invalid/bad.apk', { files: [directory('usr'), bad] }));
      await assert.rejects(writing, hasCode('output-invalid', pattern));
      assert.deepEqual(readdirSync(join(folder, 'invalid')), []);
    }
    await assert.rejects(
      writePackage(options('invalid/bad.apk', { signal: AbortSignal.abort() })),
      hasCode('cancelled'),
    );
    assert.deepEqual(readdirSync(join(folder, 'invalid')), []);
  });

  test('the packages of the corpus read and verify', {
    skip: !existsSync(corpus) && 'no corpus beside the project',
  }, async () => {
    for (const name of readdirSync(corpus).filter((one) => one.endsWith('.apk'))) {
      const seen: string[] = [];
      const verified = await verifyPackage({
        source: createReadStream(join(corpus, name)),
        onEntry: (entry) => seen.push(entry.name),
      });
      assert.equal(`${verified.info.name}-${verified.info.version}.apk`, name);
      assert.equal(
        verified.sha256,
        createHash('sha256')
          .update(readFileSync(join(corpus, name)))
          .digest('hex'),
      );
      const names = execFileSync('tar', ['-tzf', join(corpus, name)], { encoding: 'utf8', stdio: 'pipe' })
        .trim()
        .split('\n');
      assert.deepEqual(
        seen,
        names.filter((one) => !/^\.(SIGN|PKGINFO|melange)/.test(one)),
      );
      const reading = await readPackage(createReadStream(join(corpus, name)));
      const signature = names.find((one) => one.startsWith('.SIGN.'))?.replace(/^\.SIGN\.RSA(256)?\./, '');
      assert.equal(reading.signatures[0]?.keyName, signature);
      for await (const entry of reading.entries) {
        if (entry.type !== 'file') continue;
        const sha1 = createHash('sha1');
        for await (const piece of entry.content) sha1.update(piece);
        assert.equal(entry.pax.get('APK-TOOLS.checksum.SHA1')?.toString(), sha1.digest('hex'), entry.name);
      }
    }
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
      options('copy.apk', { files: copies, sourceDateEpoch: reading.info.buildDate ?? 0 }),
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
      const written = await writePackage({ files: [entry], description, sourceDateEpoch: 0, outputPath: ${JSON.stringify(join(folder, 'big.apk'))} });
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
