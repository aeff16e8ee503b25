/** A module proxy on the loopback address (go.dev/ref/mod#goproxy-protocol), for a few modules given as texts. */
import { crc32 } from 'node:zlib';
import { startLoopbackServer } from '../loopback.ts';

/** Files of a module version by path, `go.mod` among them. */
export type ModuleFiles = Readonly<Record<string, string>>;

export interface GoProxy extends AsyncDisposable {
  /** For GOPROXY. */
  readonly url: string;
}

/** Serves modules by path, each with its versions (such as `v1.0.0`). */
export async function startGoProxy(
  modules: Readonly<Record<string, Readonly<Record<string, ModuleFiles>>>>,
): Promise<GoProxy> {
  const answers = new Map<string, string | Buffer>();
  for (const [path, versions] of Object.entries(modules)) {
    answers.set(`/${path}/@v/list`, `${Object.keys(versions).join('\n')}\n`);
    for (const [version, files] of Object.entries(versions)) {
      const base = `/${path}/@v/${version}`;
      const inArchive = Object.entries(files).map(
        ([name, text]) => [`${path}@${version}/${name}`, text] as const,
      );
      answers.set(`${base}.info`, JSON.stringify({ Version: version, Time: '2024-01-01T00:00:00Z' }));
      answers.set(`${base}.mod`, files['go.mod'] ?? '');
      answers.set(`${base}.zip`, zip(new Map(inArchive)));
    }
  }
  const server = await startLoopbackServer((request, response) => {
    const answer = answers.get(request.url ?? '');
    response.writeHead(answer === undefined ? 404 : 200).end(answer);
  });
  return {
    url: server.url,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** An archive of uncompressed files (PKWARE's APPNOTE.TXT, 4.3). */
function zip(files: ReadonlyMap<string, string>): Buffer {
  const entries: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of files) {
    const content = Buffer.from(text);
    const path = Buffer.from(name);
    // From "version needed to extract" to the length of the extra field, the same in both headers.
    const facts = Buffer.alloc(26);
    facts.writeUInt16LE(20, 0);
    facts.writeUInt32LE(crc32(content), 10);
    facts.writeUInt32LE(content.length, 14);
    facts.writeUInt32LE(content.length, 18);
    facts.writeUInt16LE(path.length, 22);
    const entry = Buffer.concat([Buffer.from('PK\x03\x04'), facts, path, content]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\0'), facts, rest, path]));
    entries.push(entry);
    offset += entry.length;
  }
  const size = directory.reduce((sum, one) => sum + one.length, 0);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(files.size, 4);
  end.writeUInt16LE(files.size, 6);
  end.writeUInt32LE(size, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...entries, ...directory, Buffer.from('PK\x05\x06'), end]);
}
