/** What goes wrong when packages are put side by side. */
import type { PackageContents } from '../../shared/apk/package-contents.ts';
import { PipelineError } from '../../shared/errors.ts';

/** An error `file-conflict` (`user`). */
export function fileConflict(problem: string): PipelineError {
  return new PipelineError({
    code: 'file-conflict',
    kind: 'user',
    message: `the packages of the environment cannot be installed together: ${problem}`,
    hint: 'leave one of them out of environment.contents.packages, or let one package replace the other (dependencies.replaces)',
  });
}

/** How a package is called in such an error. */
export function labelOf(one: PackageContents | undefined): string {
  return one === undefined ? 'a package' : `${one.info.name}-${one.info.version}`;
}
