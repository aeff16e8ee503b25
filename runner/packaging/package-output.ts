/** Makes the packages of one build from its spooled output. Runs on a packaging thread. */
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { loadSigningKey } from '../../shared/apk/keys.ts';
import { formatIndex, indexEntryOf } from '../../shared/apk/package-index.ts';
import { type PackageDescription, type Scriptlets, writePackage } from '../../shared/apk/package-write.ts';
import { PipelineError } from '../../shared/errors.ts';
import { readOutputTree } from './output-tree.ts';

/** One package to make; its name is its folder in the output. */
export interface PackageToMake {
  readonly description: PackageDescription;
  readonly scriptlets: Scriptlets;
}

/** All of it can be sent to a thread. */
export interface PackagingTask {
  readonly spoolPath: string;
  /** Folder for the packages; made if missing. */
  readonly folder: string;
  readonly packages: readonly PackageToMake[];
  /** Text of `.melange.yaml`, the same in each package. */
  readonly melangeYaml: string;
  /** Unix seconds. */
  readonly sourceDateEpoch: number;
  readonly key: { readonly name: string; readonly pem: string };
}

export interface MadePackage {
  readonly name: string;
  readonly file: string;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** The package's record in an APKINDEX. */
  readonly index: string;
}

/**
 * Writes each package, main package first. A package without files is made too: meta packages have none.
 *
 * @throws PipelineError `output-invalid` (`user`) for what a package cannot hold, or for files that belong to none.
 */
export async function packageOutput(task: PackagingTask): Promise<MadePackage[]> {
  await mkdir(task.folder, { recursive: true });
  const key = loadSigningKey(task.key.pem, task.key.name);
  await using spool = await open(task.spoolPath);
  const trees = await readOutputTree(task.spoolPath, spool);
  const names = new Set(task.packages.map((one) => one.description.name));
  for (const [name, files] of trees) {
    const [first] = files;
    if (!names.has(name) && first !== undefined) {
      throw new PipelineError({
        code: 'output-invalid',
        kind: 'user',
        message: `the output directory melange-out/${name} belongs to no package of the build file (${first.path})`,
        hint: 'install into ${{targets.destdir}} or ${{targets.subpkgdir}}',
      });
    }
  }
  const made: MadePackage[] = [];
  for (const { description, scriptlets } of task.packages) {
    const file = `${description.name}-${description.version}.apk`;
    const written = await writePackage({
      files: trees.get(description.name) ?? [],
      description,
      scriptlets,
      melangeYaml: task.melangeYaml,
      key,
      sourceDateEpoch: task.sourceDateEpoch,
      outputPath: join(task.folder, file),
    });
    const { info, controlChecksum, size } = written;
    made.push({
      name: description.name,
      file,
      path: written.path,
      bytes: size,
      sha256: written.sha256,
      index: formatIndex([indexEntryOf({ info, controlChecksum, size })]),
    });
  }
  return made;
}
