/** Serves folders over HTTP on the loopback address, each under its name: `--mount NAME=FOLDER`, `--port N`. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { mount: { type: 'string', multiple: true, default: [] }, port: { type: 'string', default: '0' } },
});
const mounts = new Map(
  values.mount.map((text) => {
    const at = text.indexOf('=');
    return [text.slice(0, at), text.slice(at + 1)] as const;
  }),
);

const server = createServer((request, response) => {
  serve(request.url ?? '/').then(
    (file) => {
      if (file === undefined) {
        response.writeHead(404, { 'Content-Type': 'text/plain' }).end('not found\n');
        return;
      }
      if (request.headers['if-none-match'] === file.etag) {
        response.writeHead(304, { ETag: file.etag }).end();
        return;
      }
      response.writeHead(200, { 'Content-Length': file.bytes, ETag: file.etag });
      if (request.method === 'HEAD') response.end();
      else
        createReadStream(file.path)
          .on('error', () => response.destroy())
          .pipe(response);
    },
    () => response.writeHead(500).end(),
  );
});

async function serve(url: string): Promise<{ path: string; bytes: number; etag: string } | undefined> {
  const name = normalize(decodeURIComponent(new URL(url, 'http://localhost').pathname));
  const [, mount = '', ...rest] = name.split('/');
  const folder = mounts.get(mount);
  if (folder === undefined) return undefined;
  const path = join(folder, ...rest);
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true) return undefined;
  return { path, bytes: found.size, etag: `"${found.mtimeMs}-${found.size}"` };
}

server.listen(Number(values.port), '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
