/** The links that lead commands to busybox, where no package brings a program for them (spec environment §9). */
import { BUSYBOX_PATHS } from '../../shared/apk/package-contents.ts';
import type { FileTree } from './file-tree.ts';
import type { LockedPackage } from './lock.ts';

export const BUSYBOX = '/bin/busybox';

/** The package named so, else the last with a provide that contains the word. */
export function busyboxPackage(packages: readonly LockedPackage[]): string | undefined {
  const providers = packages.filter(({ entry }) => entry.provides.some((text) => text.includes('busybox')));
  const named = packages.find(({ entry }) => entry.name === 'busybox');
  return (named ?? providers.at(-1))?.entry.name;
}

/**
 * Where the links really lie, from the root without a slash in front: the paths that the busybox package lists, but for
 * those where something else is or will be. Undefined where there is no such list, so that busybox itself has to be asked.
 *
 * @param taken paths that the build file makes or changes.
 */
export function busyboxLinks(
  packages: readonly LockedPackage[],
  tree: FileTree,
  taken: readonly string[],
): readonly string[] | undefined {
  const list = `${BUSYBOX_PATHS}${busyboxPackage(packages)}`;
  const [listed] = packages.flatMap(({ contents }) => contents.texts[list] ?? []);
  if (listed === undefined || !tree.has(BUSYBOX.slice(1))) return undefined;
  const real = (path: string): string => {
    const plain = path.split('/').filter((part) => part !== '');
    const name = plain.pop();
    return name === undefined
      ? ''
      : [...tree.place(plain.join('/')).split('/'), name].filter(Boolean).join('/');
  };
  const others = new Set(taken.map(real));
  return [...new Set(listed.split(/\s+/).map(real))].filter(
    (path) => path !== '' && !others.has(path) && !tree.has(path) && !tree.directories.has(path),
  );
}
