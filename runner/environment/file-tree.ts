/**
 * Installs packages on paper: which package each path belongs to, as apk decides it, and what has to be done to the
 * layers of the packages so that merging them gives that tree (spec environment §8.2).
 */
import type { InstalledEntry, PackageContents } from '../../shared/apk/package-contents.ts';
import { type DirectoryLinks, directoryLinks, parentOf } from './directory-links.ts';
import { fileConflict, labelOf } from './file-conflict.ts';
import { type MovedDirectory, movesOf, ownLinks } from './moved-directories.ts';

export interface DirectoryAttributes {
  readonly uid: number;
  readonly gid: number;
  /** 0 to 0o7777. */
  readonly mode: number;
}

export interface LayerChanges {
  /** Paths, before the moves, that another of the package's own files takes the place of. */
  readonly dropped: readonly string[];
  /** Those above first. */
  readonly moved: readonly MovedDirectory[];
  /** Paths, after the moves, that another package's file is kept for. */
  readonly removed: readonly string[];
}

/** What one package has installed, in its order. */
export interface InstalledFiles {
  /** Each directory with the files in it that are this package's, whatever place their own paths name. */
  readonly directories: ReadonlyMap<string, readonly InstalledEntry[]>;
}

export interface FileTree {
  /** For each package. */
  readonly changes: readonly LayerChanges[];
  /** For each package. */
  readonly installed: readonly InstalledFiles[];
  /** Every directory. */
  readonly directories: ReadonlyMap<string, DirectoryAttributes>;
  /** Directories that some layer may hold with other attributes than they get, in the order of their paths. */
  readonly disputed: readonly string[];
  /** Where a directory really lies. */
  readonly place: (directory: string) => string;
  /** Whether there is a file or link at a path, links to directories on the way followed. */
  readonly has: (path: string) => boolean;
}

export interface FileTreeOptions {
  /** In the order of installation. */
  readonly packages: readonly PackageContents[];
  /** For each package the place of its layer: where two hold a path, the higher place wins. */
  readonly places: readonly number[];
  /** Directories that are there before any package. */
  readonly base: ReadonlyMap<string, DirectoryAttributes>;
}

const PLAIN_DIRECTORY: DirectoryAttributes = { uid: 0, gid: 0, mode: 0o755 };

interface Brought {
  readonly entry: InstalledEntry;
  /** What tells its content from another's. */
  readonly content: string;
}

/** A path that is no directory. */
interface Holding extends Brought {
  /** Index of the package whose file it is. */
  readonly owner: number;
  /** All packages that bring it, with what they bring; only where there are several entries. */
  readonly contenders?: Map<number, Brought>;
}

/**
 * @throws PipelineError `file-conflict` (`user`) naming both packages where they bring different files of one path and
 *   neither replaces the other's; also for devices and pipes, which no build environment gets from a package, for hard
 *   links to files of others, and where links lead in a circle.
 */
export function fileTree(options: FileTreeOptions): FileTree {
  const { packages, places } = options;
  const links = directoryLinks(packages);
  const directories = new Map([...options.base].map(([path, one]) => [links.directory(path), one] as const));
  const disputed = new Set<string>();
  const files = new Map<string, Holding>();

  const addDirectory = (path: string, attributes: DirectoryAttributes, by: PackageContents): void => {
    const known = directories.get(path);
    if (known !== undefined) {
      if (!sameAttributes(known, attributes)) disputed.add(path);
      return;
    }
    const file = files.get(path);
    if (file !== undefined) throw clash(path, packages[file.owner], by);
    directories.set(path, attributes);
  };

  /** For each package, where its entries lie. */
  const entryPaths: (readonly string[])[] = [];

  const changes = packages.map((one, index): LayerChanges => {
    const paths: string[] = [];
    entryPaths.push(paths);
    const own = ownLinks(one, links);
    const dropped: string[] = [];
    const contents = new Map<string, string>();
    const made = new Set<string>();
    for (const entry of one.entries) {
      if (entry.type === 'directory') made.add(links.directory(entry.path));
    }
    /** Directories without an entry of their own are made on the way when the layer is unpacked. */
    const makeDirectory = (path: string): void => {
      if (made.has(path)) return;
      made.add(path);
      if (path !== '') makeDirectory(parentOf(path));
      addDirectory(path, PLAIN_DIRECTORY, one);
    };
    for (const entry of one.entries) {
      const path = links.entry(entry);
      paths.push(path);
      makeDirectory(parentOf(path));
      if (entry.type === 'directory') {
        addDirectory(path, entry, one);
        continue;
      }
      if (entry.type !== 'file' && entry.type !== 'symlink' && entry.type !== 'hardlink') {
        throw fileConflict(`${labelOf(one)} brings /${entry.path}, a ${entry.type}`);
      }
      const content =
        entry.type === 'hardlink'
          ? contents.get(own.entry({ path: entry.target, type: 'file' }))
          : `${entry.type} ${entry.sha1}`;
      if (content === undefined) {
        throw fileConflict(
          `${labelOf(one)} brings /${path} as a hard link to /${entry.target}, which it has not brought before`,
        );
      }
      contents.set(own.entry(entry), content);
      if (directories.has(path)) throw clash(path, undefined, one);
      const held = files.get(path);
      if (held === undefined) {
        files.set(path, { owner: index, entry, content });
        continue;
      }
      const contenders = held.contenders ?? new Map<number, Brought>([[held.owner, held]]);
      files.set(path, { ...held, contenders });
      const earlier = contenders.get(index);
      if (earlier !== undefined && own.entry(earlier.entry) !== own.entry(entry)) {
        const isSame = earlier.content === content;
        dropped.push(own.entry(isSame ? entry : earlier.entry));
        if (isSame) continue;
      }
      contenders.set(index, { entry, content });
      if (held.owner !== index && !takesOver(packages, { held, content, index, path })) continue;
      files.set(path, { owner: index, entry, content, contenders });
    }
    const { moved, places: newPlaces } = movesOf(one, own, links);
    // A directory that is moved onto one of its package may get or leave the wrong attributes.
    for (const path of newPlaces) {
      if (!sameAttributes(directories.get(path) ?? PLAIN_DIRECTORY, PLAIN_DIRECTORY)) disputed.add(path);
    }
    return { dropped, moved, removed: [] };
  });
  refuseReplacedLinks(packages, { links, files });
  const contested = [...files].filter(([, held]) => (held.contenders?.size ?? 0) > 1);
  return {
    changes: changes.map((one, index) => ({ ...one, removed: lostPaths(contested, places, index) })),
    installed: installedFiles(packages, { entryPaths, files }),
    directories,
    disputed: [...disputed].sort(),
    place: links.directory,
    has: (path) => files.has(links.entry({ path, type: 'file' })),
  };
}

