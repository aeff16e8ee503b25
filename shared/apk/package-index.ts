/** `APKINDEX.tar.gz`: the container of an index, its signature, and how new packages get into it. */
import { isUtf8 } from 'node:buffer';
import { PipelineError } from '../errors.ts';
import { gzipMember } from './gzip.ts';
import { type GzipMember, splitGzipMembers } from './gzip-split.ts';
import { formatIndex, type IndexEntry, parseIndex } from './index-records.ts';
import {
  findKey,
  type KeyRing,
  type Signature,
  type SigningKey,
  signatureMember,
  verifySignature,
} from './keys.ts';
import { signaturesOf, smallFiles } from './package-read.ts';
import { readTar } from './tar-read.ts';
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

export interface IndexArchive {
  readonly entries: IndexEntry[];
  /** Free text of the repository's `DESCRIPTION`, often empty. */
  readonly description: string;
  /** Name of the key whose signature was verified. */
  readonly signedBy: string | undefined;
}

/**
 * Reads an `APKINDEX.tar.gz`.
 *
 * @param trust the keys of which one must have signed the index, or `unverified` to take it as it is.
 * @throws PipelineError `index-signature` where no known key signed these bytes or there are no keys at all,
 *   `index-malformed`, `apk-malformed`, `tar-malformed`.
 */
export async function readIndexArchive(bytes: Buffer, trust: KeyRing | 'unverified'): Promise<IndexArchive> {
  if (trust !== 'unverified' && trust.size === 0) throw refused('there are no keys to verify it with');
  const members = splitGzipMembers(inMemory(bytes));
  try {
    const first = await nextMember(members);
    const isSigned = await beginsWithSignature(bytes);
    if (!isSigned) {
      if (trust !== 'unverified') throw refused('it carries no signature');
      return { ...(await contentsOf(first, members)), signedBy: undefined };
    }
    const signatures = signaturesOf(await smallFiles(first));
    const second = await nextMember(members);
    const signed = bytes.subarray(second.offset);
    const signedBy = trust === 'unverified' ? undefined : verifiedSigner(signatures, trust, signed);
    return { ...(await contentsOf(second, members)), signedBy };
  } finally {
    await members.return();
  }
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

/** The signer of the index; one valid signature suffices, and unknown keys are passed over. */
function verifiedSigner(signatures: readonly Signature[], keys: KeyRing, signed: Buffer): string {
  const known = signatures.flatMap((signature) => {
    const key = findKey(keys, signature.keyName);
    return key === undefined ? [] : [{ key, signature }];
  });
  const names = signatures.map((signature) => signature.keyName).join(', ');
  if (known.length === 0) throw refused(`it is signed by ${names || 'nobody'}, none of them a known key`);
  const valid = known.find(({ key, signature }) => verifySignature(key, signature, [signed]));
  if (valid === undefined) throw refused(`the signature by ${names} does not match its bytes`);
  return valid.signature.keyName;
}

async function contentsOf(
  first: GzipMember,
  members: AsyncGenerator<GzipMember, void>,
): Promise<{ entries: IndexEntry[]; description: string }> {
  const texts = new Map<string, string>();
  let left = MAX_INDEX_BYTES;
  for await (const entry of readTar(first.content)) {
    left -= entry.size;
    if (left < 0) throw malformed(`it is larger than ${MAX_INDEX_BYTES} bytes`);
    if (entry.name !== 'APKINDEX' && entry.name !== 'DESCRIPTION') continue;
    const content = Buffer.concat(await Array.fromAsync(entry.content));
    if (!isUtf8(content)) throw malformed(`${entry.name} is not UTF-8`);
    texts.set(entry.name, content.toString());
  }
  if ((await members.next()).done !== true) throw malformed('more data follows the index');
  const index = texts.get('APKINDEX');
  if (index === undefined) throw malformed('it contains no APKINDEX');
  return { entries: parseIndex(index), description: texts.get('DESCRIPTION') ?? '' };
}

/** Whether the archive's first entry is a signature. */
async function beginsWithSignature(bytes: Buffer): Promise<boolean> {
  for await (const member of splitGzipMembers(inMemory(bytes))) {
    for await (const entry of readTar(member.content)) return entry.name.startsWith('.SIGN.');
    break;
  }
  return false;
}

async function nextMember(members: AsyncGenerator<GzipMember, void>): Promise<GzipMember> {
  const next = await members.next();
  if (next.done === true) throw malformed('it ends before its contents');
  return next.value;
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

function refused(problem: string): PipelineError {
  return new PipelineError({
    code: 'index-signature',
    kind: 'infra',
    message: `the package index cannot be trusted: ${problem}`,
    hint: "Give the repository's public key, under the file name its signature has",
  });
}

function malformed(problem: string): PipelineError {
  return new PipelineError({
    code: 'index-malformed',
    kind: 'infra',
    message: `unusable package index: ${problem}`,
  });
}
