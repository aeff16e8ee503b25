/**
 * Reads tar archives as a stream: POSIX ustar and pax (IEEE Std 1003.1, "pax", extended header format) and GNU's
 * long names and base-256 numbers (GNU tar manual, "Basic Tar Format"). Memory does not grow with file sizes.
 */
import { PipelineError } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';
import { parsePaxRecords } from './pax-records.ts';

const BLOCK_BYTES = 512;
/** A pax header or long name larger than this is taken for an attack or damage. */
const MAX_EXTENSION_BYTES = 1024 * 1024;
const CONTENT_PIECE_BYTES = 256 * 1024;

export const TAR_ENTRY_TYPES = [
  'file',
  'hardlink',
  'symlink',
  'character-device',
  'block-device',
  'directory',
  'fifo',
] as const;

export type TarEntryType = (typeof TAR_ENTRY_TYPES)[number];

const TYPES: Readonly<Record<string, TarEntryType>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
};

export interface TarEntry {
  /** As the archive has it: a leading `./` or `/` and a directory's trailing slash are kept. */
  readonly name: string;
  readonly type: TarEntryType;
  /** Permission and set-id bits, 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly uname: string;
  readonly gname: string;
  /** Bytes of content; 0 for everything but files. */
  readonly size: number;
  /** Whole Unix seconds. */
  readonly mtime: number;
  /** Target of a link, else empty. */
  readonly linkName: string;
  readonly devMajor: number;
  readonly devMinor: number;
  /** All pax records in force for the entry, those of global headers included; values are raw bytes. */
  readonly pax: ReadonlyMap<string, Buffer>;
  /** Position of the content in the decompressed archive. */
  readonly offset: number;
  /** Can be read once, and only until the next entry is asked for; what is left is skipped then. */
  readonly content: AsyncIterable<Buffer>;
}

/**
 * The entries of an archive in order. A missing end mark is accepted (the members of an apk have none); after the end
 * mark the source is read to its end and dropped, so that a digest taken on the way covers all of it.
 *
 * @throws PipelineError `tar-malformed`, naming what is wrong and at which byte of the archive.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry, void> {
  const reader = new ByteReader(source);
  const globals = new Map<string, Buffer>();
  try {
    for (;;) {
      const head = await readHead(reader, globals);
      if (head === undefined) break;
      const offset = reader.offset;
      const state = { left: head.size };
      yield { ...head, offset, content: contentOf(reader, state, head.name) };
      const rest = state.left + paddingOf(head.size);
      state.left = 0;
      if ((await reader.skip(rest)) < rest) throw truncated(`the content of ${head.name}`, reader.offset);
    }
    while ((await reader.takeUpTo(CONTENT_PIECE_BYTES)) !== undefined);
  } finally {
    await reader.close();
  }
}

async function* contentOf(reader: ByteReader, state: { left: number }, name: string): AsyncGenerator<Buffer> {
  while (state.left > 0) {
    const piece = await reader.takeUpTo(Math.min(state.left, CONTENT_PIECE_BYTES));
    if (piece === undefined) throw truncated(`the content of ${name}`, reader.offset);
    state.left -= piece.length;
    yield piece;
  }
}

type TarHead = Omit<TarEntry, 'offset' | 'content'>;

/** The next entry's header with its extensions applied; undefined at the end of the archive. */
async function readHead(reader: ByteReader, globals: Map<string, Buffer>): Promise<TarHead | undefined> {
  const own = new Map<string, Buffer>();
  let longName: string | undefined;
  let longLink: string | undefined;
  for (;;) {
    const offset = reader.offset;
    const block = await reader.take(BLOCK_BYTES);
    const extended = own.size > 0 || longName !== undefined || longLink !== undefined;
    if (block.length === 0 && !extended) return undefined;
    if (block.length < BLOCK_BYTES) throw truncated('a header', offset);
    if (isZero(block)) {
      if (extended) throw malformed('an extended header is followed by the end of the archive', offset);
      const second = await reader.take(BLOCK_BYTES);
      if (second.length !== 0 && !isZero(second)) {
        throw malformed('data follows a single block of zeros', offset);
      }
      return undefined;
    }
    verifyChecksum(block, offset);
    const typeFlag = String.fromCharCode(block[156] ?? 0);
    if (typeFlag === 'x' || typeFlag === 'g') {
      const body = await readExtension(reader, block, offset);
      const records = parsePaxRecords(body, (problem) => malformed(problem, offset));
      for (const [key, value] of records) (typeFlag === 'x' ? own : globals).set(key, value);
    } else if (typeFlag === 'L' || typeFlag === 'K') {
      const text = decodeText(cutAtNul(await readExtension(reader, block, offset)), 'long name', offset);
      if (typeFlag === 'L') longName = text;
      else longLink = text;
    } else {
      const pax = new Map([...globals, ...own]);
      // An empty value takes a record back (pax, "extended header").
      for (const [key, value] of pax) if (value.length === 0 && !key.includes('.')) pax.delete(key);
      return parseHead({ block, offset, typeFlag, pax, longName, longLink });
    }
  }
}

async function readExtension(reader: ByteReader, block: Buffer, offset: number): Promise<Buffer> {
  const size = numberField(block, 124, 12, offset);
  if (size > MAX_EXTENSION_BYTES) throw malformed(`an extended header claims ${size} bytes`, offset);
  const body = await reader.take(size);
  if (body.length < size) throw truncated('an extended header', offset);
  const padding = paddingOf(size);
  if ((await reader.skip(padding)) < padding) throw truncated('an extended header', offset);
  return body;
}

