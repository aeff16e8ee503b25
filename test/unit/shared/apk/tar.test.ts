import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readTar, type TarEntry } from '../../../../shared/apk/tar-read.ts';
import { TAR_END, type TarHeaderFields, tarHeader, tarPadding } from '../../../../shared/apk/tar-write.ts';
import { PipelineError } from '../../../../shared/errors.ts';

interface Written extends TarHeaderFields {
  readonly content?: Buffer;
}

function archive(entries: readonly Written[], end: Buffer = TAR_END): Buffer {
  const parts = entries.flatMap((entry) => {
    const content = entry.content ?? Buffer.alloc(0);
    return [tarHeader({ ...entry, size: content.length }), content, tarPadding(content.length)];
  });
  return Buffer.concat([...parts, end]);
}

async function* chunked(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

type Read = Omit<TarEntry, 'content'> & { content: Buffer };

async function readAll(bytes: Buffer, chunk = 1000): Promise<Read[]> {
  const entries: Read[] = [];
  for await (const entry of readTar(chunked(bytes, chunk))) {
    entries.push({ ...entry, content: Buffer.concat(await Array.fromAsync(entry.content)) });
  }
  return entries;
}

function isMalformed(pattern: RegExp): (thrown: unknown) => boolean {
  return (thrown) =>
    thrown instanceof PipelineError && thrown.code === 'tar-malformed' && pattern.test(thrown.message);
}

const segment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
  .filter((one) => !/[/\0]/.test(one));
const path = fc.array(segment, { minLength: 1, maxLength: 8 }).map((segments) => segments.join('/'));
const entry: fc.Arbitrary<Written> = fc
  .record({
    name: path,
    type: fc.constantFrom(
      'file' as const,
      'symlink' as const,
      'directory' as const,
      'character-device' as const,
    ),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 2 ** 32 }),
    gid: fc.integer({ min: 0, max: 2 ** 32 }),
    uname: fc.string({ maxLength: 40 }).filter((one) => !one.includes('\0')),
    gname: fc.constantFrom('', 'root', 'größe'),
    mtime: fc.integer({ min: 0, max: 2 ** 35 }),
    linkName: path,
    devMajor: fc.integer({ min: 0, max: 0o7777777 }),
    devMinor: fc.integer({ min: 0, max: 0o7777777 }),
    pax: fc
      .dictionary(
        fc.stringMatching(/^SCHILY\.xattr\.[a-z.]{1,20}$/),
        fc.uint8Array({ minLength: 1, maxLength: 120 }),
        { maxKeys: 3 },
      )
      .map((one) => new Map(Object.entries(one))),
    content: fc.uint8Array({ maxLength: 1500 }).map((one) => Buffer.from(one)),
  })
  .map((one) => (one.type === 'file' ? one : { ...one, content: Buffer.alloc(0) }));

