/** Reads the sample Alpine index with a few lines of its own, so that the solver's tests rest on nothing else. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { Solvable } from '../../../../runner/environment/solvable.ts';

const file = fileURLToPath(
  new URL('../../../../../shared/corpus/index/alpine-3.16-main-x86_64.APKINDEX.tar.gz', import.meta.url),
);

/** Reason to skip a test that needs the index, or false where it is there. */
export const alpineIndexMissing = existsSync(file) ? false : 'the sample index is not on this machine';

export function readAlpineIndex(): Solvable[] {
  return fileOfTar(gunzipSync(readFileSync(file)), 'APKINDEX')
    .split('\n\n')
    .flatMap(readRecord);
}

function fileOfTar(tar: Buffer, wanted: string): string {
  for (let at = 0; at + 512 <= tar.length; ) {
    const name = tar.toString('latin1', at, at + 100).replace(/\0.*$/s, '');
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8) || 0;
    if (name === wanted) return tar.toString('utf8', at + 512, at + 512 + size);
    at += name === '' && size === 0 ? 512 : 512 + Math.ceil(size / 512) * 512;
  }
  throw new Error(`no ${wanted} in the tar`);
}

function readRecord(text: string): Solvable[] {
  const fields = new Map(text.split('\n').map((line) => [line.slice(0, 2), line.slice(2)]));
  const words = (key: string): string[] => (fields.get(key) ?? '').split(' ').filter(Boolean);
  const name = fields.get('P:');
  if (name === undefined) return [];
  return [
    {
      name,
      version: fields.get('V:') ?? '',
      origin: fields.get('o:'),
      depends: words('D:'),
      provides: words('p:'),
      installIf: words('i:'),
      providerPriority: Number(fields.get('k:') ?? 0),
    },
  ];
}
