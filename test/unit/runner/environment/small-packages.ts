/** Contents of small packages, written down in short. */
import { createHash } from 'node:crypto';
import type { LockedPackage } from '../../../../runner/environment/lock.ts';
import type { InstalledEntry, PackageContents } from '../../../../shared/apk/package-contents.ts';
import { indexEntryOf } from '../../../../shared/apk/package-index.ts';
import type { PackageInfo } from '../../../../shared/apk/package-info.ts';

export interface SmallPackage {
  readonly name: string;
  readonly entries: readonly InstalledEntry[];
  /** Its own name by default. */
  readonly origin?: string;
  readonly replaces?: readonly string[];
  readonly triggers?: readonly string[];
  readonly texts?: Readonly<Record<string, string>>;
  readonly provides?: readonly string[];
  readonly scriptlets?: Readonly<Record<string, string>>;
}

export function contentsOf({ name, entries, scriptlets = {}, ...rest }: SmallPackage): PackageContents {
  const info: PackageInfo = {
    name,
    version: '1-r0',
    arch: 'x86_64',
    installedSize: 10,
    origin: rest.origin ?? name,
    description: `${name} of a test`,
    url: '',
    commit: '',
    licenses: ['MIT'],
    depends: [],
    provides: rest.provides ?? [],
    replaces: rest.replaces ?? [],
    triggers: rest.triggers ?? [],
    dataHash: '',
  };
  return { info, scriptlets, texts: rest.texts ?? {}, entries };
}

/** The package as an environment has it, of a repository that is not there. */
export function lockedOf(one: SmallPackage): LockedPackage {
  const contents = contentsOf(one);
  const controlChecksum = `Q1${one.name}/+=`;
  return {
    id: one.name,
    url: `https://packages.test/${one.name}`,
    repository: { location: '', baseUrl: '', mayBeEmpty: false, keys: new Map() },
    sha256: '',
    bytes: 10,
    controlChecksum,
    contents,
    entry: indexEntryOf({ info: contents.info, controlChecksum, size: 10 }),
  };
}

type Attributes = Partial<Pick<InstalledEntry, 'uid' | 'gid' | 'mode'>>;

export function file(path: string, content: string, attributes: Attributes = {}): InstalledEntry {
  return { ...ROOT_OWNED, path, type: 'file', mode: 0o644, sha1: sha1(content), target: '', ...attributes };
}

export function folder(path: string, attributes: Attributes = {}): InstalledEntry {
  return { ...ROOT_OWNED, path, type: 'directory', mode: 0o755, sha1: '', target: '', ...attributes };
}

export function link(path: string, target: string): InstalledEntry {
  return { ...ROOT_OWNED, path, type: 'symlink', mode: 0o777, sha1: sha1(target), target };
}

export function hardLink(path: string, target: string): InstalledEntry {
  return { ...ROOT_OWNED, path, type: 'hardlink', mode: 0o644, sha1: '', target };
}

export function sha1(content: string): string {
  return createHash('sha1').update(content).digest('base64');
}

const ROOT_OWNED = { uid: 0, gid: 0 };
