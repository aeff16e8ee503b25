/** Lock documents: the exact packages of an environment as data, to be kept and to be built with again. */
import { z } from 'zod';
import { sortedUnique } from '../../shared/apk/byte-order.ts';
import { ARCHITECTURE_NAMES } from '../../shared/build-file/architecture.ts';
import { PipelineError } from '../../shared/errors.ts';
import type { LockedPackage } from './lock.ts';

/** A part of the name of a package's file: what would lead out of its folder in a URL is none. */
const fileNamePart = z.string().regex(/^[^\s\p{Cc}/\\?#%]+$/u, 'must be part of a file name');

/** What `carryall lock --output json` prints, and what a job keeps; other fields are passed over. */
export const lockDocument = z.object({
  arch: z.enum(ARCHITECTURE_NAMES),
  /** The constraints that were solved. */
  world: z.array(z.string()),
  /** In the order of installation. */
  packages: z.array(
    z.object({
      name: fileNamePart,
      version: fileNamePart,
      /** Location of the repository; `#` and a build's id behind it where the package was made by that very build. */
      repository: z.string(),
      /** Where the file was; not read. */
      url: z.string(),
      /** `Q1` and the base64 of the SHA-1 of the control member, as the index has it. */
      checksum: z.string().regex(/^Q1[A-Za-z0-9+/]{27}=$/, 'must be Q1 and a SHA-1 in base64'),
      /** SHA-256 of the file, hex. */
      sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hexadecimal digits'),
      bytes: z.number().int().nonnegative(),
    }),
  ),
});

export type LockDocument = z.infer<typeof lockDocument>;
/** What helps where a lock is not for what there is. */
export const LOCK_AGAIN = 'lock the build file again';

/**
 * Checks the form of a document.
 *
 * @param place how messages call it.
 * @throws PipelineError `request-invalid` (`user`) with the path of each value that is wrong.
 */
export function parseLockDocument(value: unknown, place: string): LockDocument {
  const result = lockDocument.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) =>
    [place, issue.path.map(String).join('.'), issue.message].filter((part) => part !== '').join(': '),
  );
  throw invalidLock(problems.join('; '), 'a lock is a line of what carryall lock --output json prints');
}

/** The document of a locked environment; packages stay in their order. */
export function lockDocumentOf(
  locked: readonly LockedPackage[],
  about: Pick<LockDocument, 'arch'> & { readonly world: readonly string[] },
): LockDocument {
  return {
    arch: about.arch,
    world: [...about.world],
    packages: locked.map(({ entry, repository, url, controlChecksum, sha256, bytes }) => ({
      name: entry.name,
      version: entry.version,
      repository: repository.location,
      url,
      checksum: controlChecksum,
      sha256,
      bytes,
    })),
  };
}

/** @throws PipelineError `request-invalid` (`user`) where a lock is for another architecture or package list. */
export function requireLockFor(
  document: LockDocument,
  plan: { readonly arch: string; readonly world: readonly string[] },
): void {
  if (document.arch !== plan.arch) {
    throw invalidLock(`the lock is for ${document.arch}, not for ${plan.arch}`, LOCK_AGAIN);
  }
  const locked = new Set(document.world);
  const asked = new Set(plan.world);
  const missing = sortedUnique([...asked].filter((text) => !locked.has(text)));
  const extra = sortedUnique([...locked].filter((text) => !asked.has(text)));
  const differences = [
    ...(missing.length === 0 ? [] : [`it lacks ${missing.join(', ')}`]),
    ...(extra.length === 0 ? [] : [`the build does not ask for ${extra.join(', ')}`]),
  ];
  if (differences.length === 0) return;
  throw invalidLock(`the lock is for another package list: ${differences.join(', and ')}`, LOCK_AGAIN);
}

/**
 * The repository that a package lies in once it is published: the location without the id of the build that made the
 * package, and without a slash at the end.
 */
export function publishedLocation(location: string): string {
  return location.replace(/#bld-[0-9a-f]+$/, '').replace(/(?<=.)\/+$/, '');
}

/** The error for a lock that cannot be used as it is. */
export function invalidLock(message: string, hint: string): PipelineError {
  return new PipelineError({ code: 'request-invalid', kind: 'user', message, hint });
}
