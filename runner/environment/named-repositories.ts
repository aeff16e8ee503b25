/** The repositories that a build file names, as far as the operator lets it. */
import type { KeyRing } from '../../shared/apk/keys.ts';
import { authorizationFor, type HostCredentials } from './credentials.ts';
import type { Repository } from './repository.ts';
import { parseRepositoryLine } from './repository-line.ts';
import { allowedHost, type Reach, refused, requireReachable } from './trusted-fetch.ts';

/** What the operator allows; without hosts, nothing. */
export interface NamedRepositoryPolicy {
  readonly reach: Reach;
  /** Keys that repositories of a host are verified with, by its entry in `reach.hosts`; or for `any` host. */
  readonly keys: ReadonlyMap<string, KeyRing>;
  /** What hosts are shown that are both allowed and named here. */
  readonly credentials?: readonly HostCredentials[];
}

/**
 * The repositories of these lines that are not configured already; a line that names a configured one is allowed and
 * adds nothing. Keys of the build file play no role.
 *
 * @param lines as in `contents.repositories`: a URL, maybe behind a `@tag`.
 * @throws PipelineError `repository-refused` (`user`) for the first that the policy does not allow.
 */
export function namedRepositories(
  lines: readonly string[],
  options: { readonly configured: readonly Repository[]; readonly policy: NamedRepositoryPolicy },
): Repository[] {
  const seen = new Set(options.configured.map((one) => withoutSlash(one.location)));
  const named: Repository[] = [];
  for (const line of lines) {
    const { location: written, pin } = parse(line, options.policy);
    if (seen.has(written)) continue;
    const repository = { ...open(written, options.policy), pin };
    if (seen.has(repository.location)) continue;
    seen.add(repository.location);
    named.push(repository);
  }
  return named;
}

function open(written: string, policy: NamedRepositoryPolicy): Repository {
  const { reach } = policy;
  const url = requireReachable(written, reach);
  if (url.search !== '' || url.hash !== '') throw refused(written, 'it has a query or a fragment', reach);
  const keys = policy.keys.get(allowedHost(url, reach.hosts) ?? '');
  if (keys === undefined || keys.size === 0) {
    throw refused(written, `there are no keys for the host ${url.host}`, reach);
  }
  // The form in which every program reads the same host from it.
  const location = withoutSlash(url.href);
  const authorization = authorizationFor(location, policy.credentials ?? []);
  return {
    location,
    baseUrl: location,
    mayBeEmpty: false,
    keys,
    reach,
    ...(authorization === undefined ? {} : { authorization }),
  };
}

function parse(line: string, policy: NamedRepositoryPolicy): ReturnType<typeof parseRepositoryLine> {
  try {
    const repository = parseRepositoryLine(line);
    if (!/\s/.test(repository.location)) return repository;
  } catch {
    // Not a repository at all, or of a scheme that only an operator may give.
  }
  throw refused(line, 'a build file may name https:// repositories only', policy.reach);
}

function withoutSlash(location: string): string {
  return location.replace(/\/+$/, '');
}
