import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { shellQuote, stepCommand } from '../../../../shared/build-file/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'step-'));
after(() => rmSync(folder, { recursive: true }));

function run(
  script: string,
  workingDirectory = folder,
): { readonly status: number | null; readonly stdout: string } {
  return spawnSync('bash', ['-c', stepCommand({ script, workingDirectory })], { encoding: 'utf8' });
}

test('the command has exactly this shape', () => {
  assert.equal(
    stepCommand({ script: 'make\n', workingDirectory: '/home/build/a b' }),
    "set -eo pipefail\n[ -d '/home/build/a b' ] || mkdir -p '/home/build/a b'\ncd '/home/build/a b'\nmake\n\nexit 0\n",
  );
  assert.match(
    stepCommand({ script: '', workingDirectory: '/x' }, { trace: 'commands' }),
    /^set -exo pipefail\n/,
  );
});

test('a failing command or pipe fails the step, a false list at the end does not', () => {
  assert.equal(run('false\ntrue').status, 1);
  assert.equal(run('false | true').status, 1);
  assert.equal(run('[ -e /nowhere ] && echo there').status, 0);
  assert.equal(run('exit 7').status, 7);
});

test('a fragment that ends with a backslash or a here-document is not joined with what follows', () => {
  assert.deepEqual(run('echo a \\\n').stdout, 'a\n');
  assert.deepEqual(run('cat <<E\nx\nE').stdout, 'x\n');
});

test('the working directory is made and entered, whatever its name', () => {
  for (const name of ["it's", 'a b', '$(touch injected)', '; touch injected', '-n', 'ü', "'; exit 3; '"]) {
    const directory = join(folder, name);
    assert.deepEqual(run('pwd', directory).stdout.trim(), directory);
    assert.ok(existsSync(directory));
  }
  assert.equal(existsSync('injected'), false);
});

test('a quoted word reads back as it was', () => {
  for (const word of ['', 'plain', "it's", '"', '$HOME', '`x`', 'a\nb', '\\', '*', '~', '#x', 'é']) {
    assert.equal(execFileSync('sh', ['-c', `printf %s ${shellQuote(word)}`], { encoding: 'utf8' }), word);
  }
});
