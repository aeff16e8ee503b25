/** A repository as it is written: a line of `/etc/apk/repositories`, without comments. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PipelineError } from '../../shared/errors.ts';
import { storageUrl } from './storage-location.ts';

export interface RepositoryLine {
  /** As it is recorded: the URL or the path, without the tag and without a slash at the end. */
  readonly location: string;
  /** Where its files lie, without a slash at the end; `file:` for a folder. */
  readonly baseUrl: string;
  /** Tag of `@tag URL`: its packages count only for who asks for that tag. */
  readonly pin: string | undefined;
}

export interface RepositoryLineOptions {
  /** Endpoint of the storage API, empty for Google's. Without it `gs://` counts as no repository. */
  readonly storageEndpoint?: string;
}

/**
 * Reads `URL`, a folder, or either behind a `@tag`. Relative folders count from the working directory.
 *
 * @throws PipelineError `config-invalid` (`user`) for anything else.
 */
export function parseRepositoryLine(line: string, options: RepositoryLineOptions = {}): RepositoryLine {
  const { storageEndpoint } = options;
  const [, pin, written = ''] = /^(?:@([A-Za-z0-9]+)[ \t]+)?([^@\s].*)$/.exec(line.trim()) ?? [];
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(written)?.[1]?.toLowerCase();
  const location = written.replace(/(?<=.)\/+$/, '');
  if (location === '') throw invalid(line, 'write a URL or a folder, or "@tag URL"');
  if (scheme === undefined) return { location, pin, baseUrl: pathToFileURL(resolve(location)).href };
  if (scheme === 'gs' && storageEndpoint !== undefined) {
    return { location, pin, baseUrl: storageUrl(location, storageEndpoint) };
  }
  const url = URL.parse(location);
  if (url === null || !['http', 'https', 'file'].includes(scheme)) {
    const storage = storageEndpoint === undefined ? '' : ', gs://';
    throw invalid(line, `its URL must begin with https://, http://${storage} or file://`);
  }
  return { location, pin, baseUrl: location };
}

function invalid(line: string, hint: string): PipelineError {
  return new PipelineError({
    code: 'config-invalid',
    kind: 'user',
    message: `${JSON.stringify(line)} is no repository`,
    hint,
  });
}
