import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { buildFile, createTestFolder, type TestFolder } from '../../unit/cli/files.ts';
import { readProjectFile } from '../../unit/house/sources.ts';
import { exitOf, run, SCRIPT, start } from './command.ts';

const bad = buildFile('bad', '{uses: fetsch}');

/** Arguments for a run that takes long and prints much. */
function manyFiles(folder: TestFolder): string[] {
  const name = folder.write('a.yaml', buildFile('a', `{runs: "${'x '.repeat(2_000)}"}`));
  return Array.from({ length: 5_000 }, () => name);
}

test('when nobody reads its output any more, the command ends without a word', async () => {
  using folder = createTestFolder();
  for (const jobs of ['1', '2']) {
    const child = start(['compile', ...manyFiles(folder), '--arch', 'x86_64', '--jobs', jobs]);
    const stderr = text(child.stderr);
    await once(child.stdout, 'data');
    child.stdout.destroy();
    assert.deepEqual([await exitOf(child), await stderr], [141, '']);
  }
});

test('a signal ends the command at once, also while nobody reads its output', async () => {
  using folder = createTestFolder();
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    for (const jobs of ['1', '2']) {
      const busy = start(['validate', '--output', 'json', ...manyFiles(folder), '--jobs', jobs]);
      await once(busy.stdout, 'data');
      busy.stdout.resume();
      busy.kill(signal);
      assert.equal(await exitOf(busy), code, 'while it works');
    }
    const blocked = start(['compile', ...manyFiles(folder), '--arch', 'x86_64', '--jobs', '1']);
    await once(blocked.stdout, 'readable');
    blocked.kill(signal);
    assert.equal(await exitOf(blocked), code, 'while its output is not read');
    blocked.stdout.destroy();
  }
});

test('usage errors say what is wrong and where to read on, with exit code 64', async () => {
  assert.deepEqual(await run(['validate', '--bogus', 'x']), {
    code: 64,
    stdout: '',
    stderr:
      "carryall: Unknown option '--bogus'\nusage: carryall validate FILE… [options]\nfor more: carryall help validate\n",
  });
  assert.equal((await run([])).code, 64);
});

test('the script works from anywhere and by a link, and leaves --env-file to the command', async () => {
  using folder = createTestFolder();
  const link = join(folder.path, 'linked');
  symlinkSync(SCRIPT, link);
  const manifest: unknown = JSON.parse(await readProjectFile('package.json'));
  assert.ok(typeof manifest === 'object' && manifest !== null && 'version' in manifest && 'bin' in manifest);
  assert.deepEqual(manifest.bin, { carryall: './cli/carryall' });
  const { stdout } = await run(['--version'], { cwd: folder.path, program: link });
  assert.equal(stdout, `carryall ${String(manifest.version)}\n`);
  const missing = await run(['validate', '--env-file', 'gone.env', '-'], {
    cwd: folder.path,
    program: SCRIPT,
  });
  assert.deepEqual(
    [missing.code, missing.stderr],
    [1, 'carryall: gone.env cannot be read: there is no such file\n'],
  );
  assert.match((await run(['--help'])).stdout, /^ {2}validate /m);
});

test('on a terminal there are colours, unless the user wants none', async (t) => {
  using folder = createTestFolder();
  folder.write('bad.yaml', bad);
  const onTerminal = async (environment: string): Promise<string> => {
    const command = `env -u NO_COLOR TERM=xterm ${environment} ${SCRIPT} validate bad.yaml`;
    const args = ['--quiet', '--command', command, '/dev/null'];
    return (await promisify(execFile)('script', args, { cwd: folder.path })).stdout;
  };
  try {
    await promisify(execFile)('script', ['--version']);
  } catch {
    t.skip('there is no program "script" (util-linux), which makes a terminal');
    return;
  }
  const coloured = await onTerminal('');
  assert.ok(coloured.startsWith('\u001B[1mbad.yaml:5:12:\u001B[0m there is no pipeline'), coloured);
  assert.ok(coloured.endsWith('1 file, 1 error, 0 warnings\r\n'));
  for (const environment of ['NO_COLOR=1', 'TERM=dumb']) {
    assert.ok((await onTerminal(environment)).startsWith('bad.yaml:5:12: there is no pipeline'));
  }
  assert.ok((await onTerminal('NO_COLOR=')).startsWith('\u001B[1m'), 'an empty variable says nothing');
});
