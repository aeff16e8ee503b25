/** The files of a Debian package, moved to where a system with merged `/usr` has them. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { posix } from 'node:path';
import type { PackageFile } from '../../../shared/apk/package-write.ts';
import { readTar, type TarEntry } from '../../../shared/apk/tar-read.ts';
import { PipelineError } from '../../../shared/errors.ts';

/** Top-level folders that are links into `/usr` (Debian's usr-merge; `usrmerge` and `base-files` have the list). */
export const MERGED_FOLDERS = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'] as const;

/** Documentation and translations, which no build needs and which are a third of all files. Licences stay. */
const LEFT_OUT = [
  /^usr\/share\/(?:man|info|locale|lintian|doc-base)\//,
  /^usr\/share\/doc\/[^/]+\/(?!copyright$)/,
];

/**
 * Unpacks the tar of a package into one file, `spoolPath`, and lists what is in it. The contents of the files given
 * are parts of the spool, which has to stay until they have been read.
 *
 * @param tar decompressed.
 * @throws PipelineError `tar-malformed`, also for a hard link to nothing.
 */
export async function spoolFiles(tar: AsyncIterable<Uint8Array>, spoolPath: string): Promise<PackageFile[]> {
  const files = new Map<string, PackageFile>();
  const originals = new Map<string, PackageFile>();
  const spool = await open(spoolPath, 'w');
  try {
    let spooled = 0;
    for await (const entry of readTar(tar)) {
      const original = entry.name.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '');
      if (original === '' || original === '.') continue;
      const start = spooled;
      const sha1 = createHash('sha1');
      for await (const piece of entry.content) {
        sha1.update(piece);
        await spool.appendFile(piece);
        spooled += piece.length;
      }
      const target = entry.type === 'hardlink' ? originals.get(plainPath(entry.linkName)) : undefined;
      if (entry.type === 'hardlink' && target === undefined) throw noTarget(entry);
      const path = mergedPath(original);
      const file: PackageFile =
        target !== undefined
          ? { ...target, path }
          : {
              ...fileOf(entry, original),
              path,
              ...contentAt(spoolPath, start, entry),
              sha1: sha1.digest('hex'),
            };
      originals.set(original, file);
      if (!LEFT_OUT.some((pattern) => pattern.test(path))) addFile(files, file);
    }
  } finally {
    await spool.close();
  }
  return withoutTopLinks([...files.values()]);
}

/** Where a path lies once the top-level folders are links. */
export function mergedPath(path: string): string {
  const [top = ''] = path.split('/', 1);
  return MERGED_FOLDERS.some((folder) => folder === top) ? `usr/${path}` : path;
}

/**
 * Two paths can become one: of folders the first is kept, and a file wins against the link that made it reachable
 * from the other place.
 */
function addFile(files: Map<string, PackageFile>, file: PackageFile): void {
  const present = files.get(file.path);
  if (present === undefined || (present.type === 'symlink' && file.type !== 'symlink'))
    files.set(file.path, file);
}

function fileOf(entry: TarEntry, original: string): Omit<PackageFile, 'path' | 'size'> {
  const { type, mode, uid, gid, uname, gname, devMajor, devMinor } = entry;
  const xattrs = [...entry.pax].flatMap(([key, value]) =>
    key.startsWith('SCHILY.xattr.') ? [[key.slice('SCHILY.xattr.'.length), value] as const] : [],
  );
  return {
    type: type === 'hardlink' ? 'file' : type,
    mode,
    uid,
    gid,
    uname,
    gname,
    devMajor,
    devMinor,
    ...(type === 'symlink' ? { linkName: linkTarget(original, entry.linkName) } : {}),
    ...(xattrs.length === 0 ? {} : { xattrs: new Map(xattrs) }),
  };
}

/** A relative link that climbs out of a moved top-level folder would miss by one level: it becomes absolute. */
function linkTarget(original: string, target: string): string {
  if (mergedPath(original) === original || target.startsWith('/')) return target;
  const [top = ''] = original.split('/', 1);
  const absolute = posix.join('/', posix.dirname(original), target);
  return absolute.startsWith(`/${top}/`) ? target : absolute;
}

function contentAt(spoolPath: string, start: number, entry: TarEntry): Pick<PackageFile, 'size' | 'open'> {
  const end = start + entry.size - 1;
  return {
    size: entry.size,
    ...(entry.size === 0 ? {} : { open: () => createReadStream(spoolPath, { start, end }) }),
  };
}

/** The links themselves (`/bin → usr/bin`) are the base package's. */
function withoutTopLinks(files: readonly PackageFile[]): PackageFile[] {
  const merged = new Set<string>(MERGED_FOLDERS.map((folder) => `usr/${folder}`));
  return files.filter((file) => !(merged.has(file.path) && file.type === 'symlink'));
}

function plainPath(path: string): string {
  return path.replace(/^(?:\.?\/)+/, '');
}

function noTarget(entry: TarEntry): PipelineError {
  return new PipelineError({
    code: 'tar-malformed',
    kind: 'infra',
    message: `${entry.name} is a hard link to ${entry.linkName}, which does not come before it`,
  });
}
