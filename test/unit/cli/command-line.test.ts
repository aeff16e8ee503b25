import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FilesInvocation, type Invocation, readCommandLine } from '../../../cli/command-line.ts';
import { commandHelp, generalHelp } from '../../../cli/help.ts';
import { COMMAND_NAMES, COMMANDS, OPTIONS, type OptionDescription } from '../../../cli/options.ts';
import { ARCHITECTURE_NAMES } from '../../../shared/build-file/index.ts';
import { readProjectFile } from '../house/sources.ts';

function files(line: string): FilesInvocation {
  const invocation = readCommandLine(line.split(' '));
  assert.ok(invocation.kind === 'files', JSON.stringify(invocation));
  return invocation;
}

function complaint(line: string): string {
  const invocation: Invocation = readCommandLine(line.split(' ').filter((word) => word !== ''));
  assert.ok(invocation.kind === 'wrong', JSON.stringify(invocation));
  return invocation.message;
}

test('validate without options checks for the two usual architectures and prints text', () => {
  assert.deepEqual(files('validate a.yaml b.yaml'), {
    kind: 'files',
    command: 'validate',
    paths: ['a.yaml', 'b.yaml'],
    architectures: ['x86_64', 'aarch64'],
    pipelineFolders: [],
    buildOptions: [],
    varsFile: undefined,
    environmentFiles: [],
    commit: undefined,
    libcFlavor: 'gnu',
    output: 'text',
    jobs: undefined,
    repositories: [],
    keys: [],
    packages: [],
    lock: undefined,
  });
});

test('options may stand before, between and behind the files, and be repeated', () => {
  const line =
    'compile --arch arm64 a.yaml --pipeline-dir p --pipeline-dir=q --env-file e --env-file f -- -b.yaml';
  const { architectures, paths, pipelineFolders, environmentFiles, output } = files(line);
  assert.deepEqual(architectures, ['aarch64']);
  assert.deepEqual(paths, ['a.yaml', '-b.yaml']);
  assert.deepEqual(
    [pipelineFolders, environmentFiles],
    [
      ['p', 'q'],
      ['e', 'f'],
    ],
  );
  assert.equal(output, 'yaml');
  assert.equal(files('validate -o json -j 3 x').jobs, 3);
});

test('architectures are taken by either name, as a list, all of them, or that of this machine', () => {
  assert.deepEqual(files('validate x --arch amd64,s390x --arch x86_64').architectures, ['x86_64', 's390x']);
  assert.deepEqual(files('validate x --arch all').architectures, ARCHITECTURE_NAMES);
  assert.equal(files('compile x --arch host').architectures.length, 1);
});

test('what is wrong with the arguments is said, with the word that was probably meant', () => {
  const complaints: readonly (readonly [line: string, message: RegExp])[] = [
    ['', /^no command given$/],
    ['valdate x', /^there is no command "valdate"; did you mean "validate"\?$/],
    ['validate', /^no FILE given$/],
    ['validate - -', /^- can be given only once$/],
    ['validate x --arch x86-64', /^there is no architecture "x86-64"; did you mean "x86_64"\?$/],
    ['validate x --arch vax', /known are x86, /],
    ['validate x --outputt json', /^Unknown option '--outputt'$/],
    ['validate x --output yaml', /^--output is text or json$/],
    ['validate x --libc musl', /^Unknown option '--libc'$/],
    ['validate x --jobs 0', /^--jobs is a number from 1 to 256$/],
    ['validate x --jobs many', /^--jobs is a number from 1 to 256$/],
    ['validate x --arch', /^Option '--arch <value>' argument missing$/],
    ['compile x', /^--arch is missing$/],
    ['compile x --arch x86 --libc glibc', /^--libc is gnu or musl$/],
    ['schema x', /^"x" is one argument too many$/],
  ];
  for (const [line, message] of complaints) assert.match(complaint(line), message, line);
});

test('help and version are asked for in the usual ways', () => {
  for (const line of ['help', '--help', '-h']) {
    assert.deepEqual(readCommandLine([line]), { kind: 'help', command: undefined });
  }
  for (const line of [
    ['help', 'compile'],
    ['compile', '--help'],
    ['compile', 'x', '-h'],
  ]) {
    assert.deepEqual(readCommandLine(line), { kind: 'help', command: 'compile' });
  }
  assert.deepEqual(readCommandLine(['--version']), { kind: 'version' });
  assert.deepEqual(readCommandLine(['schema', '--pipeline']), { kind: 'schema', of: 'pipeline-file' });
});

test('the help names every command and every option, in lines that fit a terminal', () => {
  for (const name of COMMAND_NAMES) {
    assert.match(generalHelp(), new RegExp(`^ {2}${name} `, 'm'));
    const help = commandHelp(name);
    for (const option of COMMANDS[name].options) assert.match(help, new RegExp(`--${option}\\b`));
    assert.ok(help.startsWith(`usage: ${COMMANDS[name].usage}\n`));
    for (const line of help.split('\n')) assert.ok(line.length <= 100, line);
  }
});

test('docs/cli.md has every command with each of its options', async () => {
  const document = (await readProjectFile('docs/cli.md')).replaceAll('\\|', '|');
  for (const name of COMMAND_NAMES) {
    const { usage, options } = COMMANDS[name];
    assert.ok(document.includes(`\`${usage}\``), usage);
    for (const option of options) {
      const { value }: OptionDescription = OPTIONS[option];
      const shown = value === undefined ? `--${option}` : `--${option} ${value}`;
      assert.ok(document.includes(shown), `${name}: ${shown}`);
    }
  }
});
