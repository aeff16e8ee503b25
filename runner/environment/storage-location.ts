/** `gs://` locations of repositories, and where they are fetched from. */
import { PipelineError } from '../../shared/errors.ts';

/** Google's own endpoint; https://cloud.google.com/storage/docs/request-endpoints. */
const GOOGLE_STORAGE = 'https://storage.googleapis.com';

export function isStorageLocation(location: string): boolean {
  return /^gs:\/\//i.test(location);
}

/**
 * The URL of `gs://BUCKET/PATH` on a storage endpoint, without a slash at the end.
 *
 * @param endpoint empty for Google's.
 * @throws PipelineError `config-invalid` (`user`) for what names no bucket.
 */
export function storageUrl(location: string, endpoint: string): string {
  // https://cloud.google.com/storage/docs/buckets#naming
  const match = /^gs:\/\/([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])((?:\/[^/?#]+)*)\/*$/i.exec(location);
  const [, bucket = '', path = ''] = match ?? [];
  if (match === null || path.split('/').some((part) => part === '.' || part === '..')) {
    throw new PipelineError({
      code: 'config-invalid',
      kind: 'user',
      message: `${JSON.stringify(location)} is no place in Cloud Storage`,
      hint: 'write gs://BUCKET or gs://BUCKET/PATH',
    });
  }
  const base = (endpoint === '' ? GOOGLE_STORAGE : endpoint).replace(/\/+$/, '');
  return base + `/${bucket}${path}`.split('/').map(encodeURIComponent).join('/');
}
