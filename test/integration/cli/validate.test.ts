import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { buildFile, createTestFolder } from '../../unit/cli/files.ts';
import { run } from './command.ts';

const corpus = fileURLToPath(new URL('../../../../shared/corpus/wolfi', import.meta.url));
const skip = existsSync(corpus) ? false : 'the corpus is not beside the project';

const good = buildFile('good', '{runs: x}');
const bad = buildFile('bad', '{uses: fetsch}');

const jsonLine = z.strictObject({
  file: z.string(),
  valid: z.boolean(),
  diagnostics: z.array(
    z.strictObject({
      code: z.string(),
      severity: z.enum(['error', 'warning']),
      message: z.string(),
      hint: z.string().nullable(),
      file: z.string(),
      line: z.number().nullable(),
      column: z.number().nullable(),
      length: z.number().nullable(),
    }),
  ),
});

function jsonLines(stdout: string): z.infer<typeof jsonLine>[] {
  const lines = stdout.trimEnd().split('\n');
  return lines.map((line) => jsonLine.parse(JSON.parse(line)));
}

test('every real build file is valid for both architectures', { skip }, async () => {
  const { code, stdout, stderr } = await run(['validate', corpus]);
  const files = readdirSync(corpus).filter((name) => name.endsWith('.yaml'));
  assert.deepEqual([stdout, stderr, code], ['', `${files.length} files, 0 errors, 0 warnings\n`, 0]);
});

test('with threads and without, the lines of JSON are those of the files in their order', {
  skip,
}, async () => {
  const [alone, together] = await Promise.all([
    run(['validate', '--output', 'json', '--jobs', '1', corpus]),
    run(['validate', '--output', 'json', '--jobs', '2', corpus]),
  ]);
  assert.equal(together.stdout, alone.stdout);
  const names = jsonLines(alone.stdout).map((line) => line.file);
  assert.deepEqual(names, names.toSorted());
  assert.ok(names.length > 300);
});

test('diagnostics go to standard output, the summary to standard error, and the exit code is 2', async () => {
  using folder = createTestFolder();
  folder.write('good.yaml', good);
  folder.write('bad.yaml', bad);
  const { code, stdout, stderr } = await run(['validate', 'good.yaml', 'bad.yaml'], { cwd: folder.path });
  assert.equal(
    stdout,
    [
      'bad.yaml:5:12: there is no pipeline named "fetsch"',
      '    - {uses: fetsch}',
      '             ^^^^^^',
      '  hint: did you mean "fetch"?',
      '',
    ].join('\n'),
  );
  assert.deepEqual([stderr, code], ['2 files, 1 error, 0 warnings\n', 2]);
});

test('a file that cannot be read is reported in its place, and the others are still looked at', async () => {
  using folder = createTestFolder();
  folder.write('good.yaml', good);
  folder.write('bad.yaml', bad);
  symlinkSync('loop.yaml', join(folder.path, 'loop.yaml'));
  const only = await run(['validate', 'gone.yaml', 'good.yaml'], { cwd: folder.path });
  assert.deepEqual(only, {
    code: 1,
    stdout: 'gone.yaml: cannot be read: there is no such file\n',
    stderr: '2 files, 0 errors, 0 warnings, 1 could not be read\n',
  });
  const both = await run(['validate', '-o', 'json', 'gone.yaml', 'bad.yaml', 'loop.yaml'], {
    cwd: folder.path,
  });
  assert.equal(both.code, 2, 'an invalid file counts more');
  const lines = jsonLines(both.stdout);
  assert.deepEqual(
    lines.map((line) => [line.file, line.valid, line.diagnostics[0]?.code, line.diagnostics[0]?.line]),
    [
      ['gone.yaml', false, 'source-missing', null],
      ['bad.yaml', false, 'unknown-pipeline', 5],
      ['loop.yaml', false, 'source-missing', null],
    ],
  );
});

test('JSON has the documented keys in the documented order', async () => {
  const { stdout } = await run(['validate', '-o', 'json', '-'], { stdin: bad });
  assert.equal(
    stdout,
    '{"file":"<stdin>","valid":false,"diagnostics":[{"code":"unknown-pipeline","severity":"error",' +
      '"message":"there is no pipeline named \\"fetsch\\"","hint":"did you mean \\"fetch\\"?",' +
      '"file":"<stdin>","line":5,"column":12,"length":6}]}\n',
  );
});

test('a folder stands for its build files; without any there is nothing to say yes to', async () => {
  using folder = createTestFolder();
  folder.write('specs/good.yaml', good);
  folder.write('specs/other.yaml', 'steps: []\n');
  folder.write('specs/note.txt', bad);
  folder.write('specs/good/deeper.yaml', bad);
  folder.write('specs/pipelines/local.yaml', 'runs: x\n');
  mkdirSync(join(folder.path, 'specs/folder.yaml'));
  const { stderr, code } = await run(['validate', join(folder.path, 'specs')]);
  assert.deepEqual([stderr, code], ['1 file, 0 errors, 0 warnings\n', 0]);
  const none = await run(['validate', join(folder.path, 'specs/pipelines')]);
  assert.deepEqual([none.stderr, none.code], ['no build files there\n', 1]);
});

test('standard input is a build file whose pipelines lie in the working directory', async () => {
  using folder = createTestFolder();
  folder.write('pipelines/local.yaml', 'runs: x\n');
  folder.write('others/other.yaml', 'runs: x\n');
  const stdin = `${buildFile('x', '{uses: local}')}  - {uses: other}\n`;
  const { stdout, code } = await run(['validate', '-'], { cwd: folder.path, stdin });
  assert.equal(code, 2);
  assert.match(stdout, /^<stdin>:6:12: there is no pipeline named "other"$/m);
  assert.doesNotMatch(stdout, /"local"/);
  const given = await run(['validate', '--pipeline-dir', 'others', '-'], { cwd: folder.path, stdin });
  assert.equal(given.code, 0, given.stdout);
});

test('only the given architectures count', async () => {
  const nested = `{if: "\${{build.arch}} == 's390x'", runs: x}`;
  const stdin = buildFile('x', `{assertions: {required-steps: 1}, pipeline: [${nested}]}`);
  assert.equal((await run(['validate', '-'], { stdin })).code, 2);
  assert.equal((await run(['validate', '-', '--arch', 's390x'], { stdin })).code, 0);
  const elsewhere = stdin.replace('version: 1.2.3', 'version: 1.2.3\n  target-architecture: [s390x]');
  assert.equal((await run(['validate', '-'], { stdin: elsewhere })).code, 0, 'neither is targeted');
});

test('what is given beside the files has to be there', async () => {
  for (const option of ['--env-file', '--vars-file', '--pipeline-dir']) {
    const { code, stdout, stderr } = await run(['validate', option, '/nowhere/x', '-'], { stdin: good });
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^carryall: .*\/nowhere\/x/);
  }
});

test('an endless file is refused, and so is one that is no text', async () => {
  const endless = await run(['validate', '/dev/zero']);
  assert.equal(endless.code, 2);
  assert.match(endless.stdout, /^\/dev\/zero:1:1: the file has [0-9]+ characters, more than/);
  const binary = await run(['validate', process.execPath]);
  assert.equal(binary.code, 2);
});
