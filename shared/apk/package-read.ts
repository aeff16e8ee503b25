/** Reads apk v2 packages as a stream and verifies what ties their parts together. */
import { createHash } from 'node:crypto';
import { PipelineError } from '../errors.ts';
import { type GzipMember, splitGzipMembers } from './gzip-split.ts';
import { findKey, type KeyRing, parseSignatureName, type Signature, verifySignature } from './keys.ts';
import { collectEntries, type PackageContents } from './package-contents.ts';
import { type PackageInfo, parsePackageInfo } from './package-info.ts';
import { checksumOf, SCRIPTLET_NAMES, type ScriptletName } from './package-write.ts';
import { readTar, type TarEntry } from './tar-read.ts';

/** Scriptlets and `.melange.yaml` together; the largest seen are a few hundred KiB. */
const MAX_CONTROL_BYTES = 64 * 1024 * 1024;

export interface PackageReading {
  /** Signatures of known types; none are verified here. */
  readonly signatures: readonly Signature[];
  readonly info: PackageInfo;
  readonly scriptlets: ReadonlyMap<ScriptletName, Buffer>;
  readonly melangeYaml: string | undefined;
  /** The compressed control member: what signatures cover. */
  readonly control: Buffer;
  /** `Q1` and the base64 SHA-1 of `control`. */
  readonly controlChecksum: string;
  /**
   * The package's files. Has to be read to its end: only then is the data known to be what `datahash` says, and the
   * generator throws `apk-mismatch` if not.
   */
  readonly entries: AsyncGenerator<TarEntry, void>;
  /** Lets go of the source; needed where `entries` are not read to their end. */
  close(): Promise<void>;
}

/**
 * Reads signature and control; the files follow as a stream.
 *
 * @throws PipelineError `apk-malformed`, `tar-malformed`, `apk-mismatch`, `index-signature` for a signature entry of
 *   unknown kind.
 */
export async function readPackage(source: AsyncIterable<Uint8Array>): Promise<PackageReading> {
  const dataHash = createHash('sha256');
  const head: Buffer[][] = [];
  let headBytes = 0;
  let dataMember = Number.POSITIVE_INFINITY;
  const members = splitGzipMembers(source, (chunk, member) => {
    if (member >= dataMember) {
      dataHash.update(chunk);
      return;
    }
    headBytes += chunk.length;
    if (headBytes > MAX_CONTROL_BYTES) throw tooLarge();
    const pieces = head[member] ?? [];
    head[member] = pieces;
    pieces.push(chunk);
  });
  try {
    const first = await nextMember(members, 'control');
    let files = await smallFiles(first);
    let controlMember = first.index;
    const isSigned = [...files.keys()].some((name) => name.startsWith('.SIGN.'));
    const signatures = isSigned ? signaturesOf(files) : [];
    if (isSigned) {
      const second = await nextMember(members, 'control');
      controlMember = second.index;
      files = await smallFiles(second);
    }
    dataMember = controlMember + 1;
    const data = await nextMember(members, 'data');
    const text = files.get('.PKGINFO');
    if (text === undefined) throw malformed('its control member has no .PKGINFO');
    const info = parsePackageInfo(text.toString());
    const control = Buffer.concat(head[controlMember] ?? []);
    const scriptlets = SCRIPTLET_NAMES.flatMap((name) => {
      const script = files.get(`.${name}`);
      return script === undefined ? [] : [[name, script] as const];
    });
    return {
      signatures,
      info,
      scriptlets: new Map(scriptlets),
      melangeYaml: files.get('.melange.yaml')?.toString(),
      control,
      controlChecksum: checksumOf(control),
      entries: dataEntries({ data, members, info, digest: () => dataHash.digest('hex') }),
      async close() {
        await members.return();
      },
    };
  } catch (thrown) {
    await members.return();
    throw thrown;
  }
}

export interface VerifyPackageOptions {
  readonly source: AsyncIterable<Uint8Array>;
  /** With keys, a signature by one of them has to be right; a package without such a signature passes. */
  readonly keys?: KeyRing;
  /** The index's `C:`. */
  readonly expectedControlChecksum?: string;
}

export interface VerifiedPackage {
  readonly info: PackageInfo;
  /** SHA-256 of the whole file, hex. */
  readonly sha256: string;
  /** Bytes of the whole file. */
  readonly size: number;
  readonly controlChecksum: string;
  readonly dataHash: string;
  /** Name of the known key that signed the package. */
  readonly signedBy: string | undefined;
  readonly contents: PackageContents;
}

