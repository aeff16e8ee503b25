/** A file server on the loopback address that misbehaves when told to. */
import { startLoopbackServer } from './loopback.ts';

/** What it was asked, and how it is made to fail. */
export interface FileServer extends AsyncDisposable {
  readonly url: string;
  /** Each request's path, and which part of the file it wanted. */
  readonly asked: readonly string[];
  /** Sends half of the next file, then cuts the connection. */
  cutNext(): void;
}

/** Serves files by name, parts of them too; `/silent` never answers. */
export async function startFileServer(files: Readonly<Record<string, Buffer>>): Promise<FileServer> {
  const asked: string[] = [];
  let isCut = false;
  const server = await startLoopbackServer((request, response) => {
    const [path = ''] = (request.url ?? '').split('?');
    const { range } = request.headers;
    asked.push(`${path} ${range ?? 'from the beginning'}`);
    if (path === '/silent') return;
    const content = files[path.slice(1)];
    if (content === undefined) {
      response.writeHead(404).end();
      return;
    }
    if (isCut) {
      isCut = false;
      response.writeHead(200, { 'content-length': content.length, 'accept-ranges': 'bytes' });
      response.write(content.subarray(0, Math.floor(content.length / 2)), () => response.socket?.end());
      return;
    }
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    const part = { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` };
    response.writeHead(start > 0 ? 206 : 200, start > 0 ? part : {}).end(content.subarray(start));
  });
  return {
    url: server.url,
    asked,
    cutNext() {
      isCut = true;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
