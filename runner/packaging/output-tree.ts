/** Reads a spooled tar of `melange-out` into the files of each package. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { PackageFile } from '../../shared/apk/package-write.ts';
import { readTar, type TarEntry } from '../../shared/apk/tar-read.ts';
import { PipelineError } from '../../shared/errors.ts';

const READ_BYTES = 256 * 1024;
const XATTR_PREFIX = 'SCHILY.xattr.';

/** Names of the owners that a package may name; others are recorded by number alone. */
const OWNER_NAMES: ReadonlyMap<number, string> = new Map([
  [0, 'root'],
  [1000, 'root'],
]);

/**
 * The files of each package by its name, hashed on the way. Content is read from `spool` again when a package is
 * written, so memory holds names and digests only.
 *
 * @throws PipelineError `tar-malformed` (`infra`).
 */
export async function readOutputTree(
  path: string,
  spool: FileHandle,
): Promise<ReadonlyMap<string, PackageFile[]>> {
  const packages = new Map<string, PackageFile[]>();
  const byName = new Map<string, PackageFile>();
  for await (const entry of readTar(createReadStream(path, { highWaterMark: 1024 * 1024 }))) {
    const name = entry.name.replace(/^(\.?\/)+/, '').replace(/\/$/, '');
    const slash = name.indexOf('/');
    const packageName = slash === -1 ? name : name.slice(0, slash);
    const files = packages.get(packageName) ?? [];
    if (packageName !== '' && (slash !== -1 || entry.type === 'directory')) packages.set(packageName, files);
    if (slash === -1) continue;
    const file = await packageFile(entry, name.slice(slash + 1), { spool, byName });
    byName.set(name, file);
    files.push(file);
  }
  return packages;
}

interface Context {
  readonly spool: FileHandle;
  /** Files so far by full name: the targets of hard links. */
  readonly byName: ReadonlyMap<string, PackageFile>;
}

async function packageFile(entry: TarEntry, path: string, context: Context): Promise<PackageFile> {
  const common = {
    path,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    uname: OWNER_NAMES.get(entry.uid) ?? '',
    gname: OWNER_NAMES.get(entry.gid) ?? '',
    xattrs: xattrsOf(entry),
  };
  switch (entry.type) {
    case 'hardlink': {
      const target = context.byName.get(entry.linkName.replace(/^(\.?\/)+/, ''));
      if (target === undefined) {
        throw new PipelineError({
          code: 'tar-malformed',
          kind: 'infra',
          message: `the hard link ${path} has no target ${entry.linkName}`,
        });
      }
      return { ...target, path };
    }
    case 'file': {
      const hash = createHash('sha1');
      for await (const piece of entry.content) hash.update(piece);
      const { offset, size } = entry;
      return {
        ...common,
        type: 'file',
        size,
        sha1: hash.digest('hex'),
        open: () => readRange(context.spool, offset, size),
      };
    }
    case 'symlink':
      return { ...common, type: 'symlink', size: 0, linkName: entry.linkName };
    case 'character-device':
    case 'block-device':
      return { ...common, type: entry.type, size: 0, devMajor: entry.devMajor, devMinor: entry.devMinor };
    case 'directory':
    case 'fifo':
      return { ...common, type: entry.type, size: 0 };
  }
}

function xattrsOf(entry: TarEntry): ReadonlyMap<string, Uint8Array> {
  return new Map(
    [...entry.pax].flatMap(([key, value]) =>
      key.startsWith(XATTR_PREFIX) ? [[key.slice(XATTR_PREFIX.length), value] as const] : [],
    ),
  );
}

async function* readRange(spool: FileHandle, offset: number, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < size; ) {
    const { bytesRead, buffer } = await spool.read(
      Buffer.allocUnsafe(Math.min(READ_BYTES, size - at)),
      0,
      Math.min(READ_BYTES, size - at),
      offset + at,
    );
    if (bytesRead === 0) {
      throw new PipelineError({
        code: 'tar-malformed',
        kind: 'infra',
        message: `the spool ends ${size - at} bytes before a file does`,
      });
    }
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
