/** The text of `/usr/lib/apk/db/installed`: what is installed, package by package, each with its files. */
import type { IndexEntry } from './index-records.ts';
import type { InstalledEntry } from './package-contents.ts';

export interface InstalledPackage {
  /** As an index has it. */
  readonly entry: IndexEntry;
  readonly replaces: readonly string[];
  /** By directory, from the root without a slash at either end. */
  readonly directories: ReadonlyMap<string, InstalledDirectory>;
}

export interface InstalledDirectory extends Owned {
  /** Of their paths only the last name counts. */
  readonly files: readonly InstalledEntry[];
}

interface Owned {
  readonly uid: number;
  readonly gid: number;
  /** 0 to 0o7777. */
  readonly mode: number;
}

/** Attributes that go without saying. */
const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o644;

/**
 * The records in the order given. Their letters are those of an index, each written also where it is empty, but `r`;
 * then `F` for each directory with its files (`R`), attributes (`M`, `a`) and SHA-1 (`Z`), as apk-tools has them. Files
 * whose path has a line break are left out: the format cannot name them.
 */
export function formatInstalled(packages: Iterable<InstalledPackage>): string {
  const lines: string[] = [];
  for (const { entry, replaces, directories } of packages) {
    lines.push(
      `P:${entry.name}`,
      `V:${entry.version}`,
      `A:${entry.arch}`,
      `L:${oneLine(entry.license)}`,
      `T:${oneLine(entry.description)}`,
      `o:${entry.origin}`,
      `m:${oneLine(entry.maintainer)}`,
      `U:${oneLine(entry.url)}`,
      `D:${entry.depends.join(' ')}`,
      `p:${entry.provides.join(' ')}`,
      ...(replaces.length === 0 ? [] : [`r:${replaces.join(' ')}`]),
      `c:${oneLine(entry.commit)}`,
      `i:${entry.installIf.join(' ')}`,
      `t:${entry.buildDate ?? 0}`,
      `S:${entry.size}`,
      `I:${entry.installedSize}`,
      `k:${entry.providerPriority}`,
      `C:${entry.controlChecksum ?? ''}`,
    );
    for (const [path, directory] of directories) {
      if (path.includes('\n')) continue;
      lines.push(`F:${path}`);
      if (!isPlain(directory, DIRECTORY_MODE)) lines.push(`M:${attributes(directory)}`);
      for (const file of directory.files) {
        const name = file.path.slice(file.path.lastIndexOf('/') + 1);
        if (name.includes('\n')) continue;
        lines.push(`R:${name}`);
        if (!isPlain(file, FILE_MODE)) lines.push(`a:${attributes(file)}`);
        if (file.sha1 !== '') lines.push(`Z:Q1${file.sha1}`);
      }
    }
    lines.push('');
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function isPlain({ uid, gid, mode }: Owned, plainMode: number): boolean {
  return uid === 0 && gid === 0 && mode === plainMode;
}

function attributes({ uid, gid, mode }: Owned): string {
  return `${uid}:${gid}:${mode.toString(8)}`;
}

/** A line break inside a value would start a new field. */
function oneLine(value: string): string {
  return value.replace(/\s*\n\s*/g, ' ');
}
