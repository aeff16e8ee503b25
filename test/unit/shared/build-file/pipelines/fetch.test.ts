import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fails, type LocalRun, localRun, succeeds } from './local-run.ts';

describe('fetch', () => {
  const archive = (root: LocalRun): string => {
    root.files({ 'top/inner/file.txt': 'content\n' });
    mkdirSync(join(root.folder, 'cache'));
    succeeds(
      spawnSync('tar', ['-C', root.folder, '-czf', join(root.folder, 'cache/made.tar.gz'), 'top'], {
        encoding: 'utf8',
      }),
    );
    rmSync(join(root.folder, 'top'), { recursive: true });
    return join(root.folder, 'cache/made.tar.gz');
  };
  const digest = (path: string, algorithm: string): string =>
    createHash(algorithm).update(readFileSync(path)).digest('hex');

  test('takes the archive from the cache by its checksum, extracts and deletes it', (context) => {
    const root = localRun(context);
    const made = archive(root);
    const sha256 = digest(made, 'sha256');
    spawnSync('mv', [made, join(root.folder, `cache/sha256:${sha256}`)]);
    succeeds(
      root.run(
        `[{uses: fetch, with: {uri: "https://a.example/x/b.tar.gz", expected-sha256: "${sha256}", delete: true}}]`,
      ),
    );
    assert.equal(root.read('inner/file.txt'), 'content\n');
    assert.equal(existsSync(join(root.folder, 'b.tar.gz')), false);
  });

  test('takes an archive that lies in the workspace, and keeps the leading components asked for', (context) => {
    const root = localRun(context);
    const made = archive(root);
    const sha512 = digest(made, 'sha512').toUpperCase();
    spawnSync('mv', [made, join(root.folder, 'b.tar.gz')]);
    root.files({ 'into/.keep': '' });
    succeeds(
      root.run(
        `[{uses: fetch, with: {uri: "https://a.example/b.tar.gz", expected-sha512: "${sha512}", strip-components: 0, directory: into}}]`,
      ),
    );
    assert.equal(root.read('into/top/inner/file.txt'), 'content\n');
    assert.ok(existsSync(join(root.folder, 'b.tar.gz')));
  });

  test('refuses an archive with another checksum, and one without any', (context) => {
    const root = localRun(context);
    root.files({ 'b.tar.gz': 'something else' });
    const wanted = '0'.repeat(64);
    fails(
      root.run(`[{uses: fetch, with: {uri: "https://a.example/b.tar.gz", expected-sha256: "${wanted}"}}]`),
      /expected 0{64}/,
    );
    fails(root.run('[{uses: fetch, with: {uri: "https://a.example/b.tar.gz"}}]'), /give one of/);
    succeeds(
      root.run(
        '[{uses: fetch, with: {uri: "https://a.example/b.tar.gz", expected-none: ok, extract: false}}]',
      ),
    );
  });

  test('asks wget with the given limits when the archive is nowhere', (context) => {
    const root = localRun(context);
    root.tool('wget', 'record "$@"\nprintf x > b.bin');
    succeeds(
      root.run(
        '[{uses: fetch, with: {uri: "https://a.example/b.bin", expected-none: ok, extract: false, timeout: 9}}]',
      ),
    );
    assert.deepEqual(root.asked(), [
      [
        'wget:',
        '--timeout=9',
        '--dns-timeout=20',
        '--tries=5',
        '--random-wait',
        '--retry-connrefused',
        '--continue',
        '--output-document=b.bin',
        'https://a.example/b.bin',
      ].join(' '),
    ]);
  });
});
