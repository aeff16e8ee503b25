/**
 * Writes an apk v2 package: a gzip member each for signature, control and data. The control member holds a digest of
 * the data, the signature one of the control, so they are made in the opposite order; the data waits in a file beside
 * the result. Equal input gives equal bytes. Memory does not grow with the package.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { PipelineError } from '../errors.ts';
import { sortedUnique } from './byte-order.ts';
import { gzip, gzipMember } from './gzip.ts';
import { type SigningKey, signatureMember } from './keys.ts';
import type { PackageFile } from './package-data.ts';
import { dataTar } from './package-data.ts';
import { formatPackageInfo, type PackageInfo } from './package-info.ts';
import { tarHeader, tarPadding } from './tar-write.ts';

export type { PackageFile } from './package-data.ts';

export const SCRIPTLET_NAMES = [
  'pre-install',
  'post-install',
  'pre-deinstall',
  'post-deinstall',
  'pre-upgrade',
  'post-upgrade',
  'trigger',
] as const;

export type ScriptletName = (typeof SCRIPTLET_NAMES)[number];

/** Text of each scriptlet; an empty one is left out of the package. */
export type Scriptlets = Readonly<Partial<Record<ScriptletName, string>>>;

/** Everything `.PKGINFO` needs but for what the writer finds out. */
export type PackageDescription = Omit<PackageInfo, 'installedSize' | 'buildDate' | 'dataHash'>;

export interface WritePackageOptions {
  /** In any order; every directory of the package must be among them. */
  readonly files: readonly PackageFile[];
  readonly description: PackageDescription;
  readonly scriptlets?: Scriptlets;
  /** Text of `.melange.yaml`. */
  readonly melangeYaml?: string;
  /** Without a key the package is not signed. */
  readonly key?: SigningKey;
  /** Unix seconds: time of every entry and, unless 0, the build date. */
  readonly sourceDateEpoch: number;
  /** Path of the result, which appears complete or not at all and replaces an older file. */
  readonly outputPath: string;
  readonly signal?: AbortSignal;
}

export interface WrittenPackage {
  readonly path: string;
  readonly info: PackageInfo;
  /** `Q1` and the base64 SHA-1 of the compressed control member: the index's `C:`. */
  readonly controlChecksum: string;
  /** SHA-256 of the compressed data member, hex. */
  readonly dataHash: string;
  /** SHA-256 of the whole file, hex. */
  readonly sha256: string;
  /** Bytes of the whole file. */
  readonly size: number;
}

/**
 * Writes the package to `outputPath`. A process that is killed leaves no half package, but maybe files named
 * `<outputPath>.<uuid>.data` and `.part`.
 *
 * @throws PipelineError `output-invalid` for files a package cannot hold (FIFOs, sockets, block devices, bad or
 *   repeated paths), `invalid-value` for unusable names, `cancelled`; errors of the file system come through.
 */
export async function writePackage(options: WritePackageOptions): Promise<WrittenPackage> {
  const unique = randomUUID();
  const dataPath = `${options.outputPath}.${unique}.data`;
  const partPath = `${options.outputPath}.${unique}.part`;
  try {
    const data = await writeData(options, dataPath);
    const info: PackageInfo = {
      ...options.description,
      installedSize: data.installedSize,
      ...(options.sourceDateEpoch === 0 ? {} : { buildDate: options.sourceDateEpoch }),
      dataHash: data.hash,
    };
    const control = await controlMember(options, info);
    const signature =
      options.key === undefined
        ? []
        : [await signatureMember({ key: options.key, signed: control, mtime: options.sourceDateEpoch })];
    const whole = await joinParts(partPath, [...signature, control], dataPath);
    abortIfCancelled(options.signal);
    await rename(partPath, options.outputPath);
    return {
      path: options.outputPath,
      info,
      controlChecksum: checksumOf(control),
      dataHash: data.hash,
      ...whole,
    };
  } finally {
    await Promise.all([rm(dataPath, { force: true }), rm(partPath, { force: true })]);
  }
}

/** The index's `C:` for the bytes of a compressed control member. */
export function checksumOf(control: Uint8Array): string {
  return `Q1${createHash('sha1').update(control).digest('base64')}`;
}

async function writeData(
  options: WritePackageOptions,
  path: string,
): Promise<{ hash: string; installedSize: number }> {
  const tar = dataTar(options.files, options.sourceDateEpoch);
  const hash = createHash('sha256');
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of gzip(tar.bytes)) {
      abortIfCancelled(options.signal);
      hash.update(chunk);
      await writeAll(file, chunk);
    }
  } finally {
    await file.close();
  }
  return { hash: hash.digest('hex'), installedSize: tar.installedSize };
}

async function controlMember(options: WritePackageOptions, info: PackageInfo): Promise<Buffer> {
  const texts = new Map<string, string>([['.PKGINFO', formatPackageInfo(info)]]);
  if (options.melangeYaml !== undefined) texts.set('.melange.yaml', options.melangeYaml);
  for (const name of SCRIPTLET_NAMES) {
    const text = options.scriptlets?.[name];
    if (text) texts.set(`.${name}`, text);
  }
  const parts: Buffer[] = [];
  for (const name of sortedUnique(texts.keys())) {
    const content = Buffer.from(texts.get(name) ?? '');
    const header = tarHeader({
      name,
      type: 'file',
      mode: name === '.PKGINFO' || name === '.melange.yaml' ? 0o644 : 0o755,
      uname: 'root',
      gname: 'root',
      size: content.length,
      mtime: options.sourceDateEpoch,
    });
    parts.push(header, content, tarPadding(content.length));
  }
  return gzipMember(Buffer.concat(parts));
}

/** Puts the small members before the data; on disk when this returns. */
async function joinParts(
  path: string,
  heads: readonly Buffer[],
  dataPath: string,
): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  const file = await open(path, 'wx', 0o644);
  const append = async (chunk: Buffer): Promise<void> => {
    hash.update(chunk);
    size += chunk.length;
    await writeAll(file, chunk);
  };
  try {
    for (const head of heads) await append(head);
    for await (const chunk of createReadStream(dataPath, { highWaterMark: 1024 * 1024 })) await append(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
  return { sha256: hash.digest('hex'), size };
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
}

function abortIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw new PipelineError({
      code: 'cancelled',
      kind: 'cancelled',
      message: 'writing the package was cancelled',
      cause: signal.reason,
    });
  }
}
