/** Reads text files of any size, but not more of them than the language will look at. */
import { closeSync, openSync, readSync } from 'node:fs';
import { MAX_SOURCE_CHARACTERS } from '../shared/build-file/limits.ts';

/** A character takes at most 3 bytes for each of its UTF-16 units, so this much is always refused as too large. */
const MAX_BYTES = 3 * MAX_SOURCE_CHARACTERS + 4;

/** The text of a file or a named pipe, cut where it is too large anyway. Throws what the file system says. */
export function readText(path: string): string {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(64 * 1024);
    const chunks: Buffer[] = [];
    let total = 0;
    while (total < MAX_BYTES) {
      const bytes = readSync(file, buffer);
      if (bytes === 0) break;
      chunks.push(Buffer.from(buffer.subarray(0, bytes)));
      total += bytes;
    }
    return Buffer.concat(chunks).toString('utf8');
  } finally {
    closeSync(file);
  }
}

/** The same for a stream. */
export async function readStream(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    total += chunk.length;
    if (total >= MAX_BYTES) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['ENOTDIR', 'there is no such file'],
  ['EACCES', 'permission denied'],
  ['EPERM', 'permission denied'],
  ['EISDIR', 'it is a folder'],
  ['ELOOP', 'its symbolic links go round in a circle'],
  ['EMFILE', 'too many files are open'],
]);

/** Why the file system refused, and on which path; undefined for an error that is not the file system's. */
export function fileSystemReason(
  thrown: unknown,
): { readonly path: string; readonly reason: string } | undefined {
  if (!(thrown instanceof Error) || !('syscall' in thrown) || !('code' in thrown)) return undefined;
  const path = 'path' in thrown && typeof thrown.path === 'string' ? thrown.path : '';
  return { path, reason: REASONS.get(String(thrown.code)) ?? thrown.message };
}
