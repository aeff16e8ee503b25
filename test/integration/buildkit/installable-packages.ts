/** Package files served to a BuildKit, as a lock of an environment names them. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LockedPackage } from '../../../runner/environment/lock.ts';
import type { Repository } from '../../../runner/environment/repository.ts';
import { gzipMember } from '../../../shared/apk/gzip.ts';
import { indexEntryOf } from '../../../shared/apk/package-index.ts';
import { formatPackageInfo } from '../../../shared/apk/package-info.ts';
import { verifyPackage } from '../../../shared/apk/package-read.ts';
import {
  type PackageDescription,
  type PackageFile,
  type Scriptlets,
  writePackage,
} from '../../../shared/apk/package-write.ts';
import { TAR_END, type TarHeaderFields, tarHeader, tarPadding } from '../../../shared/apk/tar-write.ts';

/** A package of the test's own. */
export interface TestPackage {
  readonly name: string;
  /** As a package is written; parents are not added. */
  readonly files: readonly PackageFile[];
  readonly about?: Partial<PackageDescription>;
  readonly scriptlets?: Scriptlets;
}

/** A package whose tar is made entry by entry, for what our writer does not make. */
export interface RawPackage {
  readonly name: string;
  readonly entries: readonly (TarHeaderFields & { readonly content?: string })[];
}

/** Writes packages into a folder. */
export async function writeTestPackages(
  folder: string,
  packages: readonly (TestPackage | RawPackage)[],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const one of packages) {
    const outputPath = join(folder, `${one.name}-1-r0.apk`);
    if ('entries' in one) {
      await writeFile(outputPath, await rawPackage(one));
      continue;
    }
    const { name, files, about = {}, scriptlets = {} } = one;
    const description = { ...describe(name), ...about };
    await writePackage({ description, files, scriptlets, sourceDateEpoch: 0, outputPath });
  }
}

/** The packages of a folder by name, as they lie at `url`. */
export async function lockedPackages(folder: string, url: string): Promise<Map<string, LockedPackage>> {
  const repository: Repository = { location: url, baseUrl: url, mayBeEmpty: false, keys: new Map() };
  const locked = new Map<string, LockedPackage>();
  for (const file of (await readdir(folder)).filter((one) => one.endsWith('.apk'))) {
    const { sha256, size, contents, info, controlChecksum } = await verifyPackage({
      source: createReadStream(join(folder, file)),
    });
    const entry = indexEntryOf({ info, controlChecksum, size });
    locked.set(info.name, {
      id: file,
      url: `${url}/${encodeURIComponent(file)}`,
      repository,
      controlChecksum,
      sha256,
      bytes: size,
      contents,
      entry,
    });
  }
  return locked;
}

function describe(name: string): PackageDescription {
  return {
    name,
    version: '1-r0',
    arch: 'x86_64',
    origin: name,
    description: `${name} of a test`,
    url: '',
    commit: '',
    licenses: ['MIT'],
    depends: [],
    provides: [],
    replaces: [],
    triggers: [],
  };
}

async function rawPackage({ name, entries }: RawPackage): Promise<Buffer> {
  const data = await gzipMember(
    Buffer.concat([
      ...entries.flatMap(({ content = '', ...header }) => {
        const bytes = Buffer.from(content);
        return [tarHeader({ ...header, size: bytes.length }), bytes, tarPadding(bytes.length)];
      }),
      TAR_END,
    ]),
  );
  const dataHash = createHash('sha256').update(data).digest('hex');
  const text = Buffer.from(formatPackageInfo({ ...describe(name), installedSize: 1, dataHash }));
  const head = tarHeader({ name: '.PKGINFO', type: 'file', mode: 0o644, size: text.length });
  const control = await gzipMember(Buffer.concat([head, text, tarPadding(text.length)]));
  return Buffer.concat([control, data]);
}
