/** The output of a build waits on disk between BuildKit and the packages made from it. */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { PipelineError } from '../../shared/errors.ts';

export interface SpoolOptions {
  /** File to write; replaced if it exists. */
  readonly path: string;
  /** A larger output fails the build. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/**
 * Writes the chunks of a tar to a file, no faster than the disk takes them. Gives the number of bytes.
 *
 * @throws PipelineError `output-too-large` (`user`); file system errors come through.
 */
export async function spoolTar(chunks: AsyncIterable<Uint8Array>, options: SpoolOptions): Promise<number> {
  let bytes = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > options.maxBytes) {
        throw new PipelineError({
          code: 'output-too-large',
          kind: 'user',
          message: `the build's output is larger than ${options.maxBytes} bytes`,
          hint: 'remove what is not meant to be packaged from the output directories',
        });
      }
      yield chunk;
    }
  };
  await pipeline(counted(), createWriteStream(options.path, { highWaterMark: 4 * 1024 * 1024 }), {
    signal: options.signal,
  });
  return bytes;
}
