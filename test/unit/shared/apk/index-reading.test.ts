import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { createIndexReader, type IndexEntry, parseIndex } from '../../../../shared/apk/index-records.ts';
import { generateSigningKey, loadSigningKey } from '../../../../shared/apk/keys.ts';
import { readIndexArchive, writeIndexArchive } from '../../../../shared/apk/package-index.ts';
import { tarHeader, tarPadding } from '../../../../shared/apk/tar-write.ts';

const made = await generateSigningKey({ name: 'test.rsa', bits: 2048 });
const key = loadSigningKey(made.privatePem, 'test.rsa');
const keys = new Map([['test.rsa.pub', key.publicKey]]);

const TEXT = `C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=
P:first-package
V:1.0-r0
A:x86_64
S:10
o:an-origin-of-some-length
m:Maintainer with a lông name <m@example.org>
D:so:libc.musl-x86_64.so.1 busybox>=1.36 so:libc.musl-x86_64.so.1
p:cmd:first=1.0-r0

P:second-package
V:1.0-r0
A:x86_64
o:an-origin-of-some-length
m:Maintainer with a lông name <m@example.org>
D:so:libc.musl-x86_64.so.1 busybox>=1.36 so:libc.musl-x86_64.so.1
k:7`;

/** Chunks of this size, and how many were taken. */
function inChunks(bytes: Buffer, size: number): AsyncIterable<Buffer> & { readonly taken: () => number } {
  let taken = 0;
  return {
    taken: () => taken,
    async *[Symbol.asyncIterator]() {
      for (let at = 0; at < bytes.length; at += size) {
        taken += 1;
        yield bytes.subarray(at, at + size);
      }
    },
  };
}

describe('an index that is read piece by piece', () => {
  test('is the same wherever it is cut', () => {
    const whole = parseIndex(TEXT);
    assert.equal(whole.length, 2);
    fc.assert(
      fc.property(fc.array(fc.nat(TEXT.length), { maxLength: 30 }), (cuts) => {
        const reader = createIndexReader();
        let from = 0;
        for (const cut of [...cuts.sort((a, b) => a - b), TEXT.length]) {
          reader.read(TEXT.slice(from, cut));
          from = cut;
        }
        assert.deepEqual(reader.end(), whole);
      }),
    );
  });

  test('tells the line of a mistake as it stands in the whole', () => {
    const reader = createIndexReader();
    reader.read('P:a\nV:1\n\nP:');
    reader.read('b\nS:');
    assert.throws(() => reader.read('many\n'), { code: 'index-malformed', message: /line 5 has "many"/ });
  });

  test('keeps equal lists once, in each of its entries', () => {
    const [first, second] = parseIndex(TEXT);
    assert.ok(first && second);
    assert.equal(first.depends, second.depends);
    assert.deepEqual(first.depends, [
      'so:libc.musl-x86_64.so.1',
      'busybox>=1.36',
      'so:libc.musl-x86_64.so.1',
    ]);
  });

  test('is the same from a file as from a stream of any chunks, down to single bytes', async () => {
    const bytes = await writeIndexArchive(parseIndex(TEXT), { key, description: 'described' });
    const whole = await readIndexArchive(bytes, keys);
    for (const size of [1, 7, 512, bytes.length]) {
      assert.deepEqual(await readIndexArchive(inChunks(bytes, size), keys), whole);
    }
  });

  test('keeps a list that thousands of packages share once', async () => {
    const bytes = await writeIndexArchive(
      Array.from({ length: 20_000 }, (_, at) => ({ ...parsed(), name: `package-${at}` })),
      { key },
    );
    const { entries } = await readIndexArchive(inChunks(bytes, 64 * 1024), keys);
    assert.equal(entries.length, 20_000);
    assert.equal(new Set(entries.map((entry) => entry.depends)).size, 1);
  });

  test('is not inflated before its signature is checked', async () => {
    // What would be malformed in several ways is told to be untrusted, and nothing else.
    const signed = await writeIndexArchive(parseIndex(TEXT), { key });
    const unsigned = await writeIndexArchive(parseIndex(TEXT));
    const signature = signed.subarray(0, signed.length - unsigned.length);
    for (const forged of [
      gzipSync(Buffer.alloc(50_000_000)),
      gzipSync('no tar at all'),
      Buffer.concat([gzipSync('').subarray(0, 12), Buffer.from('no gzip data')]),
    ]) {
      const bytes = Buffer.concat([signature, forged]);
      await assert.rejects(readIndexArchive(inChunks(bytes, 1000), keys), { code: 'index-signature' });
    }
  });

  test('is left as soon as no key can have signed it', async () => {
    const bytes = await writeIndexArchive(
      Array.from({ length: 2_000 }, (_, at) => ({ ...parsed(), name: `package-${at}-${at ** 3}` })),
      { key },
    );
    const source = inChunks(bytes, 500);
    const strangers = new Map([['other.rsa.pub', key.publicKey]]);
    await assert.rejects(readIndexArchive(source, strangers), { code: 'index-signature' });
    assert.ok(source.taken() <= 3 && bytes.length > 10_000, `${source.taken()} of ${bytes.length / 500}`);
  });

  test('with several signatures needs one of a known key, made with either digest', async () => {
    const other = loadSigningKey(
      (await generateSigningKey({ name: 'other.rsa', bits: 2048 })).privatePem,
      'other.rsa',
    );
    const unsigned = await writeIndexArchive(parseIndex(TEXT));
    const ownSigned = await writeIndexArchive(parseIndex(TEXT), { key });
    const otherSigned = await writeIndexArchive(parseIndex(TEXT), { key: other });
    const files = [ownSigned, otherSigned].map((bytes) => signatureFile(bytes, unsigned));
    const both = Buffer.concat([gzipSync(Buffer.concat(files)), unsigned]);
    assert.equal((await readIndexArchive(both, keys)).signedBy, 'test.rsa.pub');
    const mixed = new Map([...keys, ['other.rsa.pub', key.publicKey] as const]);
    assert.equal((await readIndexArchive(both, mixed)).signedBy, 'test.rsa.pub');
    assert.equal(
      (await readIndexArchive(both, new Map([['other.rsa.pub', other.publicKey]]))).signedBy,
      'other.rsa.pub',
    );
  });

  test('that is not UTF-8 is refused, be it cut inside a character or not', async () => {
    const content = Buffer.concat([
      Buffer.from('P:a\nV:1\nT:'),
      Buffer.from([0xc3, 0x28]),
      Buffer.from('\n\n'),
    ]);
    for (const text of [content, Buffer.from([0x50, 0x3a, 0xc3])]) {
      const bytes = gzipSync(tarOf('APKINDEX', text));
      await assert.rejects(readIndexArchive(bytes, 'unverified'), {
        code: 'index-malformed',
        message: /APKINDEX is not UTF-8/,
      });
    }
  });
});

function parsed(): IndexEntry {
  const [entry] = parseIndex(TEXT);
  assert.ok(entry);
  return entry;
}

function tarOf(name: string, content: Buffer): Buffer {
  const header = tarHeader({ name, type: 'file', mode: 0o644, size: content.length });
  return Buffer.concat([header, content, tarPadding(content.length)]);
}

/** The tar entry of the one signature in front of these bytes. */
function signatureFile(signed: Buffer, unsigned: Buffer): Buffer {
  return gunzipSync(signed.subarray(0, signed.length - unsigned.length));
}
