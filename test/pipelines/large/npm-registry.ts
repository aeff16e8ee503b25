/** An npm registry on the loopback address (docs.npmjs.com: package metadata), for a few packages given as texts. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { TAR_END, tarHeader, tarPadding } from '../../../shared/apk/tar-write.ts';
import { startLoopbackServer } from '../loopback.ts';

/** One version of a package. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** Further fields of package.json. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Further files by path. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface NpmRegistry extends AsyncDisposable {
  /** For npm_config_registry. */
  readonly url: string;
}

/** Serves these packages; of several versions the last given is the newest. */
export async function startNpmRegistry(packages: readonly NpmPackage[]): Promise<NpmRegistry> {
  const tarballs = new Map(
    packages.map((one) => [`/-/${encodeURIComponent(one.name)}-${one.version}.tgz`, tarballOf(one)]),
  );
  let base = '';
  const metadata = (name: string): string | undefined => {
    const versions = packages.filter((one) => one.name === name);
    const newest = versions.at(-1)?.version;
    if (newest === undefined) return undefined;
    const described = versions.map((one) => {
      const path = `/-/${encodeURIComponent(name)}-${one.version}.tgz`;
      const sha512 = createHash('sha512')
        .update(tarballs.get(path) ?? '')
        .digest('base64');
      return [
        one.version,
        { ...manifestOf(one), dist: { tarball: `${base}${path}`, integrity: `sha512-${sha512}` } },
      ];
    });
    return JSON.stringify({
      name,
      'dist-tags': { latest: newest },
      versions: Object.fromEntries(described),
    });
  };
  const server = await startLoopbackServer((request, response) => {
    const path = request.url ?? '';
    const found = tarballs.get(path) ?? metadata(decodeURIComponent(path.slice(1)));
    response.writeHead(found === undefined ? 404 : 200).end(found);
  });
  base = server.url;
  return {
    url: `${base}/`,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function manifestOf({ name, version, fields }: NpmPackage): Record<string, unknown> {
  return { name, version, ...fields };
}

function tarballOf(one: NpmPackage): Buffer {
  const files = { 'package.json': JSON.stringify(manifestOf(one)), ...one.files };
  const parts = Object.entries(files).flatMap(([path, text]) => {
    const bytes = Buffer.from(text);
    const header = tarHeader({
      name: `package/${path}`,
      type: 'file',
      mode: 0o644,
      size: bytes.length,
      mtime: 0,
    });
    return [header, bytes, tarPadding(bytes.length)];
  });
  return gzipSync(Buffer.concat([...parts, TAR_END]));
}
