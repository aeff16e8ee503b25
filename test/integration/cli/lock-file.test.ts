import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { generateSigningKey, loadSigningKey, type SigningKey } from '../../../shared/apk/keys.ts';
import { readIndexArchive, writeIndexArchive } from '../../../shared/apk/package-index.ts';
import { writeOwnPackages } from '../../pipelines/own-packages.ts';
import { type Finished, run } from './command.ts';

const BUILD_FILE =
  'package: {name: a, version: 1}\nenvironment: {contents: {packages: [tool]}}\npipeline: [{runs: x}]\n';

describe('carryall lock --lock', () => {
  const folder = mkdtempSync(join(tmpdir(), 'carryall-lock-file-'));
  const repository = join(folder, 'repository');
  const key = join(folder, 'test.rsa.pub');
  let signing: SigningKey;
  /** What `--output json` printed. */
  let line: string;
  before(async () => {
    const made = await generateSigningKey({ name: 'test.rsa', bits: 2048 });
    signing = loadSigningKey(made.privatePem, 'test.rsa');
    writeFileSync(key, made.publicPem);
    await writeOwnPackages(
      [
        { name: 'bootstrap-base' },
        { name: 'tool', depends: ['library'], programs: { 'usr/bin/tool': '#!/bin/sh\n' } },
        { name: 'library', programs: { 'usr/lib/library': 'x' } },
      ],
      { folder: repository, arch: 'x86_64', key: signing },
    );
    for (const name of ['a.yaml', 'b.yaml']) writeFileSync(join(folder, name), BUILD_FILE);
    const { stdout, stderr } = await lock([], { output: 'json' });
    assert.equal(stderr, '');
    line = stdout;
  });
  after(() => rmSync(folder, { recursive: true }));

  const lock = (
    locks: readonly string[],
    options: { readonly output?: string; readonly files?: readonly string[]; readonly arch?: string } = {},
  ): Promise<Finished> => {
    const { output = 'text', files = ['a.yaml'], arch = 'x86_64' } = options;
    writeFileSync(join(folder, 'locks'), locks.join(''));
    const given = locks.length === 0 ? [] : ['--lock', 'locks'];
    const from = ['-r', repository, '-k', key];
    return run(['lock', ...files, '--arch', arch, ...from, '-o', output, ...given], { cwd: folder });
  };

  test('prints the same again in each form, from a line or a document', async () => {
    const document = JSON.stringify(JSON.parse(line), undefined, 2);
    for (const output of ['json', 'text', 'apkindex']) {
      const { stdout: solved } = await lock([], { output });
      for (const locks of [[line], [document]]) {
        const { code, stdout, stderr } = await lock(locks, { output });
        assert.deepEqual([code, stdout, stderr], [0, solved, '']);
      }
    }
  });

  test('prints what was locked while the index has newer versions alone', async () => {
    const path = join(repository, 'x86_64', 'APKINDEX.tar.gz');
    const index = readFileSync(path);
    const { stdout: then } = await lock([]);
    try {
      const { entries } = await readIndexArchive(index, 'unverified');
      const newer = entries.map((one) => (one.name === 'tool' ? { ...one, version: '2-r0' } : one));
      writeFileSync(path, await writeIndexArchive(newer, { key: signing }));
      const { code, stdout } = await lock([line]);
      assert.deepEqual([code, stdout], [0, then]);
    } finally {
      writeFileSync(path, index);
    }
  });

  test('finds the lock by architecture, and of several by the file', async () => {
    const other = { ...JSON.parse(line), file: 'b.yaml', packages: [] };
    const foreign = { ...JSON.parse(line), arch: 'aarch64', packages: [] };
    const locks = [JSON.stringify(other), '\n', line, '\n', JSON.stringify(foreign), '\n'];
    const { code, stdout } = await lock(locks, { output: 'json' });
    assert.deepEqual([code, stdout], [0, line]);
    const none = await lock(locks, { arch: 'armv7' });
    assert.equal(none.code, 2);
    assert.match(none.stderr, /a\.yaml: locks has no lock for armv7/);
    const twice = await lock([line, line]);
    assert.equal(twice.code, 2);
    assert.match(twice.stderr, /locks has several locks for x86_64 that was made for a\.yaml/);
  });

  test('says with exit code 2 that a lock is for another package list', async () => {
    const { code, stdout, stderr } = await lock([JSON.stringify({ ...JSON.parse(line), world: ['make'] })]);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(
      stderr,
      /a\.yaml: the lock is for another package list: it lacks tool, .*make\n +hint: lock/,
    );
  });

  test('says with exit code 1 which package is not what was locked, or gone', async () => {
    const { packages, ...rest } = JSON.parse(line);
    const changed = {
      ...rest,
      packages: packages.map((one: object) => ({ ...one, sha256: '0'.repeat(64) })),
    };
    const other = await lock([JSON.stringify(changed)]);
    assert.deepEqual([other.code, other.stdout], [1, '']);
    assert.match(
      other.stderr,
      /bootstrap-base-1-r0 is not what was locked: .*, the lock says 0{64}\n +hint: /,
    );
    const path = join(repository, 'x86_64', 'tool-1-r0.apk');
    renameSync(path, `${path}.away`);
    try {
      const gone = await lock([line]);
      assert.deepEqual([gone.code, gone.stdout], [1, '']);
      assert.match(gone.stderr, /tool-1-r0\.apk cannot be read: .*\n +hint: .*lock the build file again/);
    } finally {
      renameSync(`${path}.away`, path);
    }
  });

  test('names the line and the value that are wrong in the file, or the file that is not there', async () => {
    for (const [locks, expected] of [
      [[line, '{"arch":'], /^carryall: locks:2: this is not JSON$/m],
      [[line, '{"arch": "vax", "world": [], "packages": []}'], /^carryall: locks:2: arch: .*x86_64/m],
    ] as const) {
      const { code, stdout, stderr } = await lock(locks);
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, expected);
    }
    const args = ['lock', 'a.yaml', '--arch', 'x86_64', '-r', repository, '-k', key, '--lock', 'nowhere'];
    const { code, stderr } = await run(args, { cwd: folder });
    assert.equal(code, 1);
    assert.match(stderr, /nowhere cannot be read: there is no such file/);
  });
});