describe('tar archives', () => {
  test('whatever is written reads back the same, in chunks of any size', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(entry, { maxLength: 5 }),
        fc.integer({ min: 1, max: 3000 }),
        async (entries, chunk) => {
          const read = await readAll(archive(entries), chunk);
          assert.equal(read.length, entries.length);
          for (const [index, written] of entries.entries()) {
            const found = read[index];
            assert.ok(found);
            assert.equal(found.name, written.name);
            assert.equal(found.type, written.type);
            for (const key of ['mode', 'uid', 'gid', 'uname', 'gname', 'mtime'] as const) {
              assert.equal(found[key], written[key], key);
            }
            assert.equal(found.linkName, written.type === 'symlink' ? written.linkName : '');
            assert.equal(found.devMajor, written.type === 'character-device' ? written.devMajor : 0);
            for (const [key, value] of written.pax ?? []) {
              assert.deepEqual(found.pax.get(key), Buffer.from(value));
            }
            assert.deepEqual(found.content, written.content);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test('content that is not read is skipped, and content partly read too', async () => {
    const bytes = archive([
      { name: 'one', type: 'file', mode: 0o644, content: Buffer.alloc(100_000, 1) },
      { name: 'two', type: 'file', mode: 0o644, content: Buffer.alloc(100_000, 2) },
      { name: 'three', type: 'file', mode: 0o644, content: Buffer.from('last') },
    ]);
    const seen: string[] = [];
    for await (const found of readTar(chunked(bytes, 777))) {
      seen.push(`${found.name}@${found.offset}`);
      if (found.name === 'two') for await (const _ of found.content) break;
      if (found.name === 'three') seen.push(Buffer.concat(await Array.fromAsync(found.content)).toString());
    }
    assert.deepEqual(seen, ['one@512', 'two@101376', 'three@202240', 'last']);
  });

  test('an archive without end mark is accepted, one cut in the middle is not', async () => {
    const whole = archive(
      [{ name: 'a', type: 'file', mode: 0o644, content: Buffer.from('abc') }],
      Buffer.alloc(0),
    );
    assert.equal((await readAll(whole)).length, 1);
    await assert.rejects(
      readAll(whole.subarray(0, 300)),
      isMalformed(/byte 0: the archive ends inside a header/),
    );
    await assert.rejects(readAll(whole.subarray(0, 514)), isMalformed(/ends inside the content of a$/));
    const long = archive([{ name: 'é', type: 'file', mode: 0o644 }], Buffer.alloc(0));
    await assert.rejects(readAll(long.subarray(0, 1024)), isMalformed(/ends inside a header/));
  });

  test('damaged headers are named with their place', async () => {
    const first = { name: 'ok', type: 'file', mode: 0o644 } as const;
    const bytes = archive([first, { name: 'bad', type: 'file', mode: 0o644 }]);
    const flipped = Buffer.from(bytes);
    flipped[512] = 0x7a;
    await assert.rejects(readAll(flipped), isMalformed(/byte 512: a header's checksum/));
    const afterZeros = Buffer.concat([Buffer.alloc(512), bytes]);
    await assert.rejects(readAll(afterZeros), isMalformed(/single block of zeros/));
    await assert.rejects(readAll(Buffer.alloc(512, 0x61)), isMalformed(/no octal number/));
  });

  test('no size in the archive is trusted', async () => {
    const huge = tarHeader({ name: 'x', type: 'file', mode: 0, size: 2 ** 33 - 1 });
    await assert.rejects(readAll(huge), isMalformed(/ends inside the content/));
    const pax = tarHeader({ name: 'é', type: 'file', mode: 0 });
    const claimed = Buffer.from(tarHeader({ name: 'x', type: 'file', mode: 0, size: 2 ** 30 }));
    claimed.write('x', 156);
    rewriteChecksum(claimed);
    await assert.rejects(readAll(Buffer.concat([claimed, pax])), isMalformed(/claims 1073741824 bytes/));
  });

  test('any bytes at all are read or refused, never a crash', async () => {
    const whole = archive([
      { name: 'é', type: 'file', mode: 0o644, content: Buffer.from('abc') },
      { name: 'l', type: 'symlink', mode: 0o777, linkName: 'x' },
    ]);
    const change = fc.record({ at: fc.nat(whole.length - 1), value: fc.nat(255), resum: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const damaged = Buffer.from(whole);
        for (const { at, value, resum } of changes) {
          damaged[at] = value;
          if (resum) rewriteChecksum(damaged.subarray(at - (at % 512)));
        }
        await readAll(damaged).catch((thrown: unknown) => {
          assert.ok(thrown instanceof PipelineError && thrown.code === 'tar-malformed', String(thrown));
        });
      }),
      { numRuns: 1000 },
    );
  });

  test('broken pax records are refused', async () => {
    for (const body of ['99 path=x\n', 'path=x\n', '5 =x\n', '9 path=xx', '0 a=b\n', '11 pathxxxx\n']) {
      const header = tarHeader({ name: 'x', type: 'file', mode: 0, size: body.length });
      header.write('x', 156);
      rewriteChecksum(header);
      const bytes = Buffer.concat([header, Buffer.from(body), tarPadding(body.length), archive([])]);
      await assert.rejects(readAll(bytes), isMalformed(/pax record/), body);
    }
  });

  test('plain entries are plain ustar and long ASCII names are split at a slash', () => {
    const header = tarHeader({
      name: `${'d'.repeat(60)}/${'f'.repeat(60)}`,
      type: 'file',
      mode: 0o644,
      mtime: 7,
    });
    assert.equal(header.length, 512);
    assert.equal(header.toString('latin1', 0, 61), `${'f'.repeat(60)}\0`);
    assert.equal(header.toString('latin1', 345, 406), `${'d'.repeat(60)}\0`);
    assert.equal(header.toString('latin1', 100, 108), '0000644\0');
    assert.equal(header.toString('latin1', 136, 148), '00000000007\0');
    assert.equal(header.toString('latin1', 257, 265), 'ustar\x0000');
    assert.equal(header.toString('latin1', 329, 337), '0000000\0');
    assert.match(header.toString('latin1', 148, 156), /^[0-7]{6}\0 $/);
  });

  test('extended headers have sorted records and the name other writers give them', () => {
    const header = tarHeader({
      name: 'usr/bin/é',
      type: 'file',
      mode: 0o755,
      mtime: 9,
      pax: new Map([
        ['SCHILY.xattr.user.a', Buffer.from([0, 10, 255])],
        ['APK-TOOLS.checksum.SHA1', Buffer.from('ab')],
      ]),
    });
    assert.equal(header.length, 1536);
    assert.equal(header.toString('latin1', 0, 21), 'usr/bin/PaxHeaders.0\0');
    assert.equal(header.toString('latin1', 100, 108), '0000000\0');
    assert.equal(header.toString('latin1', 329, 337), '\0'.repeat(8));
    const body = header.subarray(512, 1024);
    assert.equal(body.indexOf('30 APK-TOOLS.checksum.SHA1=ab\n'), 0);
    assert.equal(body.indexOf(Buffer.from('27 SCHILY.xattr.user.a=\x00\n\xff\n', 'latin1')), 30);
    assert.equal(body.indexOf(Buffer.from('19 path=usr/bin/é\n')), 57);
  });

  test('GNU tar lists and extracts what is written here', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tar-write-'));
    try {
      const long = `${'sub/'.repeat(40)}${'x'.repeat(120)}`;
      const bytes = archive([
        { name: 'plain', type: 'file', mode: 0o640, mtime: 86400, content: Buffer.from('hello') },
        { name: 'größe', type: 'file', mode: 0o644, content: Buffer.from('ünï') },
        { name: long, type: 'file', mode: 0o644, content: Buffer.alloc(5000, 65) },
        { name: 'dir', type: 'directory', mode: 0o755 },
        { name: 'dir/link', type: 'symlink', mode: 0o777, linkName: `../${'t'.repeat(130)}` },
      ]);
      writeFileSync(join(folder, 'a.tar'), bytes);
      const listed = execFileSync('tar', ['--utc', '-tvf', join(folder, 'a.tar')], {
        encoding: 'utf8',
        env: { ...process.env, LC_ALL: 'C.UTF-8' },
      });
      assert.match(listed, /^-rw-r----- 0\/0 +5 1970-01-02 00:00 plain$/m);
      assert.match(listed, /größe/);
      const into = join(folder, 'into');
      mkdirSync(into);
      execFileSync('tar', ['-xf', join(folder, 'a.tar'), '-C', into]);
      assert.equal(readFileSync(join(into, 'größe'), 'utf8'), 'ünï');
      assert.deepEqual(readFileSync(join(into, long)), Buffer.alloc(5000, 65));
      assert.equal(readlinkSync(join(into, 'dir/link')), `../${'t'.repeat(130)}`);
      assert.equal(lstatSync(join(into, 'plain')).mode & 0o777, 0o640);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  for (const format of ['gnu', 'posix', 'ustar', 'v7', 'oldgnu']) {
    test(`what GNU tar writes in its ${format} format is read`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'tar-read-'));
      try {
        const isSmall = format === 'ustar' || format === 'v7';
        const long = isSmall
          ? `${'d'.repeat(20)}/${'x'.repeat(60)}`
          : `${'d'.repeat(150)}/${'x'.repeat(200)}`;
        const tree = join(folder, 'tree');
        mkdirSync(join(tree, long.split('/')[0] ?? ''), { recursive: true });
        writeFileSync(join(tree, long), 'long');
        writeFileSync(join(tree, 'größe'), 'umlaut');
        const target = isSmall ? 'to/somewhere' : 't'.repeat(300);
        symlinkSync(target, join(tree, 'link'));
        const args = [
          '--format',
          format,
          '--sort=name',
          '--owner=someone:99',
          '--group=all:100',
          '-cf',
          '-',
          '-C',
          tree,
          '.',
        ];
        const read = await readAll(execFileSync('tar', args), 333);
        const named = new Map(read.map((one) => [one.name, one]));
        assert.equal(named.get(`./${long}`)?.content.toString(), 'long');
        assert.equal(named.get('./größe')?.content.toString(), 'umlaut');
        assert.equal(named.get('./link')?.linkName, target);
        assert.equal(named.get('./')?.type, 'directory');
        assert.equal(named.get('./link')?.uid, 99);
        assert.equal(named.get('./link')?.uname, format === 'v7' ? '' : 'someone');
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }

  test('base-256 numbers of GNU tar are read', async () => {
    const header = tarHeader({ name: 'x', type: 'file', mode: 0o644 });
    header.fill(0, 108, 116);
    header[108] = 0x80;
    header.writeUInt32BE(4_000_000_000, 112);
    header.fill(0xff, 136, 148);
    rewriteChecksum(header);
    const [found] = await readAll(header);
    assert.equal(found?.uid, 4_000_000_000);
    assert.equal(found?.mtime, -1);
  });
});

function rewriteChecksum(header: Buffer): void {
  header.fill(0x20, 148, 156);
  const sum = header.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}
