/** Which directories of a package's layer have to be moved, because links of other packages stand in their way. */
import type { PackageContents } from '../../shared/apk/package-contents.ts';
import { type DirectoryLinks, directoryLinks, parentOf } from './directory-links.ts';
import { fileConflict, labelOf } from './file-conflict.ts';

/** A directory of a package's layer that belongs elsewhere. Paths without a slash at either end. */
export interface MovedDirectory {
  /** Where it is when the package is unpacked. */
  readonly from: string;
  readonly to: string;
  /** Where the move of what lies above leaves it: must not stay. */
  readonly misplaced: string;
}

/**
 * The links of a package alone: they decide where its directories are when it is unpacked.
 *
 * @throws PipelineError `file-conflict` (`user`) where one of them leads elsewhere than the link that counts.
 */
export function ownLinks(one: PackageContents, all: DirectoryLinks): DirectoryLinks {
  const own = directoryLinks([one]);
  for (const { path, type } of one.entries) {
    const directory = type === 'directory' ? path : parentOf(path);
    if (all.directory(own.directory(directory)) === all.directory(directory)) continue;
    throw fileConflict(
      `/${directory} of ${labelOf(one)} lies below a link that leads elsewhere in another package`,
    );
  }
  return own;
}

export interface Moves {
  /** Those above first. */
  readonly moved: readonly MovedDirectory[];
  /** Where all directories come to lie that are moved, those inside others too. */
  readonly places: ReadonlySet<string>;
}

/** @param own what `ownLinks` makes of the package. */
export function movesOf(one: PackageContents, own: DirectoryLinks, links: DirectoryLinks): Moves {
  const seen = new Set(['']);
  const moved: MovedDirectory[] = [];
  const places = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const above = parentOf(path);
    visit(above);
    const to = links.directory(path);
    if (to === path) return;
    places.add(to);
    const parent = links.directory(above);
    const misplaced = `${parent === '' ? '' : `${parent}/`}${path.slice(above === '' ? 0 : above.length + 1)}`;
    if (to !== misplaced) moved.push({ from: path, to, misplaced });
  };
  for (const { path, type } of one.entries)
    visit(own.directory(type === 'directory' ? path : parentOf(path)));
  return { moved, places };
}
