/** Takes a stream of concatenated gzip members (RFC 1952) apart, knowing each member's exact bytes. */
import { crc32, createInflateRaw, type InflateRaw } from 'node:zlib';
import { PipelineError } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';

const PIECE_BYTES = 64 * 1024;
/** No header field of a package's members is anywhere near this long. */
const MAX_HEADER_BYTES = 64 * 1024;

export interface GzipMember {
  /** Counts from 0. */
  readonly index: number;
  /** Position of the member's first compressed byte in the source. */
  readonly offset: number;
  /** Decompressed bytes; can be read once, and what is left is passed over when the next member is asked for. */
  readonly content: AsyncIterable<Buffer>;
}

/** Receives the compressed bytes of each member in order, header and trailer included. */
export type CompressedListener = (chunk: Buffer, member: number) => void;

/**
 * The members one after the other. All of a member's bytes have gone through `onCompressed` before the next member is
 * given or the end is reached. Lengths and checksums are verified.
 *
 * @throws PipelineError `apk-malformed` for anything that is no sequence of complete members; errors of the source
 *   come through unchanged.
 */
export async function* splitGzipMembers(
  source: AsyncIterable<Uint8Array>,
  onCompressed: CompressedListener = () => undefined,
): AsyncGenerator<GzipMember, void> {
  const reader = new ByteReader(source);
  try {
    for (let index = 0; ; index += 1) {
      const offset = reader.offset;
      const tap = (chunk: Buffer): void => onCompressed(chunk, index);
      if (!(await readHeader(reader, tap))) return;
      const content = inflate(reader, tap);
      try {
        // Without `return`, a reader who stops early leaves the member in place to be read on below.
        yield { index, offset, content: { [Symbol.asyncIterator]: () => ({ next: () => content.next() }) } };
        while ((await content.next()).done !== true);
      } finally {
        await content.return();
      }
    }
  } finally {
    await reader.close();
  }
}

async function* inflate(reader: ByteReader, tap: (chunk: Buffer) => void): AsyncGenerator<Buffer, void> {
  const engine = createInflateRaw({ chunkSize: PIECE_BYTES });
  const feeding = feed(engine, reader, tap);
  feeding.catch((cause: Error) => engine.destroy(cause));
  let crc = 0;
  let length = 0;
  try {
    for await (const piece of engine as AsyncIterable<Buffer>) {
      crc = crc32(piece, crc);
      length += piece.length;
      yield piece;
    }
    await feeding;
  } catch (cause) {
    throw isZlibError(cause) ? malformed(`compressed data is damaged (${cause.code})`, reader.offset) : cause;
  } finally {
    engine.destroy();
  }
  const trailer = await reader.take(8);
  if (trailer.length < 8) throw truncated(reader.offset);
  tap(trailer);
  if (trailer.readUInt32LE(0) !== crc || trailer.readUInt32LE(4) !== length % 2 ** 32) {
    throw malformed('a checksum or length at the end of a member is wrong', reader.offset);
  }
}

/**
 * Writes to the engine until it leaves bytes unread, which it does only after the end of the deflate data
 * (`bytesWritten` counts what zlib has consumed). Where data and piece end together, the eight bytes of the trailer
 * are the first left over; so a complete member is always noticed.
 */
async function feed(engine: InflateRaw, reader: ByteReader, tap: (chunk: Buffer) => void): Promise<void> {
  let fed = 0;
  for (;;) {
    const piece = await reader.takeUpTo(PIECE_BYTES);
    if (piece === undefined) throw truncated(reader.offset);
    await write(engine, piece);
    fed += piece.length;
    const used = piece.length - (fed - engine.bytesWritten);
    if (used > 0) tap(piece.subarray(0, used));
    if (used < piece.length) {
      reader.putBack(piece.subarray(used));
      return;
    }
  }
}

function write(engine: InflateRaw, piece: Buffer): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  engine.write(piece, (error) => (error ? reject(error) : resolve()));
  return promise;
}

/** Passes over a member's header; false where the source has ended. */
async function readHeader(reader: ByteReader, tap: (chunk: Buffer) => void): Promise<boolean> {
  const start = reader.offset;
  const fixed = await reader.take(10);
  if (fixed.length === 0) return false;
  if (fixed[0] !== 0x1f || (fixed.length > 1 && fixed[1] !== 0x8b)) {
    throw malformed('no gzip member begins here', start);
  }
  if (fixed.length < 10) throw truncated(reader.offset);
  const flags = fixed[3] ?? 0;
  if (fixed[2] !== 8 || (flags & 0xe0) !== 0) throw malformed('a gzip member has an unknown format', start);
  const parts = [fixed];
  const take = async (bytes: number): Promise<Buffer> => {
    const part = await reader.take(bytes);
    if (part.length < bytes) throw truncated(reader.offset);
    parts.push(part);
    return part;
  };
  if ((flags & 4) !== 0) await take((await take(2)).readUInt16LE(0));
  for (const flag of [8, 16]) {
    if ((flags & flag) === 0) continue;
    while ((await take(1))[0] !== 0) {
      if (reader.offset - start > MAX_HEADER_BYTES) throw malformed('a gzip header does not end', start);
    }
  }
  if ((flags & 2) !== 0) {
    const stated = crc32(Buffer.concat(parts)) & 0xffff;
    if ((await take(2)).readUInt16LE(0) !== stated) throw malformed('a gzip header is damaged', start);
  }
  tap(Buffer.concat(parts));
  return true;
}

function isZlibError(thrown: unknown): thrown is Error & { code: string } {
  return thrown instanceof Error && 'code' in thrown && String(thrown.code).startsWith('Z_');
}

function truncated(offset: number): PipelineError {
  return malformed('the file ends inside a gzip member', offset);
}

function malformed(problem: string, offset: number): PipelineError {
  return new PipelineError({
    code: 'apk-malformed',
    kind: 'infra',
    message: `broken gzip data near byte ${offset}: ${problem}`,
  });
}
