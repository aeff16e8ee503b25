/** Reads a root file system out of a tar, and apk's database of what is installed in it, each on its own. */
import { createHash } from 'node:crypto';
import { readTar } from '../../../shared/apk/tar-read.ts';

export interface TreeEntry {
  /** Names of one inode beyond the first are `file`, too. */
  readonly type: 'file' | 'directory' | 'symlink' | 'other';
  /** `uid:gid:mode`, the mode octal. */
  readonly attributes: string;
  /** Base64 SHA-1 of a file's content or a link's target; else empty. */
  readonly sha1: string;
  readonly target: string;
  /** Only of files up to 1 MiB. */
  readonly text: string;
}

export type Tree = ReadonlyMap<string, TreeEntry>;

/** By path without a slash at either end. */
export async function readTree(chunks: AsyncIterable<Uint8Array>): Promise<Map<string, TreeEntry>> {
  const tree = new Map<string, TreeEntry>();
  for await (const entry of readTar(chunks)) {
    const path = bare(entry.name);
    if (entry.type === 'hardlink') {
      const first = tree.get(bare(entry.linkName));
      if (first !== undefined) tree.set(path, first);
      continue;
    }
    const hash = createHash('sha1');
    const pieces: Buffer[] = [];
    if (entry.type === 'symlink') hash.update(entry.linkName);
    for await (const piece of entry.content) {
      hash.update(piece);
      if (entry.size <= 1024 * 1024) pieces.push(Buffer.from(piece));
    }
    const { type } = entry;
    const isPlain = type === 'file' || type === 'symlink';
    tree.set(path, {
      type: isPlain || type === 'directory' ? type : 'other',
      attributes: `${entry.uid}:${entry.gid}:${entry.mode.toString(8)}`,
      sha1: isPlain ? hash.digest('base64') : '',
      target: entry.linkName,
      text: Buffer.concat(pieces).toString(),
    });
  }
  return tree;
}

export interface ListedPath {
  readonly path: string;
  readonly owner: string;
  /** As in `TreeEntry`. */
  readonly attributes: string;
  /** Undefined for a directory. */
  readonly sha1: string | undefined;
}

/** Every `F` and `R` of `/usr/lib/apk/db/installed`, with the attributes that go without saying filled in. */
export function readInstalled(text: string): ListedPath[] {
  const listed: { path: string; owner: string; attributes: string; sha1: string | undefined }[] = [];
  let owner = '';
  let folder = '';
  for (const line of text.split('\n')) {
    const letter = line.slice(0, 2);
    const value = line.slice(2);
    const last = listed.at(-1);
    if (letter === 'P:') owner = value;
    if (letter === 'F:') {
      folder = value;
      listed.push({ path: value, owner, attributes: '0:0:755', sha1: undefined });
    }
    if (letter === 'R:') {
      const path = folder === '' ? value : `${folder}/${value}`;
      listed.push({ path, owner, attributes: '0:0:644', sha1: '' });
    }
    if (last === undefined) continue;
    if (letter === 'M:' || letter === 'a:') last.attributes = value;
    if (letter === 'Z:') last.sha1 = value.replace(/^Q1/, '');
  }
  return listed;
}

function bare(path: string): string {
  return path
    .replace(/^\.?\/+/, '')
    .replace(/^\.$/, '')
    .replace(/\/+$/, '');
}
