/** The signature of a package index, checked while its bytes come. */
import { constants, createVerify, type KeyObject, type Verify } from 'node:crypto';
import { PipelineError } from '../errors.ts';
import { type GzipMember, splitGzipMembers } from './gzip-split.ts';
import { findKey, type KeyRing, parseSignatureName, type Signature } from './keys.ts';
import { readTar } from './tar-read.ts';

/** A signature has the size of its key: 2 KiB for the largest. */
const MAX_SIGNATURE_BYTES = 64 * 1024;

export interface SignedBytes {
  /** All bytes that the signature covers, still compressed; of an index without one, all it has. */
  readonly pieces: Buffer[];
  /** Name of the key whose signature was verified. */
  readonly signedBy: string | undefined;
}

/**
 * Takes an index to its end and checks its signature on the way: over all bytes after the first gzip member. Nothing
 * behind the signature is inflated here, so nobody without a key gets any of it looked at.
 *
 * @param trust the keys of which one must have signed it, or `unverified` to take it as it is.
 * @throws PipelineError `index-signature` as soon as it is known that no key will do, `index-malformed`,
 *   `apk-malformed` and `tar-malformed` for a signature that cannot be read; errors of the source unchanged.
 */
export async function readSignedBytes(
  source: AsyncIterable<Uint8Array>,
  trust: KeyRing | 'unverified',
): Promise<SignedBytes> {
  if (trust !== 'unverified' && trust.size === 0) throw refused('there are no keys to verify it with');
  const chunks = source[Symbol.asyncIterator]();
  const taken: Buffer[] = [];
  const next = async (): Promise<Buffer | undefined> => {
    const { done, value } = await chunks.next();
    return done === true ? undefined : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  };
  const remembered = {
    // Without `return`: the rest of the source is read below.
    [Symbol.asyncIterator]: (): AsyncIterator<Buffer> => ({
      async next() {
        const value = await next();
        if (value === undefined) return { done: true, value };
        taken.push(value);
        return { done: false, value };
      },
    }),
  };
  try {
    const head = await readHead(remembered);
    if (!head.isSigned && trust !== 'unverified') throw refused('it carries no signature');
    const pieces = after(taken, head.contentOffset);
    const signers = trust === 'unverified' ? [] : knownSigners(head.signatures, trust);
    for (const { verifier } of signers) for (const piece of pieces) verifier.update(piece);
    for (let piece = await next(); piece !== undefined; piece = await next()) {
      for (const { verifier } of signers) verifier.update(piece);
      pieces.push(piece);
    }
    if (trust === 'unverified') return { pieces, signedBy: undefined };
    const valid = signers.find(({ verifier, key, signature }) =>
      verifier.verify({ key, padding: constants.RSA_PKCS1_PADDING }, signature.bytes),
    );
    if (valid === undefined) {
      throw refused(`the signature by ${namesOf(head.signatures)} does not match its bytes`);
    }
    return { pieces, signedBy: valid.signature.keyName };
  } finally {
    await chunks.return?.();
  }
}

interface Head {
  readonly isSigned: boolean;
  readonly signatures: readonly Signature[];
  /** Where the signed bytes begin. */
  readonly contentOffset: number;
}

async function readHead(source: AsyncIterable<Buffer>): Promise<Head> {
  const members = splitGzipMembers(source);
  try {
    const signatures = await signaturesIn(await nextMember(members));
    if (signatures === undefined) return { isSigned: false, signatures: [], contentOffset: 0 };
    return { isSigned: true, signatures, contentOffset: (await nextMember(members)).offset };
  } finally {
    await members.return();
  }
}

/** The signatures of a member; undefined where it begins with something else. */
async function signaturesIn(member: GzipMember): Promise<Signature[] | undefined> {
  const signatures: Signature[] = [];
  let isSigned = false;
  let left = MAX_SIGNATURE_BYTES;
  for await (const entry of readTar(member.content)) {
    if (!isSigned && !entry.name.startsWith('.SIGN.')) return undefined;
    isSigned = true;
    left -= entry.size;
    if (left < 0) throw malformed(`its signature is larger than ${MAX_SIGNATURE_BYTES} bytes`);
    const parsed = entry.name.startsWith('.SIGN.') ? parseSignatureName(entry.name) : undefined;
    if (parsed === undefined) continue;
    signatures.push({ ...parsed, bytes: Buffer.concat(await Array.fromAsync(entry.content)) });
  }
  return isSigned ? signatures : undefined;
}

interface Signer {
  readonly signature: Signature;
  readonly key: KeyObject;
  readonly verifier: Verify;
}

/** One valid signature suffices, and unknown keys are passed over. */
function knownSigners(signatures: readonly Signature[], keys: KeyRing): Signer[] {
  const known = signatures.flatMap((signature) => {
    const key = findKey(keys, signature.keyName);
    return key === undefined ? [] : [{ signature, key, verifier: createVerify(signature.digest) }];
  });
  if (known.length > 0) return known;
  throw refused(`it is signed by ${namesOf(signatures)}, none of them a known key`);
}

function namesOf(signatures: readonly Signature[]): string {
  return signatures.map((signature) => signature.keyName).join(', ') || 'nobody';
}

/** The chunks without their first `bytes`. */
function after(chunks: readonly Buffer[], bytes: number): Buffer[] {
  let left = bytes;
  return chunks.flatMap((chunk) => {
    const rest = chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
    return rest.length === 0 ? [] : [rest];
  });
}

async function nextMember(members: AsyncGenerator<GzipMember, void>): Promise<GzipMember> {
  const next = await members.next();
  if (next.done === true) throw malformed('it ends before its contents');
  return next.value;
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
