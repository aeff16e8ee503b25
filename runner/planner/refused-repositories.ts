/** Repositories that a build file names although the operator does not allow them, found before anything runs. */
import type { BuildFile } from '../../shared/build-file/build-file.ts';
import type { Diagnostic } from '../../shared/build-file/diagnostic.ts';
import { positionOf } from '../../shared/build-file/place.ts';
import { asPipelineError } from '../../shared/errors.ts';
import { type NamedRepositoryPolicy, namedRepositories } from '../environment/named-repositories.ts';
import type { Repository } from '../environment/repository.ts';

/** What the attempts of this installation judge by, too. */
export interface AllowedRepositories {
  readonly repositories: readonly Repository[];
  readonly namedRepositories: NamedRepositoryPolicy;
}

/**
 * A `repository-refused` for each that is not allowed, where it stands in the file. No request is made: what its host
 * leads to is seen by the attempt alone.
 */
export function refusedRepositories(buildFile: BuildFile, allowed: AllowedRepositories): Diagnostic[] {
  const contents = buildFile.document.environment?.contents;
  const written = [...(contents?.buildRepositories ?? []), ...(contents?.repositories ?? [])];
  return written.flatMap(({ value, place }): Diagnostic[] => {
    try {
      namedRepositories([value], { configured: allowed.repositories, policy: allowed.namedRepositories });
      return [];
    } catch (thrown) {
      const { code, kind, message, hint } = asPipelineError(thrown);
      if (kind !== 'user') throw thrown;
      const length = Math.max(1, place.end - place.start);
      const position = positionOf(place);
      return [
        { code, severity: 'error', message, position, length, ...(hint === undefined ? {} : { hint }) },
      ];
    }
  });
}
