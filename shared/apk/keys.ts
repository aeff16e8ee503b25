/**
 * RSA keys of APK repositories and the signatures made with them: RSASSA-PKCS1-v1_5, in a tar entry
 * `.SIGN.<TYPE>.<name of the public key file>`. The private half of a key never gets into a message.
 */
import {
  constants,
  createPrivateKey,
  createPublicKey,
  createVerify,
  generateKeyPair,
  type KeyObject,
  sign,
} from 'node:crypto';
import { promisify } from 'node:util';
import { PipelineError } from '../errors.ts';
import { gzipMember } from './gzip.ts';
import { tarHeader, tarPadding } from './tar-write.ts';

const MIN_KEY_BITS = 2048;

export interface SigningKey {
  /** File name of the private key, for example `melange.rsa`; the public one is named the same with `.pub`. */
  readonly name: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** Public keys by file name, for example `melange.rsa.pub`: the contents of `/etc/apk/keys`. */
export type KeyRing = ReadonlyMap<string, KeyObject>;

export interface GeneratedKey {
  readonly name: string;
  /** PKCS #1: `BEGIN RSA PRIVATE KEY`. To be kept with mode 0600. */
  readonly privatePem: string;
  /** SubjectPublicKeyInfo: `BEGIN PUBLIC KEY`. */
  readonly publicPem: string;
}

/**
 * Makes a new key pair.
 *
 * @param options.bits at least 2048, default 4096.
 * @throws PipelineError `key-unusable` for a name with a slash or too few bits.
 */
export async function generateSigningKey(options: {
  readonly name: string;
  readonly bits?: number;
}): Promise<GeneratedKey> {
  const { name, bits = 4096 } = options;
  requireKeyName(name);
  if (!Number.isInteger(bits) || bits < MIN_KEY_BITS || bits > 16384) {
    throw unusable(`a key of ${bits} bits cannot be made: ${MIN_KEY_BITS} is the least`);
  }
  const pair = await promisify(generateKeyPair)('rsa', {
    modulusLength: bits,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  return { name, privatePem: pair.privateKey, publicPem: pair.publicKey };
}

/**
 * Reads a private key in PEM: PKCS #1 or PKCS #8, plain or encrypted (in both the old `DEK-Info` form and the new).
 *
 * @param name the private key's file name.
 * @throws PipelineError `key-unusable`.
 */
export function loadSigningKey(pem: string | Buffer, name: string, passphrase?: string): SigningKey {
  requireKeyName(name);
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey({ key: pem, format: 'pem', ...(passphrase ? { passphrase } : {}) });
  } catch {
    // The cause is left out: what OpenSSL says about a key belongs in no log.
    throw unusable(
      `the signing key ${name} cannot be read`,
      'It must be an RSA key in PEM, with its passphrase',
    );
  }
  requireRsa(privateKey, name);
  return { name, privateKey, publicKey: createPublicKey(privateKey) };
}

/**
 * Reads a public key in PEM.
 *
 * @param name its file name, which signatures refer to.
 * @throws PipelineError `key-unusable`.
 */
export function loadPublicKey(pem: string | Buffer, name: string): KeyObject {
  requireKeyName(name);
  let key: KeyObject;
  try {
    key = createPublicKey({ key: pem, format: 'pem' });
  } catch {
    throw unusable(`the public key ${name} cannot be read`, 'It must be an RSA public key in PEM');
  }
  requireRsa(key, name);
  return key;
}

/** File name of the key's public half. */
export function publicKeyName(key: SigningKey): string {
  return `${key.name}.pub`;
}

/** The public half in PEM (SubjectPublicKeyInfo). */
export function publicKeyPem(key: SigningKey): string {
  return key.publicKey.export({ type: 'spki', format: 'pem' }).toString();
}

/**
 * The gzip member that signs `signed` and is put in front of it: a tar of one file, without end mark.
 *
 * @param options.mtime Unix seconds.
 */
export async function signatureMember(options: {
  readonly key: SigningKey;
  readonly signed: Uint8Array;
  readonly mtime: number;
}): Promise<Buffer> {
  const { key, signed, mtime } = options;
  const signature = await promisify(sign)('sha256', signed, {
    key: key.privateKey,
    padding: constants.RSA_PKCS1_PADDING,
  });
  const header = tarHeader({
    name: `.SIGN.RSA256.${publicKeyName(key)}`,
    type: 'file',
    mode: 0o644,
    uname: 'root',
    gname: 'root',
    size: signature.length,
    mtime,
  });
  return gzipMember(Buffer.concat([header, signature, tarPadding(signature.length)]));
}

export interface Signature {
  /** File name of the public key as the signer wrote it. */
  readonly keyName: string;
  readonly digest: 'sha1' | 'sha256';
  readonly bytes: Buffer;
}

/**
 * What the name of a signature entry says: undefined for types that are passed over (`DSA`, `RSA512`).
 *
 * @throws PipelineError `index-signature` for an unknown type or a key name with a slash.
 */
export function parseSignatureName(entry: string): Pick<Signature, 'keyName' | 'digest'> | undefined {
  const match = /^\.SIGN\.([A-Z0-9]+)\.(.+)$/s.exec(entry);
  const keyName = match?.[2] ?? '';
  const type = match?.[1] ?? '';
  if (type === 'DSA' || type === 'RSA512') return undefined;
  if ((type !== 'RSA' && type !== 'RSA256') || keyName.includes('/')) {
    throw new PipelineError({
      code: 'index-signature',
      kind: 'infra',
      message: `the signature entry ${JSON.stringify(entry)} is of no known kind`,
    });
  }
  return { keyName, digest: type === 'RSA' ? 'sha1' : 'sha256' };
}

/** The ring's key for a name in a signature: under that name, or under it without `.rsa.pub`. */
export function findKey(keys: KeyRing, keyName: string): KeyObject | undefined {
  return keys.get(keyName) ?? keys.get(keyName.replace(/\.rsa\.pub$/, ''));
}

/** Whether `key` made the signature over these bytes, given in pieces. */
export function verifySignature(key: KeyObject, signature: Signature, signed: Iterable<Uint8Array>): boolean {
  const verifier = createVerify(signature.digest);
  for (const piece of signed) verifier.update(piece);
  return verifier.verify({ key, padding: constants.RSA_PKCS1_PADDING }, signature.bytes);
}

function requireKeyName(name: string): void {
  if (!/^[^/\s\0]+$/.test(name) || name === '.' || name === '..') {
    throw unusable(
      `${JSON.stringify(name)} cannot be the name of a key`,
      'It is a file name, without folders',
    );
  }
}

function requireRsa(key: KeyObject, name: string): void {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType !== 'rsa' || bits < MIN_KEY_BITS) {
    throw unusable(`the key ${name} is no RSA key of at least ${MIN_KEY_BITS} bits`);
  }
}

function unusable(message: string, hint?: string): PipelineError {
  return new PipelineError({ code: 'key-unusable', kind: 'infra', message, hint });
}
