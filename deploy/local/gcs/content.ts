/** The bytes of objects on their way to disk: written and hashed as they come, with flat memory. */
import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { crc32c, encodeCrc32c } from './crc32c.ts';
import { Refusal } from './refusal.ts';

/** Running size and checksums of a content. */
export interface ContentSum {
  bytes: number;
  crc32c: number;
  readonly md5: Hash;
}

/** Size and checksums of a whole content, the latter in base64. */
export interface ContentFacts {
  readonly size: number;
  readonly crc32c: string;
  readonly md5Hash: string;
}

/** Checksums a client sent along, in base64. */
export interface ExpectedHashes {
  readonly crc32c?: string | undefined;
  readonly md5Hash?: string | undefined;
}

export function startSum(): ContentSum {
  return { bytes: 0, crc32c: 0, md5: createHash('md5') };
}

/** Adds bytes that follow those before. */
export function addToSum(sum: ContentSum, chunk: Uint8Array): void {
  sum.crc32c = crc32c(chunk, sum.crc32c);
  sum.md5.update(chunk);
  sum.bytes += chunk.length;
}

/** What the sum is so far; it may go on. */
export function factsOf(sum: ContentSum): ContentFacts {
  return { size: sum.bytes, crc32c: encodeCrc32c(sum.crc32c), md5Hash: sum.md5.copy().digest('base64') };
}

/** Appends what `source` gives at `sum.bytes` of the file; the disk is busy with a chunk while it is hashed. */
export async function appendContent(
  source: AsyncIterable<Buffer>,
  file: FileHandle,
  sum: ContentSum,
): Promise<void> {
  for await (const chunk of source) {
    const written = writeFully(file, chunk, sum.bytes);
    addToSum(sum, chunk);
    await written;
  }
}

async function writeFully(file: FileHandle, chunk: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position + done);
    done += bytesWritten;
  }
}

/** @throws Refusal 400 where a checksum the client sent is not that of the content. */
export function checkHashes(facts: ContentFacts, expected: ExpectedHashes): void {
  if (expected.crc32c !== undefined && expected.crc32c !== facts.crc32c) {
    throw new Refusal(
      400,
      `Provided CRC32C "${expected.crc32c}" doesn't match calculated CRC32C "${facts.crc32c}".`,
    );
  }
  if (expected.md5Hash !== undefined && expected.md5Hash !== facts.md5Hash) {
    throw new Refusal(
      400,
      `Provided MD5 hash "${expected.md5Hash}" doesn't match calculated MD5 hash "${facts.md5Hash}".`,
    );
  }
}

/** Checksums of an `x-goog-hash` header (`crc32c=…,md5=…`, possibly repeated) and of `Content-MD5`. */
export function hashesOfHeaders(headers: NodeJS.Dict<string | string[]>): ExpectedHashes {
  const found = new Map<string, string>();
  for (const entry of [headers['x-goog-hash'] ?? []].flat().join(',').split(',')) {
    const match = /^\s*(crc32c|md5)=(\S+)\s*$/.exec(entry);
    if (match?.[1] !== undefined && match[2] !== undefined) found.set(match[1], match[2]);
  }
  return {
    crc32c: found.get('crc32c'),
    md5Hash: found.get('md5') ?? [headers['content-md5'] ?? []].flat()[0],
  };
}
