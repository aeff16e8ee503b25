/** The repositories of `carryall lock`: those that the command line gives, and those that a build file names. */
import { authorizationFor, type HostCredentials } from '../runner/environment/credentials.ts';
import { namedRepositories } from '../runner/environment/named-repositories.ts';
import type { Repository } from '../runner/environment/repository.ts';
import { parseRepositoryLine } from '../runner/environment/repository-line.ts';
import { isStorageLocation } from '../runner/environment/storage-location.ts';
import type { Reach } from '../runner/environment/trusted-fetch.ts';
import type { KeyRing } from '../shared/apk/keys.ts';
import { asPipelineError, PipelineError } from '../shared/errors.ts';

export interface RepositoryAccess {
  /** Keys of the command line: they count for every repository. */
  readonly keys: KeyRing;
  /** For the repositories of the command line alone. */
  readonly credentials: readonly HostCredentials[];
  /** Endpoint of the storage API, empty for Google's. */
  readonly storageEndpoint: string;
  /** Value of the `Authorization` header for Google's endpoint. */
  readonly storageAuthorization: () => Promise<string | undefined>;
}

/**
 * A repository of the command line: a URL, `gs://BUCKET/PATH`, a folder, or `@tag` and one of them.
 *
 * @throws PipelineError `config-invalid` (`user`).
 */
export function givenRepository(line: string, access: RepositoryAccess): Repository {
  const { storageEndpoint, keys } = access;
  const parsed = parseRepositoryLine(line, { storageEndpoint });
  const url = URL.parse(parsed.baseUrl);
  if (url !== null && (url.username !== '' || url.password !== '')) {
    throw new PipelineError({
      code: 'config-invalid',
      kind: 'user',
      message: `the URL of the repository on ${url.host} carries credentials`,
      hint: 'give them in the environment variable HTTP_AUTH',
    });
  }
  const authorization = authorizationOf(parsed, access);
  return {
    ...parsed,
    mayBeEmpty: parsed.baseUrl.startsWith('file:'),
    keys,
    ...(authorization === undefined ? {} : { authorization }),
  };
}

function authorizationOf(
  { location, baseUrl }: Pick<Repository, 'location' | 'baseUrl'>,
  access: RepositoryAccess,
): Repository['authorization'] {
  if (!isStorageLocation(location)) return authorizationFor(baseUrl, access.credentials);
  return access.storageEndpoint === '' ? access.storageAuthorization : undefined;
}

/** The repositories whose host has credentials that are not sent, since it is asked over plain HTTP. */
export function withheldCredentials(
  repositories: readonly Repository[],
  access: Pick<RepositoryAccess, 'credentials'>,
): Repository[] {
  return repositories.filter(
    ({ baseUrl, authorization }) =>
      authorization === undefined && authorizationFor(baseUrl, access.credentials, 'allowed') !== undefined,
  );
}

/** Everywhere but in the user's own network: who wrote the file may not know what lies there. */
const REACH: Reach = { hosts: 'any', hint: 'give it with --repository-append instead' };

/**
 * The repositories that a build file names and the command line does not. A build file is written by strangers: what
 * lies on this machine or its network is not for it to name, and no credentials are sent there.
 *
 * @throws PipelineError `config-invalid` (`user`) for anything but an https:// URL, or where there are no keys.
 */
export function repositoriesOfFile(
  lines: readonly string[],
  about: { readonly file: string; readonly given: readonly Repository[]; readonly keys: KeyRing },
): Repository[] {
  const policy = { reach: REACH, keys: new Map([['any', about.keys]]) };
  try {
    return namedRepositories(lines, { configured: about.given, policy });
  } catch (thrown) {
    const { message, hint } = asPipelineError(thrown);
    throw new PipelineError({
      code: 'config-invalid',
      kind: 'user',
      message: `${about.file}: ${message}`,
      hint,
      cause: thrown,
    });
  }
}
