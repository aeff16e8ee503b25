/** Credentials of repositories, each for one host and for no other. */
import { readFile } from 'node:fs/promises';
import { PipelineError } from '../../shared/errors.ts';

/** What a host is shown, and how that is found out. */
export interface HostCredentials {
  /** In lower case, with `:port` unless that is 443. */
  readonly host: string;
  /** Value of the `Authorization` header. Asked for each request: what it comes from may be short-lived. */
  readonly authorization: () => Promise<string>;
}

/** Gives the credentials of the host of this URL; never over plain HTTP unless that is allowed. */
export function authorizationFor(
  url: string,
  credentials: readonly HostCredentials[],
  plainHttp: 'refused' | 'allowed' = 'refused',
): HostCredentials['authorization'] | undefined {
  const parsed = URL.parse(url);
  const isFit = parsed?.protocol === 'https:' || (parsed?.protocol === 'http:' && plainHttp === 'allowed');
  if (parsed === null || !isFit) return undefined;
  return credentials.find((one) => one.host === parsed.host)?.authorization;
}

/** `Basic` of `user:password` (RFC 7617, section 2). */
export function basicAuthorization(userPassword: string): string {
  return `Basic ${Buffer.from(userPassword).toString('base64')}`;
}

/**
 * The header's value made of a file, as it is now: `user:password`, or a bearer token. One line break may end it.
 *
 * @throws PipelineError `config-invalid` (`infra`), which tells nothing of the content.
 */
export async function authorizationOfFile(path: string, form: 'basic' | 'bearer'): Promise<string> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw unusable(path, `it cannot be read (${cause.code ?? 'for an unknown reason'})`);
  });
  const value = text.replace(/\r?\n$/, '');
  // RFC 6750, section 2.1; a value that is no header would be shown by whoever refuses it.
  if (form === 'bearer') {
    if (!/^[A-Za-z0-9._~+/-]+=*$/.test(value)) throw unusable(path, 'it is no bearer token');
    return `Bearer ${value}`;
  }
  if (!isUserPassword(value)) throw unusable(path, 'it is not of the form user:password');
  return basicAuthorization(value);
}

/**
 * Reads the variable `HTTP_AUTH`: `basic:HOST:USER:PASSWORD`, as apko has it, or `basic:*:HOST:USER:PASSWORD`, with
 * the realm before the host. A number after the host is its port. Several are separated by a comma before `basic:`.
 *
 * @throws PipelineError `config-invalid` (`user`), which tells nothing of the content.
 */
export function parseHttpAuth(text: string): HostCredentials[] {
  if (text.trim() === '') return [];
  return text
    .trim()
    .split(/,\s*(?=basic:)/)
    .map((entry, at) => {
      const match = /^basic:(?:\*:)?([^:*\s/@]+)(?::(\d{1,5}))?:((?!\/\/)[^:]+:.*)$/s.exec(entry);
      const [, name = '', port, userPassword = ''] = match ?? [];
      const url = URL.parse(`https://${name}${port === undefined ? '' : `:${port}`}`);
      if (match === null || url === null || !isUserPassword(userPassword)) throw noHttpAuth(at);
      const value = basicAuthorization(userPassword);
      return { host: url.host, authorization: async () => value };
    });
}

/** RFC 7617, section 2: the user has no colon, neither has control characters. */
function isUserPassword(text: string): boolean {
  return /^[^:]+:/.test(text) && !/\p{Cc}/u.test(text);
}

function noHttpAuth(at: number): PipelineError {
  return new PipelineError({
    code: 'config-invalid',
    kind: 'user',
    message: `entry ${at + 1} of the environment variable HTTP_AUTH gives no credentials`,
    hint: 'write basic:HOST:USER:PASSWORD, several separated by commas',
  });
}

function unusable(path: string, problem: string): PipelineError {
  return new PipelineError({
    code: 'config-invalid',
    kind: 'infra',
    message: `the credentials in ${path} cannot be used: ${problem}`,
    hint: 'docs/configuration.md describes these files, under credentials',
  });
}
