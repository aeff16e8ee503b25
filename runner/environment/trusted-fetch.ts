/**
 * Requests to repositories that a build file names. A build file is written by strangers, so a request goes only over
 * https, only to hosts on the operator's list, and only to public addresses; each redirect is checked the same way.
 * BuildKit fetches the packages themselves later, pinned by digest: what its machines can reach is for their network
 * policy to say.
 */
import { lookup } from 'node:dns/promises';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { PipelineError } from '../../shared/errors.ts';
import { isPublicAddress } from './addresses.ts';

/** Redirects followed before a file counts as unreachable. */
const MAX_REDIRECTS = 5;

const OPERATOR_HINT =
  'name another one, or ask the operator for an entry under allowedHosts in the repositories file';

/** Where requests that strangers cause may go. */
export interface Reach {
  /**
   * `host`, `*.domain` for everything below a domain, each with `:port` unless that is 443; in lower case. `any` for
   * who runs the build file for himself: every host with a public address.
   */
  readonly hosts: readonly string[] | 'any';
  /** What to do about a place out of reach; what the operator can do by default. */
  readonly hint?: string;
  /** Addresses of a name; the system's resolver by default. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
  /** Addresses that may be connected to; public ones by default. */
  readonly isAllowed?: (address: string) => boolean;
  /** PEM of the authorities that server certificates are checked with; the usual ones by default. */
  readonly ca?: string;
}

export interface ReachedRequest {
  readonly headers: Readonly<Record<string, string>>;
  /** For the URL's own origin: a redirect to another one goes without it, and so does what follows. */
  readonly authorization?: string | undefined;
  /** Ends the request, its redirects, and the answer's body. */
  readonly signal: AbortSignal;
}

/**
 * GET within a reach. The connection goes to an address that was checked: the name is not looked up again for it.
 *
 * @throws PipelineError `repository-refused` (`user`) before a request is made to what lies out of reach; errors of
 *   the resolver and the connection come through unchanged.
 */
export async function fetchWithin(
  reach: Reach,
  url: string,
  options: ReachedRequest,
): Promise<IncomingMessage> {
  let target = url;
  let { authorization } = options;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
    const checked = requireReachable(target, reach);
    const addresses = await allowedAddresses(checked, reach);
    options.signal.throwIfAborted();
    const headers =
      authorization === undefined ? options.headers : { ...options.headers, Authorization: authorization };
    const answer = await requestAt(checked, addresses, { headers, signal: options.signal, ca: reach.ca });
    const location = redirectOf(answer);
    if (location === undefined) return answer;
    answer.destroy();
    const next = URL.parse(location, checked.href);
    if (next?.origin !== checked.origin) authorization = undefined;
    target = next?.href ?? location;
  }
  throw new Error(`it redirects more than ${MAX_REDIRECTS} times`);
}

/**
 * A URL that may be asked, but for its addresses.
 *
 * @throws PipelineError `repository-refused` (`user`).
 */
export function requireReachable(text: string, reach: Pick<Reach, 'hosts' | 'hint'>): URL {
  const url = URL.parse(text);
  if (url === null) throw refused(text, 'it is no URL', reach);
  if (url.protocol !== 'https:') throw refused(text, 'it is not reached over https', reach);
  if (url.username !== '' || url.password !== '') throw refused(text, 'it carries credentials', reach);
  if (allowedHost(url, reach.hosts) === undefined) {
    throw refused(text, `the host ${url.host} is not on the operator's list`, reach);
  }
  return url;
}

/**
 * The entry of the list that allows a URL's host; entries for one host count before those for a domain. `any` where
 * all are allowed.
 */
export function allowedHost(url: URL, hosts: Reach['hosts']): string | undefined {
  if (hosts === 'any') return hosts;
  if (hosts.includes(url.host)) return url.host;
  const below = hosts.filter((host) => host.startsWith('*.') && url.host.endsWith(host.slice(1)));
  return below.sort((a, b) => b.length - a.length)[0];
}

/** The error for a repository, or a place it leads to, that a build file may not name. */
export function refused(location: string, reason: string, reach: Pick<Reach, 'hint'>): PipelineError {
  return new PipelineError({
    code: 'repository-refused',
    kind: 'user',
    message: `the build file leads to the repository ${location}, which is refused: ${reason}`,
    hint: reach.hint ?? OPERATOR_HINT,
  });
}

async function allowedAddresses(url: URL, reach: Reach): Promise<readonly string[]> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const addresses = isIP(host) === 0 ? await (reach.resolve ?? resolveAll)(host) : [host];
  const isAllowed = reach.isAllowed ?? isPublicAddress;
  const wrong = addresses.find((address) => !isAllowed(address));
  if (wrong !== undefined) throw refused(url.href, `${wrong} is no public address`, reach);
  if (addresses.length === 0) throw new Error(`${host} has no address`);
  return addresses;
}

async function resolveAll(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map((one) => one.address);
}

function requestAt(
  url: URL,
  addresses: readonly string[],
  options: {
    readonly headers: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
    readonly ca: string | undefined;
  },
): Promise<IncomingMessage> {
  const answers = addresses.map((address) => ({ address, family: isIP(address) }));
  const checked: LookupFunction = (_host, asked, done) => {
    const [first] = answers;
    if (asked.all === true || first === undefined) done(null, answers);
    else done(null, first.address, first.family);
  };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = httpsRequest(url, {
    // No connection is shared: one that others opened may lead elsewhere.
    agent: false,
    lookup: checked,
    headers: { ...options.headers, 'Accept-Encoding': 'identity' },
    signal: options.signal,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
  request.on('error', reject);
  request.on('response', (answer) => {
    // An answer that is given up has no reader for its error.
    answer.on('error', () => undefined);
    resolve(answer);
  });
  request.end();
  return promise;
}

function redirectOf(answer: IncomingMessage): string | undefined {
  return [301, 302, 303, 307, 308].includes(answer.statusCode ?? 0) ? answer.headers.location : undefined;
}
