/**
 * Reads Debian packages (deb(5)): an ar archive of `debian-binary`, `control.tar.*` and `data.tar.*`. Decompression
 * is left to zlib and, for xz, to the `xz` program, which is part of every Debian system.
 */
import { spawn } from 'node:child_process';
import { createReadStream, type ReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { readTar } from '../../../shared/apk/tar-read.ts';
import { PipelineError } from '../../../shared/errors.ts';

const AR_MAGIC = '!<arch>\n';
const AR_HEADER_BYTES = 60;

export interface Deb {
  readonly path: string;
  /** The control file's fields by lower-case name; the lines of a folded value are joined with line feeds. */
  readonly fields: ReadonlyMap<string, string>;
  /** Unix seconds at which the package was built. */
  readonly builtAt: number;
  /** The decompressed tar of the package's files. */
  data(): AsyncIterable<Uint8Array>;
}

interface ArMember {
  readonly name: string;
  readonly mtime: number;
  readonly offset: number;
  readonly size: number;
}

/**
 * Opens a `.deb` and reads its control file.
 *
 * @throws PipelineError `tar-malformed` where the file is no Debian package, `prerequisite-missing` without `xz`.
 */
export async function openDeb(path: string, signal?: AbortSignal): Promise<Deb> {
  const members = await readAr(path);
  const member = (prefix: string): ArMember => {
    const found = members.find((one) => one.name.startsWith(prefix));
    if (found === undefined) throw malformed(path, `it has no ${prefix}`);
    return found;
  };
  const data = member('data.tar');
  let fields: ReadonlyMap<string, string> | undefined;
  for await (const entry of readTar(decompressed(path, member('control.tar'), signal))) {
    if (entry.name !== './control' && entry.name !== 'control') continue;
    fields = parseControl(Buffer.concat(await Array.fromAsync(entry.content)).toString());
  }
  if (fields === undefined) throw malformed(path, 'it has no control file');
  return {
    path,
    fields,
    builtAt: member('debian-binary').mtime,
    data: () => decompressed(path, data, signal),
  };
}

/** The fields of one stanza of a control file (deb822(5)). */
export function parseControl(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  let last = '';
  for (const line of text.split('\n')) {
    const field = /^([!-9;-~]+):[ \t]*(.*)$/.exec(line);
    if (field?.[1] !== undefined) {
      last = field[1].toLowerCase();
      fields.set(last, (field[2] ?? '').trimEnd());
    } else if (/^[ \t]/.test(line) && last !== '') {
      fields.set(last, `${fields.get(last)}\n${line.trim()}`);
    }
  }
  return fields;
}

async function readAr(path: string): Promise<ArMember[]> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if ((await readAt(file, 0, AR_MAGIC.length)) !== AR_MAGIC) throw malformed(path, 'it is no ar archive');
    const members: ArMember[] = [];
    for (let at = AR_MAGIC.length; at < size; ) {
      const header = await readAt(file, at, AR_HEADER_BYTES);
      const bytes = Number(header.slice(48, 58));
      const offset = at + AR_HEADER_BYTES;
      if (!header.endsWith('`\n') || !Number.isSafeInteger(bytes) || bytes < 0 || offset + bytes > size) {
        throw malformed(path, `no ar member at byte ${at}`);
      }
      const name = header.slice(0, 16).trim().replace(/\/$/, '');
      members.push({ name, mtime: Number(header.slice(16, 28)) || 0, offset, size: bytes });
      at = offset + bytes + (bytes % 2);
    }
    return members;
  } finally {
    await file.close();
  }
}

async function readAt(file: FileHandle, position: number, bytes: number): Promise<string> {
  const buffer = Buffer.alloc(bytes);
  const { bytesRead } = await file.read(buffer, 0, bytes, position);
  return buffer.toString('latin1', 0, bytesRead);
}

async function* decompressed(
  path: string,
  member: ArMember,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const compressed = createReadStream(path, { start: member.offset, end: member.offset + member.size - 1 });
  const form = /\.tar(\.\w+)?$/.exec(member.name)?.[1] ?? '';
  try {
    if (form === '') yield* compressed;
    else if (form === '.xz') yield* throughXz(compressed, path, signal);
    else if (form === '.gz' || form === '.zst') {
      const engine = form === '.gz' ? createGunzip() : createZstdDecompress();
      compressed.once('error', (error) => engine.destroy(error));
      yield* compressed.pipe(engine);
    } else throw malformed(path, `${member.name} is compressed in an unknown way`);
  } catch (cause) {
    if (!isDecompressionError(cause)) throw cause;
    throw malformed(path, `${member.name} is damaged (${cause.code})`);
  } finally {
    compressed.destroy();
  }
}

/** The codes of Node's zlib: `Z_DATA_ERROR`, `ZSTD_error_corruption_detected` and so on. */
function isDecompressionError(thrown: unknown): thrown is Error & { code: string } {
  return thrown instanceof Error && 'code' in thrown && /^(Z_|ZSTD_)/.test(String(thrown.code));
}

async function* throughXz(
  compressed: ReadStream,
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const child = spawn('xz', ['--decompress', '--stdout', '--threads=1'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(signal === undefined ? {} : { signal }),
  });
  const complaints: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
  const ended = Promise.withResolvers<number | null>();
  child.once('error', ended.reject);
  child.once('close', ended.resolve);
  ended.promise.catch(() => undefined);
  compressed.once('error', (error) => child.stdout.destroy(error));
  // Its standard input breaks when the program ends early, which its exit code tells better.
  child.stdin.on('error', () => undefined);
  compressed.pipe(child.stdin);
  try {
    yield* child.stdout;
    const code = await ended.promise;
    if (code !== 0) throw malformed(path, `xz failed: ${Buffer.concat(complaints).toString().trim()}`);
  } catch (cause) {
    throw xzError(cause);
  } finally {
    child.kill();
  }
}

function xzError(cause: unknown): unknown {
  if (!(cause instanceof Error) || !('code' in cause)) return cause;
  if (cause.name === 'AbortError') {
    return new PipelineError({
      code: 'cancelled',
      kind: 'cancelled',
      message: 'unpacking was cancelled',
      cause,
    });
  }
  if (cause.code !== 'ENOENT') return cause;
  return new PipelineError({
    code: 'prerequisite-missing',
    kind: 'infra',
    message: 'the program xz is not on this machine',
    hint: 'apt-get install xz-utils',
    cause,
  });
}

function malformed(path: string, problem: string): PipelineError {
  return new PipelineError({
    code: 'tar-malformed',
    kind: 'infra',
    message: `${path} is no usable Debian package: ${problem}`,
    hint: 'Remove the file, so that it is downloaded again',
  });
}
