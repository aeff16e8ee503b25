/** `APKINDEX.tar.gz`: the container of an index, its signature, and how new packages get into it. */
import { PipelineError } from '../errors.ts';
import { gzipMember } from './gzip.ts';
import { splitGzipMembers } from './gzip-split.ts';
import { createIndexReader, formatIndex, type IndexEntry } from './index-records.ts';
import { readSignedBytes } from './index-signature.ts';
import { type KeyRing, type SigningKey, signatureMember } from './keys.ts';
import { readTar, type TarEntry } from './tar-read.ts';
import { TAR_END, tarHeader, tarPadding } from './tar-write.ts';

export {
  formatIndex,
  type IndexEntry,
  indexEntryOf,
  type PackageFacts,
  parseIndex,
} from './index-records.ts';

/** Decompressed; ten times the largest index known. */
const MAX_INDEX_BYTES = 1024 * 1024 * 1024;
/** Of a `DESCRIPTION`, which is a line or two. */
const MAX_DESCRIPTION_BYTES = 64 * 1024;

export interface IndexArchive {
  readonly entries: IndexEntry[];
  /** Free text of the repository's `DESCRIPTION`, often empty. */
  readonly description: string;
  /** Name of the key whose signature was verified. */
  readonly signedBy: string | undefined;
}

/**
 * Reads an `APKINDEX.tar.gz`. Its compressed bytes are held until their signature is known to be right, then inflated
 * and parsed piece by piece; the text is never in memory as a whole, and equal strings are kept once.
 *
 * @param source the file's bytes, as a whole or as they come; closed in any case.
 * @param trust the keys of which one must have signed the index, or `unverified` to take it as it is.
 * @throws PipelineError `index-signature` where no known key signed these bytes or there are no keys at all,
 *   `index-malformed`, `apk-malformed`, `tar-malformed`; errors of the source unchanged.
 */
export async function readIndexArchive(
  source: AsyncIterable<Uint8Array> | Buffer,
  trust: KeyRing | 'unverified',
): Promise<IndexArchive> {
  const { pieces, signedBy } = await readSignedBytes(
    Buffer.isBuffer(source) ? inMemory(source) : source,
    trust,
  );
  return { ...(await contentsOf(releasing(pieces))), signedBy };
}

export interface IndexArchiveOptions {
  /** Without a key the index is not signed. */
  readonly key?: SigningKey;
  readonly description?: string;
}

/** The bytes of an `APKINDEX.tar.gz` with these records in this order. */
export async function writeIndexArchive(
  entries: Iterable<IndexEntry>,
  options: IndexArchiveOptions = {},
): Promise<Buffer> {
  const unsigned = await gzipMember(
    Buffer.concat([
      ...tarFile('APKINDEX', formatIndex(entries)),
      ...tarFile('DESCRIPTION', options.description ?? ''),
      TAR_END,
    ]),
  );
  if (options.key === undefined) return unsigned;
  return Buffer.concat([await signatureMember({ key: options.key, signed: unsigned, mtime: 0 }), unsigned]);
}

/**
 * The index after packages were added: a record of the same name and version is replaced where it stands (the first
 * one, if there are several), any other is appended. Nothing is sorted, nothing removed.
 */
export function mergeIndex(existing: readonly IndexEntry[], added: Iterable<IndexEntry>): IndexEntry[] {
  const merged = [...existing];
  const places = new Map<string, number>();
  for (const [place, entry] of merged.entries()) {
    const key = `${entry.name}\n${entry.version}`;
    if (!places.has(key)) places.set(key, place);
  }
  for (const entry of added) {
    const key = `${entry.name}\n${entry.version}`;
    const place = places.get(key) ?? merged.length;
    places.set(key, place);
    merged[place] = entry;
  }
  return merged;
}

async function contentsOf(
  signed: AsyncIterable<Buffer>,
): Promise<{ entries: IndexEntry[]; description: string }> {
  let entries: IndexEntry[] | undefined;
  let description = '';
  const members = splitGzipMembers(signed);
  try {
    const first = await members.next();
    if (first.done === true) throw malformed('it ends before its contents');
    let left = MAX_INDEX_BYTES;
    for await (const entry of readTar(first.value.content)) {
      left -= entry.size;
      if (left < 0) throw malformed(`it is larger than ${MAX_INDEX_BYTES} bytes`);
      if (entry.name === 'APKINDEX') entries = await entriesIn(entry);
      else if (entry.name === 'DESCRIPTION') description = await descriptionIn(entry);
    }
    if ((await members.next()).done !== true) throw malformed('more data follows the index');
  } finally {
    await members.return();
  }
  if (entries === undefined) throw malformed('it contains no APKINDEX');
  return { entries, description };
}

async function entriesIn(file: TarEntry): Promise<IndexEntry[]> {
  const reader = createIndexReader();
  for await (const text of textOf(file)) reader.read(text);
  return reader.end();
}

async function descriptionIn(file: TarEntry): Promise<string> {
  if (file.size > MAX_DESCRIPTION_BYTES) {
    throw malformed(`its DESCRIPTION is larger than ${MAX_DESCRIPTION_BYTES} bytes`);
  }
  return (await Array.fromAsync(textOf(file))).join('');
}

async function* textOf(file: TarEntry): AsyncGenerator<string, void> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  try {
    for await (const piece of file.content) yield decoder.decode(piece, { stream: true });
    yield decoder.decode();
  } catch (thrown) {
    // https://encoding.spec.whatwg.org/#dom-textdecoder-decode: what is no UTF-8 is a TypeError.
    throw thrown instanceof TypeError ? malformed(`${file.name} is not UTF-8`) : thrown;
  }
}

/** The pieces in order; what was given out is not held any longer. */
async function* releasing(pieces: Buffer[]): AsyncGenerator<Buffer> {
  pieces.reverse();
  for (let piece = pieces.pop(); piece !== undefined; piece = pieces.pop()) yield piece;
}

async function* inMemory(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

function tarFile(name: string, text: string): Buffer[] {
  const content = Buffer.from(text);
  return [
    tarHeader({ name, type: 'file', mode: 0o644, size: content.length }),
    content,
    tarPadding(content.length),
  ];
}

function malformed(problem: string): PipelineError {
  return new PipelineError({
    code: 'index-malformed',
    kind: 'infra',
    message: `unusable package index: ${problem}`,
  });
}
