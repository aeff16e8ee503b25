/**
 * Writes tar headers in the dialect of melange's packages: ustar where it suffices, else one pax extended header
 * before the entry's own. The fixed points (field widths, `PaxHeaders.0` names, which strings need a record) are those
 * of the Go standard library's archive/tar, which other writers of apk v2 use.
 */
import { formatPaxRecords } from './pax-records.ts';
import type { TarEntryType } from './tar-read.ts';

const BLOCK_BYTES = 512;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;
const OWNER_BYTES = 32;

const TYPE_FLAGS: Readonly<Record<TarEntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
};

export interface TarHeaderFields {
  readonly name: string;
  readonly type: TarEntryType;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly uname?: string;
  readonly gname?: string;
  /** Bytes of content that follow; default 0. */
  readonly size?: number;
  /** Whole Unix seconds, not negative; default 0. */
  readonly mtime?: number;
  readonly linkName?: string;
  readonly devMajor?: number;
  readonly devMinor?: number;
  /** Extra pax records, for example `APK-TOOLS.checksum.SHA1`. */
  readonly pax?: ReadonlyMap<string, Uint8Array>;
}

/** The two blocks of zeros that end an archive. */
export const TAR_END: Buffer = Buffer.alloc(2 * BLOCK_BYTES);

/** The zeros that fill the last block of a content of `size` bytes. */
export function tarPadding(size: number): Buffer {
  return TAR_END.subarray(0, (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES);
}

/** The header blocks of one entry, extended header included; the content and its padding follow. */
export function tarHeader(entry: TarHeaderFields): Buffer {
  const needed = neededRecords(entry);
  const split = splitPath(entry.name);
  const fitsUstar = [...needed.keys()].every((key) => key === 'path' && split !== undefined);
  const records = new Map<string, Uint8Array>(entry.pax);
  if (records.size === 0 && fitsUstar) {
    return ustarBlock({ ...entry, name: split?.name ?? entry.name, prefix: split?.prefix ?? '' });
  }
  for (const [key, value] of needed) records.set(key, Buffer.from(value));
  const body = formatPaxRecords(records);
  return Buffer.concat([
    extensionBlock(entry.name, body.length),
    body,
    tarPadding(body.length),
    ustarBlock({ ...entry, prefix: '' }),
  ]);
}

/** The values that do not fit the plain header's fields. */
function neededRecords(entry: TarHeaderFields): Map<string, string> {
  const needed = new Map<string, string>();
  const text = (key: string, value: string, bytes: number): void => {
    if (!isAscii(value) || Buffer.byteLength(value) > bytes) needed.set(key, value);
  };
  const number = (key: string, value: number, digits: number): void => {
    if (value >= 8 ** digits) needed.set(key, String(value));
  };
  text('path', entry.name, NAME_BYTES);
  text('linkpath', entry.linkName ?? '', NAME_BYTES);
  text('uname', entry.uname ?? '', OWNER_BYTES);
  text('gname', entry.gname ?? '', OWNER_BYTES);
  number('size', entry.size ?? 0, 11);
  number('uid', entry.uid ?? 0, 7);
  number('gid', entry.gid ?? 0, 7);
  number('mtime', entry.mtime ?? 0, 11);
  return needed;
}

/** A long ASCII name as prefix and name at the last slash that suits both fields. */
function splitPath(path: string): { prefix: string; name: string } | undefined {
  if (path.length <= NAME_BYTES || !isAscii(path)) return undefined;
  const slash = path.slice(0, Math.min(path.length - 1, PREFIX_BYTES + 1)).lastIndexOf('/');
  const name = path.slice(slash + 1);
  return slash <= 0 || name.length > NAME_BYTES ? undefined : { prefix: path.slice(0, slash), name };
}

function ustarBlock(entry: TarHeaderFields & { readonly prefix: string }): Buffer {
  const block = blankBlock(TYPE_FLAGS[entry.type]);
  putText(block, entry.name, 0, NAME_BYTES);
  putOctal(block, entry.mode, 100, 7);
  putOctal(block, entry.uid ?? 0, 108, 7);
  putOctal(block, entry.gid ?? 0, 116, 7);
  putOctal(block, entry.size ?? 0, 124, 11);
  putOctal(block, entry.mtime ?? 0, 136, 11);
  putText(block, entry.linkName ?? '', 157, NAME_BYTES);
  putText(block, entry.uname ?? '', 265, OWNER_BYTES);
  putText(block, entry.gname ?? '', 297, OWNER_BYTES);
  putOctal(block, entry.devMajor ?? 0, 329, 7);
  putOctal(block, entry.devMinor ?? 0, 337, 7);
  putText(block, entry.prefix, 345, PREFIX_BYTES);
  return withChecksum(block);
}

/** The header of an extended header: numbers zero, no owners, device fields blank. */
function extensionBlock(entryName: string, bodyBytes: number): Buffer {
  const block = blankBlock('x');
  const slash = entryName.lastIndexOf('/');
  const name = `${entryName.slice(0, slash + 1)}PaxHeaders.0/${entryName.slice(slash + 1)}`;
  putText(block, asAscii(name).slice(0, NAME_BYTES).replace(/\/+$/, ''), 0, NAME_BYTES);
  for (const [start, digits] of [
    [100, 7],
    [108, 7],
    [116, 7],
    [136, 11],
  ] as const) {
    putOctal(block, 0, start, digits);
  }
  putOctal(block, bodyBytes, 124, 11);
  return withChecksum(block);
}

function blankBlock(typeFlag: string): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(typeFlag, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  return block;
}

/** Cuts at the field's end. A cut name never ends in a slash: old readers would take it for a directory. */
function putText(block: Buffer, text: string, start: number, bytes: number): void {
  const ascii = asAscii(text);
  const cut = ascii.length > bytes ? ascii.slice(0, bytes).replace(/\/+$/, '') : ascii;
  block.write(cut, start, 'latin1');
}

/** Digits and a NUL; a number with too many digits stands in its pax record, and here as 0. */
function putOctal(block: Buffer, value: number, start: number, digits: number): void {
  const text = value.toString(8);
  block.write((text.length > digits ? '' : text).padStart(digits, '0'), start, 'latin1');
}

function withChecksum(block: Buffer): Buffer {
  let sum = 8 * 0x20;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function isAscii(text: string): boolean {
  return asAscii(text) === text;
}

function asAscii(text: string): string {
  return text.replace(/\P{ASCII}/gu, '');
}
