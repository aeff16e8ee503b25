/**
 * What an environment has beside its packages' files: apk's database of them, its own settings, and directories that
 * are there in any case (spec environment §8.1, §8.3). One small tar, equal for equal environments.
 */
import { formatInstalled, type InstalledPackage } from '../../shared/apk/installed-database.ts';
import { indexEntryOf } from '../../shared/apk/package-index.ts';
import { TAR_END, type TarHeaderFields, tarHeader, tarPadding } from '../../shared/apk/tar-write.ts';
import { BUSYBOX } from './busybox.ts';
import { parentOf } from './directory-links.ts';
import type { DirectoryAttributes, FileTree } from './file-tree.ts';
import type { LockedPackage } from './lock.ts';

const ROOT_OWNED = { uid: 0, gid: 0 };
const PLAIN: DirectoryAttributes = { ...ROOT_OWNED, mode: 0o755 };

/** Directories there before any package, which no package changes. */
export const BASE_DIRECTORIES: ReadonlyMap<string, DirectoryAttributes> = new Map([
  ['', PLAIN],
  ['tmp', { ...ROOT_OWNED, mode: 0o1777 }],
  ['dev', PLAIN],
  ['etc', PLAIN],
  ['opt', PLAIN],
  ['proc', { ...ROOT_OWNED, mode: 0o555 }],
  ['var', PLAIN],
  ['usr', PLAIN],
  ['etc/apk', PLAIN],
  ['etc/apk/keys', PLAIN],
  ['usr/lib', PLAIN],
  ['usr/lib/apk', PLAIN],
  ['usr/lib/apk/db', PLAIN],
  ['usr/lib/apk/exec', PLAIN],
  ['var/cache', PLAIN],
  ['var/cache/apk', PLAIN],
  ['var/cache/misc', PLAIN],
]);

export interface EnvironmentSettings {
  readonly arch: string;
  /** The constraints that were asked for: `/etc/apk/world`. */
  readonly world: readonly string[];
  /** The repositories that the build file names, and not for building only: `/etc/apk/repositories`. */
  readonly repositories: readonly string[];
  /** PEM of each file of `/etc/apk/keys`, by its name. */
  readonly keys: ReadonlyMap<string, string>;
  /** The configuration as data: `/etc/apko.json`. */
  readonly configuration: Readonly<Record<string, unknown>>;
}

/**
 * @param tree what `fileTree` makes of the packages.
 * @param settings.links paths that become links to busybox.
 */
export function databaseTar(
  packages: readonly LockedPackage[],
  tree: FileTree,
  settings: EnvironmentSettings & { readonly links: readonly string[] },
): Buffer {
  const lines = (texts: readonly string[]): Buffer =>
    Buffer.from(
      [...new Set(texts)]
        .sort()
        .map((text) => `${text}\n`)
        .join(''),
    );
  const files = new Map<string, File>([
    ['etc/apk/arch', { content: lines([settings.arch]) }],
    ['etc/apk/world', { content: lines(settings.world) }],
    ['etc/apk/repositories', { content: lines(settings.repositories) }],
    ['etc/apko.json', { content: Buffer.from(`${JSON.stringify(settings.configuration)}\n`), mode: 0o444 }],
    ['usr/lib/apk/db/installed', { content: installedDatabase(packages, tree) }],
    ['usr/lib/apk/db/lock', { content: Buffer.alloc(0), mode: 0o600 }],
    ['usr/lib/apk/db/scripts.tar', { content: scriptsTar(packages) }],
    ['usr/lib/apk/db/triggers', { content: triggers(packages) }],
  ]);
  for (const [name, pem] of settings.keys) {
    const path = `etc/apk/keys/${name}`;
    // A package may bring the same key; its file is in the database as it brought it.
    if (!tree.has(path)) files.set(path, { content: Buffer.from(pem) });
  }

  const directories = new Map<string, DirectoryAttributes>();
  const addDirectory = (path: string): void => {
    if (directories.has(path)) return;
    if (path !== '') addDirectory(parentOf(path));
    directories.set(path, tree.directories.get(path) ?? PLAIN);
  };
  for (const path of [...BASE_DIRECTORIES.keys(), ...tree.disputed]) addDirectory(tree.place(path));
  for (const path of [...files.keys(), ...settings.links]) addDirectory(tree.place(parentOf(path)));
  const placed = (path: string): string =>
    `${tree.place(parentOf(path))}/${path.slice(parentOf(path).length + 1)}`;
  return tar([
    ...[...directories].map(
      ([path, attributes]): Member => ({
        name: path === '' ? './' : `${path}/`,
        type: 'directory',
        ...attributes,
      }),
    ),
    ...[...files].map(
      ([path, { content, mode = 0o644 }]): Member => ({
        name: placed(path),
        type: 'file',
        mode,
        content,
      }),
    ),
    ...settings.links.map(
      (path): Member => ({ name: placed(path), type: 'symlink', mode: 0o777, linkName: BUSYBOX }),
    ),
  ]);
}

interface File {
  readonly content: Buffer;
  /** 0644 by default. */
  readonly mode?: number;
}

type Member = TarHeaderFields & { readonly content?: Buffer };

function tar(members: readonly Member[]): Buffer {
  const parts = members.flatMap(({ content = Buffer.alloc(0), ...header }) => [
    tarHeader({ ...header, size: content.length }),
    content,
    tarPadding(content.length),
  ]);
  return Buffer.concat([...parts, TAR_END]);
}

function installedDatabase(packages: readonly LockedPackage[], tree: FileTree): Buffer {
  const records = packages.map((one, index): InstalledPackage => {
    const { info } = one.contents;
    const directories = [...(tree.installed[index]?.directories ?? [])].map(
      ([path, files]) => [path, { ...(tree.directories.get(path) ?? PLAIN), files }] as const,
    );
    return {
      entry: indexEntryOf({ info, controlChecksum: one.controlChecksum, size: one.bytes }),
      replaces: info.replaces,
      directories: new Map(directories),
    };
  });
  return Buffer.from(formatInstalled(records));
}

/** Kept for whoever runs them one day; making an environment runs none. Names are those of apk-tools. */
function scriptsTar(packages: readonly LockedPackage[]): Buffer {
  return tar(
    packages.flatMap(({ contents: { info, scriptlets }, controlChecksum }) =>
      Object.entries(scriptlets).map(
        ([script, base64]): Member => ({
          name: `${info.name}-${info.version}.${controlChecksum}.${script}`,
          type: 'file',
          mode: 0o755,
          content: Buffer.from(base64, 'base64'),
        }),
      ),
    ),
  );
}

function triggers(packages: readonly LockedPackage[]): Buffer {
  const lines = packages
    .filter(({ contents }) => contents.info.triggers.length > 0)
    .map(({ contents, controlChecksum }) => `${controlChecksum} ${contents.info.triggers.join(' ')}\n`);
  return Buffer.from(lines.join(''));
}
