/** The request of another system, as it was kept when it came. */
import type { Bucket } from '@google-cloud/storage';
import { PipelineError } from '../../shared/errors.ts';
import { REQUEST_BYTES } from '../../shared/limits.ts';
import { parseBuildRequest, type RequestMessage } from '../../shared/messages.ts';
import { readObject } from '../../shared/storage/objects.ts';

/** @throws PipelineError `source-missing` (`infra`) where the object is not there or is no request. */
export async function storedRequest(builds: Bucket, object: string): Promise<RequestMessage> {
  const bytes = await readObject(builds, object, { maxBytes: REQUEST_BYTES });
  const parsed = bytes === undefined ? undefined : parseBuildRequest(bytes);
  if (parsed?.type !== 'request') {
    throw new PipelineError({
      code: 'source-missing',
      kind: 'infra',
      message: `the stored request ${object} cannot be read`,
    });
  }
  return parsed.message;
}
