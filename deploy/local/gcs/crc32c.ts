/**
 * CRC32C (Castagnoli, RFC 3720 appendix B.4), which neither node:zlib nor node:crypto has: `zlib.crc32` is the other
 * polynomial. Eight tables take eight bytes a step, about 1 GB/s; tables and data are read through DataViews.
 */

const REFLECTED_POLYNOMIAL = 0x82f63b78;
const TABLE_BYTES = 1024;
const tables = makeTables();

/**
 * The checksum of `bytes`, or of what gave `previous` followed by `bytes`.
 *
 * @param previous an unsigned 32-bit result of an earlier call; 0 for a fresh start.
 */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = view.byteLength;
  const wordsEnd = end - (end % 8);
  let crc = ~previous;
  let offset = 0;
  for (; offset < wordsEnd; offset += 8) {
    const low = crc ^ view.getInt32(offset, true);
    const high = view.getInt32(offset + 4, true);
    crc =
      tables.getInt32(7 * TABLE_BYTES + ((low & 255) << 2), true) ^
      tables.getInt32(6 * TABLE_BYTES + (((low >>> 8) & 255) << 2), true) ^
      tables.getInt32(5 * TABLE_BYTES + (((low >>> 16) & 255) << 2), true) ^
      tables.getInt32(4 * TABLE_BYTES + ((low >>> 24) << 2), true) ^
      tables.getInt32(3 * TABLE_BYTES + ((high & 255) << 2), true) ^
      tables.getInt32(2 * TABLE_BYTES + (((high >>> 8) & 255) << 2), true) ^
      tables.getInt32(TABLE_BYTES + (((high >>> 16) & 255) << 2), true) ^
      tables.getInt32((high >>> 24) << 2, true);
  }
  for (; offset < end; offset += 1) {
    crc = (crc >>> 8) ^ tables.getInt32(((crc ^ view.getUint8(offset)) & 255) << 2, true);
  }
  return ~crc >>> 0;
}

/** Cloud Storage's form of the checksum: base64 of its four bytes, big endian. */
export function encodeCrc32c(checksum: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(checksum);
  return bytes.toString('base64');
}

/** Table `n` holds the checksum of each byte value followed by `n` zero bytes. */
function makeTables(): DataView {
  const view = new DataView(new ArrayBuffer(8 * TABLE_BYTES));
  for (let value = 0; value < 256; value += 1) {
    let crc = value;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ REFLECTED_POLYNOMIAL : crc >>> 1;
    view.setInt32(value << 2, crc, true);
  }
  for (let table = 1; table < 8; table += 1) {
    for (let value = 0; value < 256; value += 1) {
      const shorter = view.getInt32((table - 1) * TABLE_BYTES + (value << 2), true);
      const crc = (shorter >>> 8) ^ view.getInt32((shorter & 255) << 2, true);
      view.setInt32(table * TABLE_BYTES + (value << 2), crc, true);
    }
  }
  return view;
}
