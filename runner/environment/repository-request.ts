/** One request for a file of a repository, on whichever way the repository is reached. */
import { Readable } from 'node:stream';
import { readLocalFile } from './local-files.ts';
import type { Repository } from './repository.ts';
import { fetchWithin } from './trusted-fetch.ts';

export interface RawAnswer {
  readonly status: number;
  /** By name in lower case; empty where there is none. */
  readonly header: (name: string) => string;
  /** To be read once. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Lets go of a body that nobody reads. */
  readonly close: () => void;
}

/**
 * Asks for a file. Redirects are followed; the repository's credentials are for its own origin and stay behind when a
 * redirect, or the file's URL, leads to another.
 *
 * @throws PipelineError `repository-refused` (`user`) where a build file may not lead there; errors of the connection
 *   come through unchanged.
 */
export async function requestFile(
  repository: Repository,
  url: string,
  options: { readonly headers: Readonly<Record<string, string>>; readonly signal: AbortSignal },
): Promise<RawAnswer> {
  if (url.startsWith('file:')) return fromResponse(await readLocalFile(url, options.headers));
  const isOwn = URL.parse(url)?.origin === URL.parse(repository.baseUrl)?.origin;
  const authorization = isOwn ? await repository.authorization?.() : undefined;
  if (repository.reach !== undefined) {
    const answer = await fetchWithin(repository.reach, url, { ...options, authorization });
    return {
      status: answer.statusCode ?? 0,
      header: (name) => [answer.headers[name] ?? ''].flat().join(', '),
      body: answer,
      close: () => void answer.destroy(),
    };
  }
  return fromResponse(
    // It takes `Authorization` off where a redirect leaves the origin (https://fetch.spec.whatwg.org/#http-redirect-fetch).
    await fetch(url, {
      headers: {
        ...options.headers,
        'Accept-Encoding': 'identity',
        ...(authorization === undefined ? {} : { Authorization: authorization }),
      },
      signal: options.signal,
    }),
  );
}

function fromResponse(response: Response): RawAnswer {
  return {
    status: response.status,
    header: (name) => response.headers.get(name) ?? '',
    body: response.body ?? Readable.from([]),
    close: () => void response.body?.cancel().catch(() => undefined),
  };
}
