/** A published version is never changed: the same name and version with other content is refused. */
import { PipelineError } from '../../shared/errors.ts';
import type { Artifact } from '../../shared/firestore/job-record.ts';
import { repositoryObject } from '../../shared/object-names.ts';
import { statObject } from '../../shared/storage/objects.ts';
import type { EngineContext } from './attempt.ts';

/** @throws PipelineError `version-exists` (`user`) naming the first package that differs from the published one. */
export async function checkVersions(
  context: Pick<EngineContext, 'storage' | 'buildsBucket'>,
  arch: string,
  artifacts: readonly Artifact[],
): Promise<void> {
  const bucket = context.storage.bucket(context.buildsBucket);
  await Promise.all(
    artifacts.map(async (artifact) => {
      const published = await statObject(bucket, repositoryObject(arch, artifact.file));
      if (published === undefined) return;
      if (published.crc32c === artifact.crc32c && published.bytes === artifact.bytes) return;
      throw new PipelineError({
        code: 'version-exists',
        kind: 'user',
        message: `${artifact.file} is published already with other content`,
        hint: 'raise package.epoch, or package.version, in the build file',
      });
    }),
  );
}
