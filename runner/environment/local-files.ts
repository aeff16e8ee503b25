/** Files of a repository on this machine, answered as a web server would. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** 200 with an ETag made of size and time of the file, 304 where `If-None-Match` has it, 404 where there is no file. */
export async function readLocalFile(
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<Response> {
  const path = fileURLToPath(url);
  const found = await stat(path).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT' || thrown.code === 'ENOTDIR') return undefined;
    throw thrown;
  });
  if (found?.isFile() !== true) return new Response(null, { status: 404 });
  const etag = `"${found.mtimeMs}-${found.size}"`;
  if (headers['If-None-Match'] === etag) return new Response(null, { status: 304 });
  return new Response(Readable.toWeb(createReadStream(path)), { headers: { ETag: etag } });
}
