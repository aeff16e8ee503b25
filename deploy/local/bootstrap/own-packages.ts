/** The two packages that have no Debian counterpart: the base of the file system, and the C toolchain's name. */
import type { PackageDescription, PackageFile } from '../../../shared/apk/package-write.ts';
import { MERGED_FOLDERS } from './deb-files.ts';
import { directory, symlink, textFile } from './maintainer-work.ts';

/** Every other package depends on it, so that the links are there before anything uses them. */
export const BASE_PACKAGE = 'bootstrap-base';

/** What `build-base` means, as far as the repository has it. */
const BUILD_BASE = [
  'bash',
  'binutils',
  'busybox-static',
  'coreutils',
  'diffutils',
  'findutils',
  'g++',
  'gawk',
  'gcc',
  'grep',
  'gzip',
  'libc-bin',
  'libc6-dev',
  'make',
  'patch',
  'sed',
  'tar',
] as const;

export interface OwnPackage {
  readonly description: PackageDescription;
  readonly files: readonly PackageFile[];
}

/**
 * @param names of the other packages of the repository.
 * @param options.release number that goes up with the content.
 */
export function ownPackages(
  names: ReadonlySet<string>,
  options: { readonly arch: string; readonly release: number },
): OwnPackage[] {
  const describe = (name: string, text: string, depends: readonly string[]): PackageDescription => ({
    name,
    version: `1-r${options.release}`,
    arch: options.arch,
    origin: name,
    description: text,
    url: '',
    commit: '',
    licenses: ['Apache-2.0'],
    depends,
    provides: [],
    replaces: [],
    triggers: [],
  });
  const tools = BUILD_BASE.filter((name) => names.has(name));
  return [
    {
      description: describe(BASE_PACKAGE, 'file system base of the bootstrap repository', []),
      files: baseFiles(),
    },
    {
      description: describe('build-base', 'C compiler and what a build with configure and make uses', [
        BASE_PACKAGE,
        ...tools,
      ]),
      files: [],
    },
  ];
}

function baseFiles(): PackageFile[] {
  return [
    ...['dev', 'etc', 'home', 'opt', 'run', 'usr', 'usr/sbin', 'var', 'var/cache', 'var/lib', 'var/log'].map(
      (path) => directory(path),
    ),
    ...MERGED_FOLDERS.filter((folder) => folder !== 'sbin').map((folder) => directory(`usr/${folder}`)),
    ...MERGED_FOLDERS.map((folder) => symlink(folder, `usr/${folder}`)),
    directory('proc', 0o555),
    directory('sys', 0o555),
    directory('root', 0o700),
    directory('tmp', 0o1777),
    directory('var/tmp', 0o1777),
    symlink('var/run', '/run'),
    textFile(
      'etc/passwd',
      'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/dev/null:/bin/false\n',
    ),
    textFile('etc/group', 'root:x:0:\ntty:x:5:\nmail:x:8:\nstaff:x:50:\nusers:x:100:\nnogroup:x:65534:\n'),
    textFile('etc/shadow', 'root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n', 0o640),
    textFile('etc/shells', '/bin/sh\n/bin/bash\n'),
    textFile(
      'etc/nsswitch.conf',
      'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n',
    ),
  ];
}