/**
 * Verifies the chain from the index (`C:`) to the control member to the data, and the package's own signature where a
 * known key made one. Reads the source once, to its end.
 *
 * @throws PipelineError as `readPackage`; `apk-mismatch` names both digests.
 */
export async function verifyPackage(options: VerifyPackageOptions): Promise<VerifiedPackage> {
  const whole = createHash('sha256');
  let size = 0;
  const reading = await readPackage(
    tapped(options.source, (chunk) => {
      whole.update(chunk);
      size += chunk.length;
    }),
  );
  const { info, controlChecksum, control } = reading;
  try {
    const expected = options.expectedControlChecksum;
    if (expected !== undefined && expected !== controlChecksum) {
      throw mismatch(info, `its control checksum is ${controlChecksum}, the index says ${expected}`);
    }
    const signedBy = signerOf(reading.signatures, options.keys ?? new Map(), (key, signature) => {
      if (verifySignature(key, signature, [control])) return;
      throw mismatch(info, `the signature by ${signature.keyName} does not match its control member`);
    });
    const collector = collectEntries();
    for await (const entry of reading.entries) await collector.add(entry);
    return {
      info,
      sha256: whole.digest('hex'),
      size,
      controlChecksum,
      dataHash: info.dataHash,
      signedBy,
      contents: {
        info,
        scriptlets: Object.fromEntries(
          [...reading.scriptlets].map(([name, script]) => [name, script.toString('base64')]),
        ),
        texts: collector.texts,
        entries: collector.entries,
      },
    };
  } finally {
    await reading.close();
  }
}

function signerOf(
  signatures: readonly Signature[],
  keys: KeyRing,
  verify: (key: NonNullable<ReturnType<typeof findKey>>, signature: Signature) => void,
): string | undefined {
  let signer: string | undefined;
  for (const signature of signatures) {
    const key = findKey(keys, signature.keyName);
    if (key === undefined) continue;
    verify(key, signature);
    signer ??= signature.keyName;
  }
  return signer;
}

interface DataOptions {
  readonly data: GzipMember;
  readonly members: AsyncGenerator<GzipMember, void>;
  readonly info: PackageInfo;
  readonly digest: () => string;
}

async function* dataEntries(options: DataOptions): AsyncGenerator<TarEntry, void> {
  const { data, members, info } = options;
  try {
    yield* readTar(joined(data, members));
    const actual = options.digest();
    if (actual !== info.dataHash) {
      throw mismatch(info, `its data has the SHA-256 ${actual}, .PKGINFO says ${info.dataHash || 'nothing'}`);
    }
  } finally {
    await members.return();
  }
}

/** The data's content: `datahash` covers everything after the control member, be it one gzip member or several. */
async function* joined(first: GzipMember, rest: AsyncIterable<GzipMember>): AsyncGenerator<Buffer> {
  yield* first.content;
  for await (const member of rest) yield* member.content;
}

/** The files of a signature or control member. */
export async function smallFiles(member: GzipMember): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  let left = MAX_CONTROL_BYTES;
  for await (const entry of readTar(member.content)) {
    left -= entry.size;
    if (left < 0) throw tooLarge();
    if (entry.type === 'file') files.set(entry.name, Buffer.concat(await Array.fromAsync(entry.content)));
  }
  return files;
}

/** The signatures among a member's files. */
export function signaturesOf(files: ReadonlyMap<string, Buffer>): Signature[] {
  return [...files].flatMap(([name, bytes]) => {
    const parsed = name.startsWith('.SIGN.') ? parseSignatureName(name) : undefined;
    return parsed === undefined ? [] : [{ ...parsed, bytes }];
  });
}

async function nextMember(members: AsyncGenerator<GzipMember, void>, what: string): Promise<GzipMember> {
  const next = await members.next();
  if (next.done === true) throw malformed(`it has no ${what} member`);
  return next.value;
}

async function* tapped(
  source: AsyncIterable<Uint8Array>,
  tap: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    tap(chunk);
    yield chunk;
  }
}

function tooLarge(): PipelineError {
  return malformed(`its control part is larger than ${MAX_CONTROL_BYTES} bytes`);
}

function malformed(problem: string): PipelineError {
  return new PipelineError({ code: 'apk-malformed', kind: 'infra', message: `broken package: ${problem}` });
}

function mismatch(info: PackageInfo, problem: string): PipelineError {
  return new PipelineError({
    code: 'apk-mismatch',
    kind: 'infra',
    message: `the package ${info.name} ${info.version} is not what it claims to be: ${problem}`,
    hint: 'The file was damaged or changed after it was signed',
  });
}