interface RawHead {
  readonly block: Buffer;
  readonly offset: number;
  readonly typeFlag: string;
  readonly pax: ReadonlyMap<string, Buffer>;
  readonly longName: string | undefined;
  readonly longLink: string | undefined;
}

function parseHead(raw: RawHead): TarHead {
  const { block, offset, typeFlag, pax } = raw;
  const text = (key: string, start: number, length: number): string =>
    decodeText(pax.get(key) ?? cutAtNul(block.subarray(start, start + length)), key, offset);
  const number = (key: string, start: number, length: number): number => {
    const value = pax.get(key);
    return value === undefined ? numberField(block, start, length, offset) : decimal(value, key, offset);
  };
  // GNU's own magic is `ustar` with blanks: its prefix area holds times, not a path.
  const isUstar = block.subarray(257, 263).toString('latin1') === 'ustar\0';
  const hasOwners = block.subarray(257, 262).toString('latin1') === 'ustar';
  const prefix = isUstar ? decodeText(cutAtNul(block.subarray(345, 500)), 'prefix', offset) : '';
  const plainName = pax.has('path') ? '' : prefix;
  const shortName = text('path', 0, 100);
  const name = raw.longName ?? (plainName === '' ? shortName : `${plainName}/${shortName}`);
  if (name === '') throw malformed('an entry has no name', offset);
  if ([...pax.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
    throw malformed(`${name} is a sparse file, which is not supported`, offset);
  }
  const found = TYPES[typeFlag];
  if (found === undefined)
    throw malformed(`${name} has the unknown type ${JSON.stringify(typeFlag)}`, offset);
  const type = found === 'file' && typeFlag === '\0' && name.endsWith('/') ? 'directory' : found;
  const size = number('size', 124, 12);
  if (size < 0) throw malformed(`${name} has a negative size`, offset);
  const isDevice = type === 'character-device' || type === 'block-device';
  return {
    name,
    type,
    mode: numberField(block, 100, 8, offset) & 0o7777,
    uid: number('uid', 108, 8),
    gid: number('gid', 116, 8),
    uname: hasOwners ? text('uname', 265, 32) : '',
    gname: hasOwners ? text('gname', 297, 32) : '',
    // Links, directories and devices have no content, whatever their size field says (as GNU tar and Go read them).
    size: type === 'file' ? size : 0,
    mtime: number('mtime', 136, 12),
    linkName: type === 'hardlink' || type === 'symlink' ? (raw.longLink ?? text('linkpath', 157, 100)) : '',
    devMajor: isDevice ? numberField(block, 329, 8, offset) : 0,
    devMinor: isDevice ? numberField(block, 337, 8, offset) : 0,
    pax,
  };
}

/** Octal digits with blanks or NULs around them, or GNU's base-256 (top bit set, two's complement). */
function numberField(block: Buffer, start: number, length: number, offset: number): number {
  const field = block.subarray(start, start + length);
  const first = field[0] ?? 0;
  if ((first & 0x80) !== 0) {
    let value = (first & 0x40) === 0 ? BigInt(first & 0x7f) : BigInt(first) - 256n;
    for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
    const result = Number(value);
    if (!Number.isSafeInteger(result)) throw malformed('a number is out of range', offset);
    return result;
  }
  const digits = field.toString('latin1').replace(/\0.*$/s, '').trim();
  if (digits === '') return 0;
  if (!/^[0-7]+$/.test(digits)) throw malformed(`${JSON.stringify(digits)} is no octal number`, offset);
  return Number.parseInt(digits, 8);
}

/** Pax numbers are decimal; times may have a fraction, which is cut. */
function decimal(value: Buffer, key: string, offset: number): number {
  const text = value.toString('latin1');
  const result = /^-?\d{1,20}(\.\d*)?$/.test(text) ? Math.floor(Number(text)) : Number.NaN;
  if (!Number.isSafeInteger(result)) throw malformed(`the pax record ${key} is no usable number`, offset);
  return result;
}

function verifyChecksum(block: Buffer, offset: number): void {
  let sum = 8 * 0x20;
  let signed = 8 * 0x20;
  for (let at = 0; at < BLOCK_BYTES; at += 1) {
    if (at >= 148 && at < 156) continue;
    const byte = block[at] ?? 0;
    sum += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  const stated = numberField(block, 148, 8, offset);
  // Some old writers add the bytes up as signed numbers.
  if (stated !== sum && stated !== signed) {
    throw malformed(`a header's checksum is ${stated}, not ${sum}`, offset);
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeText(bytes: Buffer, what: string, offset: number): string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw malformed(`the ${what} ${JSON.stringify(bytes.toString('latin1'))} is not UTF-8`, offset);
  }
  if (text.includes('\0')) throw malformed(`the ${what} ${JSON.stringify(text)} contains a NUL`, offset);
  return text;
}

function cutAtNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end === -1 ? bytes : bytes.subarray(0, end);
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);

function isZero(block: Buffer): boolean {
  return block.equals(ZEROS.subarray(0, block.length));
}

function paddingOf(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

function truncated(what: string, offset: number): PipelineError {
  return malformed(`the archive ends inside ${what}`, offset);
}

function malformed(problem: string, offset: number): PipelineError {
  return new PipelineError({
    code: 'tar-malformed',
    kind: 'infra',
    message: `broken tar archive at byte ${offset}: ${problem}`,
  });
}
