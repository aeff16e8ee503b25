/**
 * Gzip members (RFC 1952) whose bytes depend on the content alone: no time, no name, operating system "unknown".
 * Blocks of 1 MiB are compressed side by side on zlib's threads; each begins with the window of the one before as its
 * dictionary and ends at a byte boundary, so that they join into one plain deflate stream.
 */
import { constants, crc32, deflateRaw } from 'node:zlib';

/** Method 8, no flags, time 0, XFL 0, operating system 255. */
export const GZIP_HEADER: Buffer = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);

const BLOCK_BYTES = 1024 * 1024;
const WINDOW_BYTES = 32 * 1024;
/** As many as zlib has threads by default; more would only hold memory. */
const BLOCKS_AT_ONCE = 4;

/** One gzip member of `content`. */
export async function gzipMember(content: Uint8Array): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of gzip([content])) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** One gzip member of everything the source gives; at most a few MiB are held. */
export async function* gzip(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Buffer, void> {
  yield GZIP_HEADER;
  let crc = 0;
  let length = 0;
  let window: Buffer | undefined;
  const running: Promise<Buffer>[] = [];
  try {
    for await (const { block, isLast } of blocksOf(source)) {
      if (running.length === BLOCKS_AT_ONCE) yield* await takeFirst(running);
      crc = crc32(block, crc);
      length += block.length;
      const compressing = deflateBlock(block, window, isLast ? constants.Z_FINISH : constants.Z_SYNC_FLUSH);
      compressing.catch(() => undefined);
      running.push(compressing);
      window = block.subarray(-WINDOW_BYTES);
    }
    while (running.length > 0) yield* await takeFirst(running);
  } finally {
    await Promise.allSettled(running);
  }
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(length % 2 ** 32, 4);
  yield trailer;
}

async function takeFirst(running: Promise<Buffer>[]): Promise<Buffer[]> {
  return Promise.all(running.splice(0, 1));
}

/** The content in blocks of equal size, so that the chunks of the source have no influence on the result. */
async function* blocksOf(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<{ block: Buffer; isLast: boolean }> {
  let block = Buffer.allocUnsafe(BLOCK_BYTES);
  let filled = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      if (filled === BLOCK_BYTES) {
        yield { block, isLast: false };
        block = Buffer.allocUnsafe(BLOCK_BYTES);
        filled = 0;
      }
      const part = chunk.subarray(at, at + BLOCK_BYTES - filled);
      block.set(part, filled);
      filled += part.length;
      at += part.length;
    }
  }
  yield { block: block.subarray(0, filled), isLast: true };
}

function deflateBlock(block: Buffer, dictionary: Buffer | undefined, finishFlush: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  deflateRaw(
    block,
    { finishFlush, chunkSize: 128 * 1024, ...(dictionary === undefined ? {} : { dictionary }) },
    (error, result) => (error === null ? resolve(result) : reject(error)),
  );
  return promise;
}
