/** A small package to write and read back, shared by the tests of both. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { splitGzipMembers } from '../../../../shared/apk/gzip-split.ts';
import { generateSigningKey, loadSigningKey, type SigningKey } from '../../../../shared/apk/keys.ts';
import type { PackageFile, WritePackageOptions } from '../../../../shared/apk/package-write.ts';
import { PipelineError } from '../../../../shared/errors.ts';

export const EPOCH = 1_700_000_000;

export interface PackageFixture {
  /** Holds `test.rsa.pub` and what the tests write. */
  readonly folder: string;
  readonly key: SigningKey;
  options(name: string, rest?: Partial<WritePackageOptions>): WritePackageOptions;
  remove(): void;
}

export async function packageFixture(): Promise<PackageFixture> {
  const folder = mkdtempSync(join(tmpdir(), 'package-'));
  const made = await generateSigningKey({ name: 'test.rsa', bits: 2048 });
  const key = loadSigningKey(made.privatePem, made.name);
  writeFileSync(join(folder, 'test.rsa.pub'), made.publicPem);
  return {
    folder,
    key,
    options: (name, rest = {}) => ({
      files: sampleFiles(),
      description: {
        name: 'hello',
        version: '2.10-r0',
        arch: 'x86_64',
        origin: 'hello',
        description: 'prints a greeting',
        url: '',
        commit: '',
        licenses: ['MIT'],
        depends: ['so:libc.so.6'],
        provides: [],
        replaces: [],
        triggers: [],
      },
      scriptlets: { 'post-install': '#!/bin/sh\ntrue\n', 'pre-install': '' },
      melangeYaml: 'package:\n  name: hello\n',
      key,
      sourceDateEpoch: EPOCH,
      outputPath: join(folder, name),
      ...rest,
    }),
    remove: () => rmSync(folder, { recursive: true }),
  };
}

export function sampleFiles(): PackageFile[] {
  return [
    file('usr/bin/hello', '#!/bin/sh\necho hello\n', {
      mode: 0o4755,
      uid: 1000,
      gid: 1000,
      uname: 'build',
      gname: 'build',
    }),
    directory('usr'),
    directory('usr/bin/', { uid: 1000 }),
    { ...file('usr/bin/hi', ''), type: 'symlink', linkName: 'hello' },
    file('./usr/bin.txt', ''),
    file('usr/größe', '', { uid: 65534, gid: 100, uname: 'nobody', gname: 'users' }),
    file('usr/cap', 'x', {
      xattrs: new Map([
        ['security.capability', Buffer.from([1, 0, 0, 2, 10])],
        ['security.selinux', Buffer.from('no')],
      ]),
    }),
    directory('usr/tmp', { mode: 0o1777 }),
  ];
}

export function file(path: string, content: string | Buffer, rest: Partial<PackageFile> = {}): PackageFile {
  const bytes = Buffer.from(content);
  return {
    path,
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    uname: 'root',
    gname: 'root',
    size: bytes.length,
    open: () => inMemory(bytes),
    ...rest,
  };
}

export function directory(path: string, rest: Partial<PackageFile> = {}): PackageFile {
  return { ...file(path, ''), type: 'directory', mode: 0o755, ...rest };
}

export async function* inMemory(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

export function hasCode(code: string, pattern = /./): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof PipelineError && thrown.code === code && pattern.test(thrown.message);
}

/** The compressed bytes of each gzip member. */
export async function members(bytes: Buffer): Promise<Buffer[]> {
  const found: Buffer[][] = [];
  const splitting = splitGzipMembers(inMemory(bytes), (piece, index) => {
    found[index] ??= [];
    found[index].push(Buffer.from(piece));
  });
  for await (const member of splitting) for await (const _ of member.content);
  return found.map((pieces) => Buffer.concat(pieces));
}
