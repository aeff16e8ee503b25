/**
 * Symlinks that stand where other packages have directories: `/bin` → `usr/bin` of a base layout. What is installed
 * below such a link lands in its target, whichever comes first.
 */
import type { InstalledEntry, PackageContents } from '../../shared/apk/package-contents.ts';
import { fileConflict } from './file-conflict.ts';

/** Paths here are from the root, without a slash at either end; the root is empty. */
export interface DirectoryLinks {
  /** Where a directory really lies, every link on the way followed. */
  readonly directory: (path: string) => string;
  /** Where an entry really lies: a directory itself, anything else in the directory above. */
  readonly entry: (entry: Pick<InstalledEntry, 'path' | 'type'>) => string;
  /** The links that were followed so far: target by path. */
  readonly followed: ReadonlyMap<string, string>;
}

/** Links on the way to one directory, before it counts as a loop (Linux allows 40). */
const MAX_LINKS = 40;
/** How often links may move each other about, before they count as a loop. */
const MAX_ROUNDS = 40;

/**
 * Reads the links of all packages. Where several have one path, the first package's counts.
 *
 * @throws PipelineError `file-conflict` (`user`), also from its methods, where links lead in a circle.
 */
export function directoryLinks(packages: readonly PackageContents[]): DirectoryLinks {
  const targets = placedLinks(packages);
  const known = new Map<string, string>();
  const followed = new Map<string, string>();
  const directory = (path: string): string => {
    const before = known.get(path);
    if (before !== undefined) return before;
    const found = follow(path, targets, followed);
    known.set(path, found);
    return found;
  };
  return {
    directory,
    entry: ({ path, type }) =>
      type === 'directory' ? directory(path) : inside(directory(parentOf(path)), path),
    followed,
  };
}

/**
 * Target of each link by where it really lies. That depends on the links above it, which may lie elsewhere themselves:
 * they are placed until nothing moves any more.
 */
function placedLinks(packages: readonly PackageContents[]): ReadonlyMap<string, string> {
  const links = packages.flatMap((one) => one.entries.filter(({ type }) => type === 'symlink'));
  let targets: ReadonlyMap<string, string> = new Map();
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const parents = new Map<string, string>();
    const placed = new Map<string, string>();
    for (const { path, target } of links) {
      const above = parentOf(path);
      const parent = parents.get(above) ?? follow(above, targets);
      parents.set(above, parent);
      const place = inside(parent, path);
      if (!placed.has(place)) placed.set(place, target);
    }
    if (sameLinks(placed, targets)) return targets;
    targets = placed;
  }
  throw fileConflict('their links to directories lead through each other in a circle');
}

function sameLinks(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([path, target]) => b.get(path) === target);
}

/** @param followed notes the links on the way. */
function follow(path: string, targets: ReadonlyMap<string, string>, followed?: Map<string, string>): string {
  let at = '';
  let left = partsOf(path);
  let links = 0;
  for (let part = left.shift(); part !== undefined; part = left.shift()) {
    if (part === '.') continue;
    if (part === '..') {
      at = parentOf(at);
      continue;
    }
    const next = at === '' ? part : `${at}/${part}`;
    const target = targets.get(next);
    if (target === undefined) {
      at = next;
      continue;
    }
    followed?.set(next, target);
    links += 1;
    if (links > MAX_LINKS) throw fileConflict(`/${path} leads through links in a circle`);
    if (target.startsWith('/')) at = '';
    left = [...partsOf(target), ...left];
  }
  return at;
}

/** The directory that holds a path; the root's is the root. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

/** The last name of `path` in a directory. */
function inside(directory: string, path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return directory === '' ? name : `${directory}/${name}`;
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}
