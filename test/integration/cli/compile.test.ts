import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadAll } from 'js-yaml';
import { compileBuildFile, melangeYaml, parseBuildFile } from '../../../shared/build-file/index.ts';
import { buildFileSchema, pipelineFileSchema } from '../../../shared/build-file/json-schema.ts';
import { buildFile, createTestFolder } from '../../unit/cli/files.ts';
import { run, SCRIPT } from './command.ts';

const corpus = fileURLToPath(new URL('../../../../shared/corpus/wolfi', import.meta.url));
const skip = existsSync(corpus) ? false : 'the corpus is not beside the project';

const good = buildFile('good', '{runs: "echo ${{build.arch}}", needs: {packages: [sed]}}');

test('the compiled file is a build file that needs no pipelines and does the same', async () => {
  const fixture = fileURLToPath(new URL('../../fixtures/build-files/lantern.yaml', import.meta.url));
  const { code, stdout, stderr } = await run(['compile', fixture, '--arch', 'x86_64']);
  assert.deepEqual([stderr, code], ['', 0]);
  const compile = (file: string, text: string) => {
    const { buildFile: parsed } = parseBuildFile({ file, text });
    assert.ok(parsed);
    const { plan } = compileBuildFile(parsed, { arch: 'x86_64', lookup: () => undefined });
    assert.ok(plan);
    return plan;
  };
  const [before, after] = [compile(fixture, readFileSync(fixture, 'utf8')), compile('compiled.yaml', stdout)];
  const locked = { packages: ['x=1'], repositories: [] };
  assert.equal(melangeYaml(after, locked), melangeYaml(before, locked));
  assert.deepEqual(after.environment, before.environment);
});

test('several files and architectures are a stream of YAML documents, or lines of JSON', async () => {
  using folder = createTestFolder();
  folder.write('a.yaml', good);
  folder.write('b.yaml', good.replace('name: good', 'name: other'));
  const args = ['compile', 'a.yaml', 'b.yaml', '--arch', 'x86_64,aarch64'];
  const yaml = await run(args, { cwd: folder.path });
  assert.ok(yaml.stdout.startsWith('package:\n'));
  const documents = loadAll(yaml.stdout);
  assert.deepEqual(
    documents.map((one) => JSON.stringify(one)),
    ['good', 'other'].flatMap((name) =>
      ['x86_64', 'aarch64'].map((arch) =>
        JSON.stringify({
          package: { name, version: '1.2.3' },
          environment: { contents: { packages: ['sed'] }, archs: [arch] },
          pipeline: [{ runs: `echo ${arch}` }],
        }),
      ),
    ),
  );
  const json = await run([...args, '--output', 'json'], { cwd: folder.path });
  const lines = json.stdout.trimEnd().split('\n');
  assert.equal(lines.length, 4);
  assert.ok(
    lines[1]?.startsWith('{"file":"a.yaml","arch":"aarch64","plan":{"name":"good","version":"1.2.3"'),
  );
  const { buildFile: parsed } = parseBuildFile({ file: 'a.yaml', text: good });
  assert.ok(parsed);
  const { plan } = compileBuildFile(parsed, { arch: 'aarch64', lookup: () => undefined });
  assert.deepEqual(JSON.parse(lines[1] ?? ''), { file: 'a.yaml', arch: 'aarch64', plan });
});

test('a file with errors leaves nothing on standard output, and the others are printed', async () => {
  using folder = createTestFolder();
  folder.write('good.yaml', good);
  folder.write('bad.yaml', buildFile('bad', '{uses: fetsch}'));
  const args = ['compile', 'bad.yaml', 'good.yaml', 'gone.yaml', '--arch', 'x86_64', '-o', 'json'];
  const { code, stdout, stderr } = await run(args, { cwd: folder.path });
  assert.equal(code, 2);
  assert.deepEqual(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => /^\{"file":"([^"]*)"/.exec(line)?.[1]),
    ['good.yaml'],
  );
  assert.match(stderr, /^bad\.yaml:5:12: there is no pipeline named "fetsch"$/m);
  assert.match(stderr, /^gone\.yaml: cannot be read: there is no such file$/m);
  assert.match(stderr, /^3 files, 1 error, 0 warnings, 1 could not be read$/m);
});

test('an architecture that a file is not made for is passed over with a notice', async () => {
  const stdin = good.replace('version: 1.2.3', 'version: 1.2.3\n  target-architecture: [arm64]');
  assert.deepEqual(await run(['compile', '-', '--arch', 'x86_64'], { stdin }), {
    code: 0,
    stdout: '',
    stderr: '<stdin>: skipped: good is built for arm64, not for x86_64\n',
  });
});

test('options, vars, environment files, commit and C library are given to the build', async () => {
  using folder = createTestFolder();
  folder.write('my.vars', 'who: vars file\n');
  folder.write('1.env', 'A=first\nB=first\nNODE_OPTIONS=--nonsense\n');
  folder.write('2.env', 'B=second\nC="${B}, too"\n');
  const text = `package: {name: x, version: 1}
environment: {environment: {A: build file}}
vars: {who: build file}
options: {fast: {environment: {contents: {packages: {add: [ccache]}}}}}
pipeline: [{runs: "\${{vars.who}} \${{options.fast.enabled}} \${{host.triplet.gnu}}"}]
`;
  const args = [
    'compile',
    '-',
    '--arch',
    'amd64',
    '--option',
    'fast',
    '--commit',
    'c0ffee',
    '--libc',
    'musl',
  ];
  args.push('--vars-file', 'my.vars', '--env-file', '1.env', '--env-file', '2.env');
  const { stdout, stderr } = await run(args, { cwd: folder.path, stdin: text, program: SCRIPT });
  assert.equal(stderr, '');
  const [document] = loadAll(stdout);
  assert.deepEqual(document, {
    package: { name: 'x', version: '1', commit: 'c0ffee' },
    environment: {
      contents: { packages: ['ccache'] },
      environment: { A: 'build file', B: 'first', C: 'second, too', NODE_OPTIONS: '--nonsense' },
      archs: ['x86_64'],
    },
    pipeline: [{ runs: 'vars file true x86_64-pc-linux-musl' }],
    vars: { who: 'vars file' },
    options: { fast: { environment: { contents: { packages: { add: ['ccache'] } } } } },
  });
});

test('every real build file compiles, threads or not', { skip }, async () => {
  const args = ['compile', corpus, '--arch', 'aarch64', '--output', 'json', '--jobs'];
  const [alone, together] = await Promise.all([run([...args, '1']), run([...args, '2'])]);
  assert.equal(alone.code, 0, alone.stderr);
  assert.ok(alone.stdout.split('\n').length > 290);
  assert.ok(together.stdout === alone.stdout);
  assert.equal(together.stderr, alone.stderr);
});

test('schema prints the schema', async () => {
  const [build, pipeline] = await Promise.all([run(['schema']), run(['schema', '--pipeline'])]);
  assert.deepEqual(JSON.parse(build.stdout), JSON.parse(JSON.stringify(buildFileSchema())));
  assert.deepEqual(JSON.parse(pipeline.stdout), JSON.parse(JSON.stringify(pipelineFileSchema())));
});
