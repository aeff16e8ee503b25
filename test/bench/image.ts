/** One image of an environment, built by the runner and pushed to a registry: what environments are compared with. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { runProcess } from '../../deploy/local/parts/run-process.ts';
import { httpSource, type Output } from '../../runner/buildkit/llb.ts';
import type { LockedPackage } from '../../runner/environment/lock.ts';

export interface ImageOptions {
  readonly packages: readonly LockedPackage[];
  /** Host and port of the registry. */
  readonly registry: string;
  /** For what is unpacked. */
  readonly folder: string;
}

/**
 * Fetches and unpacks the packages, packs them as one layer (gzip level 1), pushes it, and gives the image. `bytes` are
 * those that went through the runner.
 */
export async function pushImage(
  options: ImageOptions,
): Promise<{ readonly root: Output; readonly bytes: number }> {
  const { packages, registry } = options;
  await mkdir(options.folder, { recursive: true });
  const folder = await mkdtemp(join(options.folder, 'image-'));
  const tree = join(folder, 'tree');
  const layerPath = join(folder, 'layer.tar.gz');
  try {
    await mkdir(tree);
    let bytes = 0;
    for (const [index, one] of packages.entries()) {
      const path = join(folder, `${index}.apk`);
      const { body } = await fetch(one.url);
      if (body === null) throw new Error(`no ${one.url}`);
      await pipeline(Readable.fromWeb(body), createWriteStream(path));
      bytes += one.bytes;
      await runProcess('tar', [
        '-xzf',
        path,
        '-C',
        tree,
        '--warning=none',
        '--exclude=.PKGINFO',
        '--exclude=.SIGN.*',
      ]);
    }
    await runProcess('sh', ['-c', `tar -C '${tree}' -c . | gzip -1 > '${layerPath}'`]);
    const layer = await readFile(layerPath);
    const diffId = await runProcess('sh', ['-c', `gzip -dc '${layerPath}' | sha256sum | cut -c 1-64`]);
    const config = Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: {},
        rootfs: { type: 'layers', diff_ids: [`sha256:${diffId.stdout.trim()}`] },
      }),
    );
    for (const blob of [layer, config]) await pushBlob(registry, blob);
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: descriptor('application/vnd.oci.image.config.v1+json', config),
        layers: [descriptor('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
      }),
    );
    const digest = digestOf(manifest);
    await expectOk(`http://${registry}/v2/environment/manifests/${digest}`, {
      method: 'PUT',
      headers: { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' },
      body: manifest,
    });
    // A source is an identifier and attributes; BuildKit leaves those alone that are for other kinds of source.
    const root = httpSource({
      url: `docker-image://${registry}/environment@${digest}`,
      checksum: '',
      filename: '',
      name: 'environment image',
    });
    return { root, bytes: bytes + layer.length };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function pushBlob(registry: string, blob: Buffer<ArrayBuffer>): Promise<void> {
  const begun = await expectOk(`http://${registry}/v2/environment/blobs/uploads/`, { method: 'POST' });
  const location = new URL(begun.headers.get('location') ?? '', `http://${registry}`);
  location.searchParams.set('digest', digestOf(blob));
  await expectOk(location.href, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/octet-stream' },
    body: blob,
  });
}

async function expectOk(url: string, request: RequestInit): Promise<Response> {
  const response = await fetch(url, request);
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return response;
}

function descriptor(mediaType: string, blob: Buffer): Record<string, unknown> {
  return { mediaType, digest: digestOf(blob), size: blob.length };
}

function digestOf(blob: Buffer): string {
  return `sha256:${createHash('sha256').update(blob).digest('hex')}`;
}
