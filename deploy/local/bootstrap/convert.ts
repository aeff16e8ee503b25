/** Turns one Debian package into a signed apk. Maintainer scripts are not taken over. */

import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SigningKey } from '../../../shared/apk/keys.ts';
import { type WrittenPackage, writePackage } from '../../../shared/apk/package-write.ts';
import { spoolFiles } from './deb-files.ts';
import { openDeb } from './deb-read.ts';
import { additionsFor } from './maintainer-work.ts';
import { BASE_PACKAGE } from './own-packages.ts';
import { dependsOf, type Packages, providesOf, replacesOf } from './relations.ts';
import { apkVersion } from './version.ts';

/** Goes up with every change that alters what conversion makes. */
export const CONVERTER_VERSION = 1;

export interface ConvertOptions {
  readonly debPath: string;
  /** In apk's naming. */
  readonly arch: string;
  /** All packages of the repository, to decide alternatives. */
  readonly packages: Packages;
  readonly key: SigningKey;
  /** Folder the apk is put into. */
  readonly outputFolder: string;
  /** Folder for what is removed again; on the same machine, as large as the unpacked package. */
  readonly scratchFolder: string;
  readonly signal?: AbortSignal;
}

/**
 * Converts the package; its apk appears complete or not at all.
 *
 * @throws PipelineError as `openDeb`, `dependsOf` and `writePackage`.
 */
export async function convertDeb(options: ConvertOptions): Promise<WrittenPackage> {
  const { packages, signal } = options;
  const deb = await openDeb(options.debPath, signal);
  const name = deb.fields.get('package') ?? '';
  const version = apkVersion(deb.fields.get('version') ?? '');
  const scratch = await mkdtemp(join(options.scratchFolder, 'convert-'));
  try {
    const files = await spoolFiles(deb.data(), join(scratch, 'spool'));
    const added = await additionsFor({ name, files, packages, programPath: join(scratch, 'busybox') });
    return await writePackage({
      files: [...files, ...added.files],
      description: {
        name,
        version,
        arch: options.arch,
        origin: (deb.fields.get('source') ?? name).replace(/ .*$/, ''),
        description: (deb.fields.get('description') ?? '').split('\n', 1)[0] ?? '',
        url: deb.fields.get('homepage') ?? '',
        commit: '',
        licenses: [],
        depends: [BASE_PACKAGE, ...dependsOf(deb.fields, packages), ...added.depends],
        provides: [...providesOf(deb.fields, packages), ...added.provides],
        replaces: replacesOf(deb.fields, packages),
        triggers: [],
      },
      key: options.key,
      sourceDateEpoch: deb.builtAt,
      outputPath: join(options.outputFolder, `${name}-${version}.apk`),
      ...(signal === undefined ? {} : { signal }),
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
