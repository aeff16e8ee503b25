/** The tar of a package's files: which entries, in which order, with which header fields. */
import { createHash } from 'node:crypto';
import { PipelineError } from '../errors.ts';
import type { TarEntryType } from './tar-read.ts';
import { TAR_END, tarHeader, tarPadding } from './tar-write.ts';

/** One file of the package. Names of one inode are given as separate files, each with its content. */
export interface PackageFile {
  /** Relative to the package's root; a leading `./` and a trailing slash are taken off. */
  readonly path: string;
  readonly type: Exclude<TarEntryType, 'hardlink'> | 'socket';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly uname: string;
  readonly gname: string;
  /** Target of a symlink. */
  readonly linkName?: string;
  /** Bytes of content; counts for files only. */
  readonly size: number;
  /** SHA-1 of the content, hex; where missing, the content is read once more to find it. */
  readonly sha1?: string;
  /** Extended attributes, raw values. */
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
  readonly devMajor?: number;
  readonly devMinor?: number;
  /** Opens the content; may be called twice. Needed for files that are not empty. */
  readonly open?: () => AsyncIterable<Uint8Array>;
}

/** User and group `build` of the build guest: what they own belongs to root in the package. */
const BUILD_ID = 1000;
/** What a directory counts in the installed size, whatever the file system says, so that the sum is deterministic. */
const DIRECTORY_BYTES = 4096;
/** A file up to this size is read once and kept while its checksum is made. */
const SMALL_FILE_BYTES = 1024 * 1024;

/** Attributes of the machine that built, not of the package (the list of melange). */
const MACHINE_XATTRS: ReadonlySet<string> = new Set([
  'com.apple.provenance',
  'security.csm',
  'security.selinux',
  'com.docker.grpcfuse.ownership',
]);

export interface DataTar {
  readonly installedSize: number;
  readonly bytes: AsyncIterable<Buffer>;
}

/**
 * The data member's tar with its end mark. Paths and types are checked before the first byte is made.
 *
 * @throws PipelineError `output-invalid`, naming the path.
 */
export function dataTar(files: readonly PackageFile[], mtime: number): DataTar {
  const ordered = inWalkOrder(files);
  let installedSize = DIRECTORY_BYTES;
  for (const file of ordered) {
    if (file.type === 'directory') installedSize += DIRECTORY_BYTES;
    else if (file.type === 'symlink') installedSize += Buffer.byteLength(file.linkName);
    else if (file.type === 'file') installedSize += file.size;
  }
  return { installedSize, bytes: tarBytes(ordered, mtime) };
}

interface CheckedFile extends Omit<PackageFile, 'type'> {
  readonly type: 'file' | 'directory' | 'symlink' | 'character-device';
  readonly linkName: string;
}

/** Depth first, siblings in the bytewise order of their names: the order of the paths with NUL for each slash. */
function inWalkOrder(files: readonly PackageFile[]): CheckedFile[] {
  const sorted = files
    .map((file) => checked(file))
    .map((file) => ({ file, key: Buffer.from(file.path.replaceAll('/', '\0')) }))
    .sort((left, right) => Buffer.compare(left.key, right.key))
    .map(({ file }) => file);
  for (const [index, file] of sorted.entries()) {
    if (sorted[index + 1]?.path === file.path) throw invalid(`${file.path} occurs twice`);
  }
  return sorted;
}

function checked(file: PackageFile): CheckedFile {
  const path = file.path.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '');
  const segments = path.split('/');
  if (path.includes('\0') || segments.some((one) => one === '' || one === '.' || one === '..')) {
    throw invalid(`${JSON.stringify(file.path)} is no path inside the package`);
  }
  if (path === '.PKGINFO' || path.startsWith('.SIGN.')) {
    throw invalid(`${path} is a name that package managers keep for themselves`);
  }
  const { type } = file;
  if (type === 'fifo' || type === 'socket' || type === 'block-device') {
    throw invalid(
      `${path} is a ${type.replace('-', ' ')}, which a package cannot hold`,
      'Remove it in a step',
    );
  }
  if (type === 'symlink' && !file.linkName) throw invalid(`${path} is a symlink without a target`);
  return { ...file, path, type, linkName: type === 'symlink' ? (file.linkName ?? '') : '' };
}

async function* tarBytes(files: readonly CheckedFile[], mtime: number): AsyncGenerator<Buffer> {
  for (const file of files) {
    if (file.type !== 'file') {
      const sha1 =
        file.type === 'symlink' ? createHash('sha1').update(file.linkName).digest('hex') : undefined;
      yield headerOf(file, mtime, sha1);
    } else if (file.sha1 === undefined && file.size <= SMALL_FILE_BYTES) {
      const pieces = await Array.fromAsync(contentOf(file));
      const hash = createHash('sha1');
      for (const piece of pieces) hash.update(piece);
      yield headerOf(file, mtime, hash.digest('hex'));
      yield* pieces;
    } else {
      const sha1 = file.sha1 ?? (await sha1Of(file));
      yield headerOf(file, mtime, sha1);
      const hash = createHash('sha1');
      for await (const piece of contentOf(file)) {
        hash.update(piece);
        yield piece;
      }
      if (hash.digest('hex') !== sha1) throw changed(file);
    }
    if (file.type === 'file') yield tarPadding(file.size);
  }
  yield TAR_END;
}

/** The content, of exactly the size that stands in the header. */
async function* contentOf(file: CheckedFile): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const piece of file.open?.() ?? []) {
    bytes += piece.length;
    if (bytes > file.size) throw changed(file);
    yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
  }
  if (bytes !== file.size) throw changed(file);
}

async function sha1Of(file: CheckedFile): Promise<string> {
  const hash = createHash('sha1');
  for await (const piece of contentOf(file)) hash.update(piece);
  return hash.digest('hex');
}

function headerOf(file: CheckedFile, mtime: number, sha1: string | undefined): Buffer {
  const pax = new Map<string, Uint8Array>();
  if (sha1 !== undefined) pax.set('APK-TOOLS.checksum.SHA1', Buffer.from(sha1));
  if (file.type === 'file' || file.type === 'directory') {
    for (const [name, value] of file.xattrs ?? []) {
      if (MACHINE_XATTRS.has(name) || name.startsWith('trusted.')) continue;
      if (/[=\0]/.test(name)) throw invalid(`an extended attribute of ${file.path} has an impossible name`);
      pax.set(`SCHILY.xattr.${name}`, value);
    }
  }
  const ofBuildUser = file.uid === BUILD_ID;
  const ofBuildGroup = file.gid === BUILD_ID;
  const isDevice = file.type === 'character-device';
  return tarHeader({
    name: file.path,
    type: file.type,
    mode: file.type === 'symlink' ? 0o777 : file.mode & 0o7777,
    uid: ofBuildUser ? 0 : file.uid,
    gid: ofBuildGroup ? 0 : file.gid,
    uname: ofBuildUser ? 'root' : file.uname,
    gname: ofBuildGroup ? 'root' : file.gname,
    size: file.type === 'file' ? file.size : 0,
    mtime,
    linkName: file.linkName,
    devMajor: isDevice ? (file.devMajor ?? 0) : 0,
    devMinor: isDevice ? (file.devMinor ?? 0) : 0,
    pax,
  });
}

function invalid(message: string, hint?: string): PipelineError {
  return new PipelineError({ code: 'output-invalid', kind: 'user', message, hint });
}

function changed(file: CheckedFile): PipelineError {
  return new PipelineError({
    code: 'output-invalid',
    kind: 'infra',
    message: `${file.path} is not what it was when it was measured (${file.size} bytes)`,
  });
}
