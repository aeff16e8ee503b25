import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  builtinPipeline,
  builtinPipelineNames,
  type CompileOptions,
  checkShell,
  compileBuildFile,
  formatDiagnostic,
} from '../../../../shared/build-file/index.ts';
import { noPipelines, parsed, pipelines, withPackage } from './language.ts';

/** The shell problems of a build file, each as `line:column message`, with `file` where it is another one. */
async function shellProblems(text: string, options: Partial<CompileOptions> = {}): Promise<string[]> {
  const { fragments } = compileBuildFile(parsed(text), {
    arch: 'x86_64',
    lookup: noPipelines,
    ...options,
  });
  const [diagnostics] = await checkShell([fragments]);
  return (diagnostics ?? []).map(({ position: { file, line, column }, message, code }) => {
    assert.equal(code, 'shell-syntax');
    return `${file === 'build.yaml' ? '' : `${file}:`}${line}:${column} ${message}`;
  });
}

test('a quote that is not closed is found at its line and column', async () => {
  const text = withPackage('pipeline:\n  - runs: |\n      echo one\n      echo "two\n      echo three\n');
  assert.deepEqual(await shellProblems(text), ['7:12 shell syntax: reached EOF without closing quote `"`']);
});

test('the underlined text is the rest of the line in question', async () => {
  const text = withPackage('pipeline:\n  - runs: |\n      if true; then\n        echo )\n      fi\n');
  const { fragments } = compileBuildFile(parsed(text), { arch: 'x86_64', lookup: noPipelines });
  const [[diagnostic] = []] = await checkShell([fragments]);
  assert.ok(diagnostic);
  const [, line, marker] = formatDiagnostic(diagnostic, text).split('\n');
  assert.equal(line, '          echo )');
  assert.equal(marker?.trimEnd().length, line.length);
  assert.equal(marker?.trim(), '^');
});

test('what only another shell takes is found at its place too', async () => {
  assert.deepEqual(
    await shellProblems(withPackage('pipeline:\n  - runs: |\n      true\n      <x { cat; }\n')),
    ['7:7 shell syntax: redirects before compound commands are a zsh feature; tried parsing as bash'],
  );
});

test('everything that bash, and so busybox with its bash features, takes is accepted', async () => {
  const scripts = [
    'for x in a b; do echo $x; done',
    'cat <<END\n$((1 + 2))\nEND',
    '[[ a == b* ]] && echo y || true',
    'diff <(ls) <(ls -a)',
    'a=(1 2 3); echo "${a[@]}"',
    'case $1 in a|b) ;; *) exit 1;; esac',
    'f() { local x="$1"; }; f',
    '# only a remark',
    '',
  ];
  const steps = JSON.stringify(scripts.map((runs) => ({ runs })));
  assert.deepEqual(await shellProblems(withPackage(`pipeline: ${steps}\n`)), []);
});

test('every problem is found, and only there, when fragments are checked together', async () => {
  const good = '{runs: "echo \'fine\'"}';
  const text = withPackage(
    `pipeline:\n  - ${good}\n  - {runs: "echo 'open"}\n  - ${good}\n  - {runs: "(cd x"}\n  - {runs: "fi"}\n  - ${good}\n  - {runs: "echo 'closed'"}\n`,
  );
  const problems = await shellProblems(text);
  assert.deepEqual(
    problems.map((one) => one.split(':')[0]),
    ['6', '8', '9'],
  );
});

test('two open quotes do not make up for each other', async () => {
  for (const quote of ["'", '\\"']) {
    const text = withPackage(`pipeline:\n  - {runs: "echo ${quote}open"}\n  - {runs: "close${quote}"}\n`);
    assert.deepEqual(
      (await shellProblems(text)).map((one) => one.split(':')[0]),
      ['5', '6'],
    );
  }
});

test('a fault of a pipeline file is told at its place there and names the step that uses it', async () => {
  const lookup = pipelines({
    greet: 'inputs:\n  who:\npipeline:\n  - runs: |\n      echo ${{inputs.who}}\n      done\n',
  });
  const text = withPackage('pipeline:\n  - uses: greet\n    with: {who: me}\n');
  const { fragments } = compileBuildFile(parsed(text), { arch: 'x86_64', lookup });
  const [diagnostics] = await checkShell([fragments]);
  assert.deepEqual(
    diagnostics?.map((one) => [one.position.file, one.position.line, one.hint]),
    [['pipelines/greet.yaml', 6, 'used at build.yaml:5:5']],
  );
});

test('arguments that make a good pipeline bad are reported at the arguments', async () => {
  const text = withPackage("pipeline:\n  - uses: autoconf/make\n    with:\n      opts: CFLAGS='-O2\n");
  assert.deepEqual(await shellProblems(text), ["7:7 shell syntax: reached EOF without closing quote `'`"]);
  assert.deepEqual(
    await shellProblems(withPackage('pipeline: [{uses: autoconf/make, with: {opts: "CFLAGS=\'-O2\'"}}]\n')),
    [],
  );
});

test('the fragments of every built-in pipeline are shell', async () => {
  for (const name of builtinPipelineNames()) {
    // As a local pipeline of another name, so that its text is checked whatever was checked before.
    const lookup = pipelines({ 'a-copy': builtinPipeline(name)?.text ?? '' });
    const { fragments } = compileBuildFile(parsed(withPackage('pipeline: [{uses: a-copy}]\n')), {
      arch: 'x86_64',
      lookup,
    });
    const [diagnostics] = await checkShell([fragments]);
    assert.deepEqual(
      diagnostics?.map((one) => one.message),
      [],
      name,
    );
  }
});

test('a pipeline file that is shell only with its arguments in place is accepted with them', async () => {
  const lookup = pipelines({
    odd: 'inputs:\n  keyword: {}\npipeline:\n  - runs: ${{inputs.keyword}} true; then echo; fi\n',
  });
  const use = (keyword: string): Promise<string[]> =>
    shellProblems(withPackage(`pipeline: [{uses: odd, with: {keyword: ${keyword}}}]\n`), { lookup });
  assert.deepEqual(await use('if'), []);
  assert.equal((await use('unless')).length, 1);
  assert.deepEqual(await use('if'), []);
});

test('each group gets its own problems', async () => {
  const groups = ['echo ok', 'echo (', 'echo ok', '"'].map(
    (runs) =>
      compileBuildFile(parsed(withPackage(`pipeline: ${JSON.stringify([{ runs }])}\n`)), {
        arch: 'x86_64',
        lookup: noPipelines,
      }).fragments,
  );
  const found = await checkShell(groups);
  assert.deepEqual(
    found.map((one) => one.length),
    [0, 1, 0, 1],
  );
});

test('a fragment nested beyond the parser is a warning and no crash', async () => {
  const deep = `${'$('.repeat(60_000)}true${')'.repeat(60_000)}`;
  const text = withPackage(`pipeline: ${JSON.stringify([{ runs: deep }, { runs: 'echo "' }])}\n`);
  const { fragments } = compileBuildFile(parsed(text), { arch: 'x86_64', lookup: noPipelines });
  const [diagnostics = []] = await checkShell([fragments]);
  assert.deepEqual(
    diagnostics.map((one) => [one.severity, one.message]),
    [
      ['warning', 'the shell fragment is nested too deeply to be checked'],
      ['error', 'shell syntax: reached EOF without closing quote `"`'],
    ],
  );
});