/**
 * Whether a package's file takes the place of the one that is there, which belongs to another package. `replaces` are
 * compared as bare texts, as apko does.
 */
function takesOver(
  packages: readonly PackageContents[],
  what: { readonly held: Holding; readonly content: string; readonly index: number; readonly path: string },
): boolean {
  const there = packages[what.held.owner]?.info;
  const comes = packages[what.index]?.info;
  if (there === undefined || comes === undefined || what.held.content === what.content) return false;
  if (there.replaces.includes(comes.name)) return false;
  const isSameOrigin = there.origin !== '' && there.origin === comes.origin;
  if (isSameOrigin || comes.replaces.includes(there.name)) return true;
  throw clash(what.path, packages[what.held.owner], packages[what.index]);
}

/** What lies below a link was put where the first package's leads. */
function refuseReplacedLinks(
  packages: readonly PackageContents[],
  tree: { readonly links: DirectoryLinks; readonly files: ReadonlyMap<string, Holding> },
): void {
  for (const [path, target] of tree.links.followed) {
    const held = tree.files.get(path);
    if (held?.entry.type === 'symlink' && held.entry.target === target) continue;
    throw fileConflict(
      `files lie below /${path}, a link to ${target}, which ${labelOf(packages[held?.owner ?? -1])} replaces`,
    );
  }
}

/** Paths of a package that another's file is kept for, though its layer comes later. */
function lostPaths(
  contested: readonly (readonly [string, Holding])[],
  places: readonly number[],
  index: number,
): readonly string[] {
  const place = places[index] ?? 0;
  const lost: string[] = [];
  for (const [path, { owner, entry, content, contenders }] of contested) {
    const own = contenders?.get(index);
    if (owner === index || own === undefined || place < (places[owner] ?? 0)) continue;
    if (own.content !== content || !sameAttributes(own.entry, entry)) lost.push(path);
  }
  return lost.sort();
}

function installedFiles(
  packages: readonly PackageContents[],
  tree: {
    readonly entryPaths: readonly (readonly string[])[];
    readonly files: ReadonlyMap<string, Holding>;
  },
): InstalledFiles[] {
  return packages.map((one, index) => {
    const directories = new Map<string, InstalledEntry[]>();
    const inside = (directory: string): InstalledEntry[] => {
      const known = directories.get(directory);
      if (known !== undefined) return known;
      const made: InstalledEntry[] = [];
      directories.set(directory, made);
      return made;
    };
    for (const [at, entry] of one.entries.entries()) {
      const path = tree.entryPaths[index]?.[at] ?? '';
      if (entry.type === 'directory') {
        inside(path);
        continue;
      }
      const held = tree.files.get(path);
      const siblings = inside(parentOf(path));
      if (held?.owner === index && held.entry === entry) siblings.push(withSha1(held));
    }
    return { directories };
  });
}

/** A hard link has that of what it joins. */
function withSha1({ content, entry }: Holding): InstalledEntry {
  return entry.type === 'hardlink' ? { ...entry, sha1: content.slice(content.indexOf(' ') + 1) } : entry;
}

function sameAttributes(a: DirectoryAttributes, b: DirectoryAttributes): boolean {
  return a.uid === b.uid && a.gid === b.gid && a.mode === b.mode;
}

function clash(path: string, there: PackageContents | undefined, comes: PackageContents | undefined): Error {
  const others = there === undefined ? 'is a directory' : `belongs to ${labelOf(there)}`;
  return fileConflict(`${labelOf(comes)} brings /${path}, which ${others}`);
}
