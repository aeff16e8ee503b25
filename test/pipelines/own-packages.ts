/** Small packages that the tests of the pipelines add to a repository: other names, links, stand-ins for tools. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { directory, symlink, textFile } from '../../deploy/local/bootstrap/maintainer-work.ts';
import { BASE_PACKAGE } from '../../deploy/local/bootstrap/own-packages.ts';
import type { SigningKey } from '../../shared/apk/keys.ts';
import { indexEntryOf, writeIndexArchive } from '../../shared/apk/package-index.ts';
import { type PackageFile, type WrittenPackage, writePackage } from '../../shared/apk/package-write.ts';

/** A package made for a test. */
export interface OwnPackage {
  readonly name: string;
  /** Names of other packages. */
  readonly depends?: readonly string[];
  readonly provides?: readonly string[];
  /** Executable files by path without leading slash, for example `usr/bin/gobump`. */
  readonly programs?: Readonly<Record<string, string>>;
  /** Symbolic links: path to target. */
  readonly links?: Readonly<Record<string, string>>;
}

/** Writes the packages and their index into `folder/arch`. */
export async function writeOwnPackages(
  packages: readonly OwnPackage[],
  where: { readonly folder: string; readonly arch: string; readonly key: SigningKey },
): Promise<void> {
  const { arch, key } = where;
  const folder = join(where.folder, arch);
  await mkdir(folder, { recursive: true });
  const written: WrittenPackage[] = [];
  for (const { name, depends = [], provides = [], programs = {}, links = {} } of packages) {
    const files = [
      ...Object.entries(programs).map(([path, text]) => textFile(path, text, 0o755)),
      ...Object.entries(links).map(([path, target]) => symlink(path, target)),
    ];
    written.push(
      await writePackage({
        description: {
          name,
          version: '1-r0',
          arch,
          origin: name,
          description: `${name} for the tests of the pipelines`,
          url: '',
          commit: '',
          licenses: [],
          depends: [BASE_PACKAGE, ...depends],
          provides,
          replaces: [],
          triggers: [],
        },
        files: withParents(files),
        key,
        sourceDateEpoch: 0,
        outputPath: join(folder, `${name}-1-r0.apk`),
      }),
    );
  }
  await writeFile(
    join(folder, 'APKINDEX.tar.gz'),
    await writeIndexArchive(written.map(indexEntryOf), { key }),
  );
}

function withParents(files: readonly PackageFile[]): PackageFile[] {
  const parents = new Set(
    files.flatMap(({ path }) => {
      const parts = path.split('/').slice(0, -1);
      return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
    }),
  );
  return [...[...parents].sort().map((path) => directory(path)), ...files];
}
