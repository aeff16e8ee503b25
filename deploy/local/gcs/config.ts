/** Settings of the endpoint's process: flags only, read here and nowhere else. */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { PipelineError } from '../../../shared/errors.ts';
import type { BucketListener, StorageEndpointOptions } from './server.ts';

export type StorageConfig = Omit<StorageEndpointOptions, 'log'>;

/**
 * Reads `--folder DIR` (required), `--port N` (default 0), `--host`, `--bucket NAME` and `--notify BUCKET=URL` (both may
 * repeat), `--signed-url-key FILE` (public key, PEM), `--first-retry-ms N`, `--max-retry-ms N`.
 *
 * @throws PipelineError `config-invalid`.
 */
export async function readConfig(args: readonly string[]): Promise<StorageConfig> {
  const values = parseFlags(args);
  if (values.folder === undefined) throw invalid('--folder is missing');
  const keyFile = values['signed-url-key'];
  return {
    folder: values.folder,
    port: wholeNumber('--port', values.port) ?? 0,
    host: values.host,
    buckets: values.bucket,
    notify: values.notify?.map(parseListener),
    signedUrlKey: keyFile === undefined ? undefined : await readKeyFile(keyFile),
    retry: {
      firstRetryMs: wholeNumber('--first-retry-ms', values['first-retry-ms']),
      maxRetryMs: wholeNumber('--max-retry-ms', values['max-retry-ms']),
    },
  };
}

function parseFlags(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        folder: { type: 'string' },
        port: { type: 'string' },
        host: { type: 'string' },
        bucket: { type: 'string', multiple: true },
        notify: { type: 'string', multiple: true },
        'signed-url-key': { type: 'string' },
        'first-retry-ms': { type: 'string' },
        'max-retry-ms': { type: 'string' },
      },
    }).values;
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause));
  }
}

function parseListener(text: string): BucketListener {
  const [bucket, ...rest] = text.split('=');
  const url = rest.join('=');
  if (!bucket || !/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
    throw invalid(`--notify ${text} is not of the form BUCKET=URL`);
  }
  return { bucket, url };
}

function wholeNumber(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw invalid(`${flag} ${text} is not a whole number`);
  return Number(text);
}

async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw invalid(`--signed-url-key: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function invalid(message: string): PipelineError {
  return new PipelineError({ code: 'config-invalid', kind: 'user', message });
}
