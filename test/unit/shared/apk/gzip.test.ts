import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { gzip, gzipMember } from '../../../../shared/apk/gzip.ts';
import { splitGzipMembers } from '../../../../shared/apk/gzip-split.ts';
import { PipelineError } from '../../../../shared/errors.ts';

async function* chunked(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

interface Split {
  readonly offset: number;
  readonly content: Buffer;
  compressed: Buffer;
}

async function split(bytes: Buffer, chunk: number): Promise<Split[]> {
  const found: Split[] = [];
  const compressed: Buffer[][] = [];
  const members = splitGzipMembers(chunked(bytes, chunk), (piece, member) => {
    compressed[member] ??= [];
    compressed[member].push(Buffer.from(piece));
  });
  for await (const member of members) {
    const content = Buffer.concat(await Array.fromAsync(member.content));
    found.push({ offset: member.offset, content, compressed: Buffer.concat(compressed[member.index] ?? []) });
  }
  return found;
}

function mixed(bytes: number): Buffer {
  const half = randomBytes(Math.floor(bytes / 2));
  return Buffer.concat([half, Buffer.alloc(bytes - half.length, 'carryall ')]);
}

const isMalformed = (thrown: unknown): boolean =>
  thrown instanceof PipelineError && thrown.code === 'apk-malformed';

describe('gzip members', () => {
  test('real gzip and zlib read what is compressed here, whatever its size', async () => {
    for (const bytes of [0, 1, 1000, 1048575, 1048576, 1048577, 3 * 1048576, 7_500_001]) {
      const content = mixed(bytes);
      const member = await gzipMember(content);
      assert.deepEqual(member.subarray(0, 10), Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]));
      assert.ok(gunzipSync(member).equals(content), `${bytes} bytes through zlib`);
      const through = execFileSync('gzip', ['-dc'], { input: member, maxBuffer: 1e8 });
      assert.ok(through.equals(content), `${bytes} bytes through gzip`);
    }
  });

  test('the result depends on the content alone, not on how it arrives', async () => {
    const content = mixed(2_500_000);
    const whole = await gzipMember(content);
    for (const chunk of [997, 65536, 1048576]) {
      assert.ok(Buffer.concat(await Array.fromAsync(gzip(chunked(content, chunk)))).equals(whole));
    }
  });

  test('compression in blocks costs less than two in a thousand against one stream', async () => {
    const text = Buffer.from(
      Array.from({ length: 300_000 }, (_, at) => `line ${at * 7919} of text\n`).join(''),
    );
    const ours = (await gzipMember(text)).length;
    assert.ok(ours < gzipSync(text).length * 1.002);
  });

  test('an error of the source comes through unchanged', async () => {
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.alloc(10_000_000);
      throw new Error('disk');
    }
    await assert.rejects(Array.fromAsync(gzip(broken())), /^Error: disk$/);
    await assert.rejects(async () => {
      for await (const member of splitGzipMembers(gzip(broken()))) for await (const _ of member.content);
    }, /^Error: disk$/);
  });

  test('concatenated members of all sizes come apart exactly, with chunk ends anywhere', async () => {
    const contents = [0, 1, 5, 500, 65535, 65536, 65537, 300_000, 0].map(mixed);
    const members = contents.map((content, index) =>
      index % 2 === 0 ? gzipSync(content, { level: index }) : gzipSync(content, { level: 0 }),
    );
    const bytes = Buffer.concat(members);
    for (const chunk of [511, 4096, 65535, 65536, 65545, 1_000_000]) {
      const found = await split(bytes, chunk);
      assert.equal(found.length, members.length);
      let offset = 0;
      for (const [index, member] of members.entries()) {
        assert.ok(
          found[index]?.content.equals(contents[index] ?? Buffer.alloc(0)),
          `content ${index}, chunk ${chunk}`,
        );
        assert.ok(found[index]?.compressed.equals(member), `member ${index}, chunk ${chunk}`);
        assert.equal(found[index]?.offset, offset);
        offset += member.length;
      }
    }
  });

  test('every place of a chunk end around a member boundary is found', async () => {
    const first = gzipSync(randomBytes(700));
    const second = gzipSync(Buffer.from('second'));
    const bytes = Buffer.concat([first, second]);
    for (let cut = 1; cut < bytes.length; cut += 1) {
      const source = async function* (): AsyncGenerator<Buffer> {
        yield bytes.subarray(0, cut);
        yield bytes.subarray(cut);
      };
      const sizes: number[] = [];
      const members = splitGzipMembers(source(), (piece, member) => {
        sizes[member] = (sizes[member] ?? 0) + piece.length;
      });
      for await (const member of members) for await (const _ of member.content);
      assert.deepEqual(sizes, [first.length, second.length], `cut at ${cut}`);
    }
  });

  test('any sequence of members and chunk sizes comes apart', async () => {
    const piece = fc.tuple(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 0, max: 9 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 5 }),
        fc.integer({ min: 1, max: 400 }),
        async (parts, chunk) => {
          const members = parts.map(([content, level]) => gzipSync(content, { level }));
          const found = await split(Buffer.concat(members), chunk);
          assert.deepEqual(
            found.map((one) => one.compressed),
            members,
          );
          assert.deepEqual(
            found.map((one) => one.content),
            parts.map(([content]) => Buffer.from(content)),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  test('members that are not read, or only begun, are passed over with all their bytes', async () => {
    const members = [
      gzipSync(randomBytes(400_000)),
      gzipSync(randomBytes(400_000)),
      gzipSync(Buffer.from('end')),
    ];
    const hashes = members.map(() => createHash('sha256'));
    const seen: number[] = [];
    const splitting = splitGzipMembers(chunked(Buffer.concat(members), 10_000), (piece, index) =>
      hashes[index]?.update(piece),
    );
    for await (const member of splitting) {
      seen.push(member.offset);
      if (member.index === 1) for await (const _ of member.content) break;
    }
    assert.deepEqual(seen, [0, members[0]?.length, (members[0]?.length ?? 0) + (members[1]?.length ?? 0)]);
    assert.deepEqual(
      hashes.map((hash) => hash.digest('hex')),
      members.map((member) => createHash('sha256').update(member).digest('hex')),
    );
  });

  test('headers with extra field, name, comment and checksum are understood', async () => {
    const plain = gzipSync(Buffer.from('content'));
    const named = Buffer.from(execFileSync('gzip', ['-c'], { input: 'content' }));
    const extra = Buffer.concat([
      Buffer.from([0x1f, 0x8b, 8, 4 + 8 + 16, 0, 0, 0, 0, 0, 3, 3, 0]),
      Buffer.from('abcname\0comment\0'),
      plain.subarray(10),
    ]);
    for (const member of [plain, named, extra]) {
      assert.equal((await split(Buffer.concat([member, plain]), 5))[0]?.content.toString(), 'content');
      assert.ok((await split(Buffer.concat([member, plain]), 5))[0]?.compressed.equals(member));
    }
  });

  test('a file that ends anywhere inside a member is refused', async () => {
    const bytes = gzipSync(randomBytes(300));
    for (let end = 1; end < bytes.length; end += 1) {
      await assert.rejects(split(bytes.subarray(0, end), 64), isMalformed, `cut at ${end}`);
    }
  });

  test('damage anywhere in data, length or checksum is refused', async () => {
    const bytes = gzipSync(Buffer.from('some content to compress, some content to compress'));
    for (let at = 10; at < bytes.length; at += 1) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 0x55;
      await assert.rejects(split(damaged, 64), isMalformed, `byte ${at}`);
    }
    await assert.rejects(split(Buffer.concat([bytes, Buffer.from('trailing')]), 64), isMalformed);
    await assert.rejects(split(Buffer.from('no gzip at all'), 64), isMalformed);
  });
});
