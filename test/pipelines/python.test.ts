/** The Python pipelines with Debian's Python, on a small package with a program. Nothing comes from the network. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type BuildOptions, skipReason, startToolchain, type Toolchain } from './toolchain.ts';

const PYPROJECT = `[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "greet"
version = "1.0.0"

[project.scripts]
greet = "greet:main"

[tool.setuptools]
packages = ["greet"]
`;
const SETUP_PY = `from setuptools import setup
setup(name="greet", version="1.0.0", packages=["greet"], entry_points={"console_scripts": ["greet=greet:main"]})
`;
const MODULE = 'greeting = "hello"\n\n\ndef main():\n    print(greeting, "Ada")\n';
const WHEEL_SOURCE = { 'pyproject.toml': PYPROJECT, 'greet/__init__.py': MODULE };
const SETUP_SOURCE = { 'setup.py': SETUP_PY, 'greet/__init__.py': MODULE };

describe('Python', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    toolchain = await startToolchain({
      name: 'python',
      debian: [
        ...['python3', 'python3-build', 'python3-installer', 'python3-setuptools'],
        ...['python3-venv', 'python3-wheel', 'python3-wheel-whl'],
      ],
      own: [
        { name: 'wolfi-base', depends: ['bash', 'busybox-static'] },
        { name: 'py3-build', depends: ['python3-build', 'python3-venv'] },
        { name: 'py3-installer', depends: ['python3-installer'] },
        { name: 'plain-python', depends: ['python3'], links: { 'usr/bin/python': 'python3' } },
        { name: 'second-python', programs: { 'usr/bin/python3.99': '#!/bin/sh\necho "second: $*"\n' } },
      ],
    });
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  test('build-wheel: a project becomes a wheel, which is installed without compiled files', async () => {
    const { files, log } = await toolchain.build(wheelBuild(), { source: WHEEL_SOURCE });
    assert.match(log, /Successfully built greet-1\.0\.0\.tar\.gz and greet-1\.0\.0-py3-none-any\.whl/);
    const names = [...files.keys()];
    assert.ok(names.some((name) => /\/(site|dist)-packages\/greet\/__init__\.py$/.test(name)));
    assert.ok(names.some((name) => /\/greet-1\.0\.0\.dist-info\/METADATA$/.test(name)));
    assert.deepEqual(
      names.filter((name) => name.endsWith('.pyc')),
      [],
    );
    const program = names.find((name) => name.endsWith('/bin/greet')) ?? assert.fail(names.join('\n'));
    assert.equal(files.get(program)?.mode, 0o755);
    assert.match(files.get(program)?.content.toString() ?? '', /^#!\/usr\/bin\/python3\.\d+\n/);
    assert.match(log, /^hello Ada$/m);
  });

  test('build-wheel: a project that does not build ends the step', async () => {
    const { log } = await toolchain.fail(wheelBuild(), { source: { 'pyproject.toml': 'no = [toml\n' } });
    assert.match(log, /pyproject\.toml/);
  });

  test('build and install: setup.py builds, and installs below /usr', async () => {
    const { files, log } = await toolchain.build(
      `${head('plain-python', 'python3-setuptools')}
pipeline:
  - uses: python/build
  - runs: test -e build/lib/greet/__init__.py
  - uses: python/install
${RUN_IT}
`,
      { source: SETUP_SOURCE },
    );
    const names = [...files.keys()];
    assert.ok(names.every((name) => name.startsWith('thing/usr/')));
    assert.ok(names.some((name) => /\/(site|dist)-packages\/greet\/__init__\.py$/.test(name)));
    assert.match(log, /^hello Ada$/m);
  });

  test('build and install: an environment without `python` is named as the cause', async () => {
    for (const name of ['python/build', 'python/install']) {
      const { log } = await toolchain.fail(`${head('python3')}\npipeline: [{uses: ${name}}]\n`, {
        source: SETUP_SOURCE,
      });
      assert.match(log, new RegExp(`${name}: there is no python\\n`));
    }
  });

  test('test: the command is a script of its own, and its failure is the failure of the step', async () => {
    const command = 'command: "answer=6\\nif [ $answer = 6 ]; then\\n  echo it is $answer\\nfi\\n"';
    const passed = await toolchain.build(`${head()}\npipeline: [{uses: python/test, with: {${command}}}]\n`);
    assert.match(passed.log, /^it is 6$/m);
    await toolchain.fail(`${head()}\npipeline: [{uses: python/test, with: {command: "false\\necho on"}}]\n`);
  });

  const importing = (inputs: string, ...packages: readonly string[]): string =>
    `${head(...packages)}\npipeline:\n  - uses: python/import\n    with: {${inputs}}\n`;
  const source = { 'greet/__init__.py': MODULE };
  const options: BuildOptions = { source };

  test('import: each line is tried with the only interpreter, without remarks and empty lines', async () => {
    const imports = 'imports: "import greet\\n\\n  # nothing\\n  from greet import main as m  # a remark\\n"';
    const { log } = await toolchain.build(importing(imports, 'python3'), options);
    assert.deepEqual(verdicts(log), [
      "PASS: /usr/bin/python3.N -c 'import greet'",
      "PASS: /usr/bin/python3.N -c 'from greet import main as m'",
    ]);
  });

  test('import: lines after one that fails are tried too', async () => {
    const imports = 'imports: "import absent\\nimport greet\\nfrom greet import nobody"';
    const { log } = await toolchain.fail(importing(imports, 'python3'), options);
    assert.deepEqual(verdicts(log), [
      "FAIL: /usr/bin/python3.N -c 'import absent'",
      "PASS: /usr/bin/python3.N -c 'import greet'",
      "FAIL: /usr/bin/python3.N -c 'from greet import nobody'",
    ]);
    assert.match(log, /No module named 'absent'/);
    assert.match(log, /imports that failed: 2/);
  });

  test('import: one module, or names of a module', async () => {
    const module = await toolchain.build(importing('import: greet', 'python3'), options);
    assert.deepEqual(verdicts(module.log), ["PASS: /usr/bin/python3.N -c 'import greet'"]);
    const names = await toolchain.build(
      importing('from: greet, import: "main, greeting"', 'python3'),
      options,
    );
    assert.deepEqual(verdicts(names.log), ["PASS: /usr/bin/python3.N -c 'from greet import main, greeting'"]);
  });

  test('import: inputs that contradict each other or name nothing are refused', async () => {
    const refused: readonly [string, RegExp][] = [
      ['import: greet, imports: import greet', /import and imports exclude each other/],
      ['from: greet, imports: import greet', /from and imports exclude each other/],
      ['from: greet', /from needs import/],
      ['imports: "# nothing"', /there is nothing to import/],
      ['python: DEFAULT', /there is nothing to import/],
      ['import: greet, python: python3, venv: made', /python and venv exclude each other/],
      ['import: greet, venv: absent', /there is no absent\/bin\/activate/],
      ['import: greet, python: python2', /there is no python2/],
    ];
    for (const [inputs, message] of refused) {
      const { log } = await toolchain.fail(importing(inputs, 'python3'), options);
      assert.match(log, message);
      assert.deepEqual(verdicts(log), []);
    }
  });

  test('import: the default wants exactly one interpreter, another can be named', async () => {
    const none = await toolchain.fail(importing('import: greet'), options);
    assert.match(none.log, /there is no Python 3 in \/usr\/bin/);
    const both = await toolchain.fail(importing('import: greet', 'python3', 'second-python'), options);
    assert.match(both.log, /there are several: \/usr\/bin\/python3\.\d\d \/usr\/bin\/python3\.99/);
    const named = importing('import: greet, python: python3.99', 'python3', 'second-python');
    const { log } = await toolchain.build(named, options);
    assert.match(log, /second: -c import greet\n/);
    assert.deepEqual(verdicts(log), ["PASS: python3.99 -c 'import greet'"]);
  });

  test('import: a virtual environment has its own interpreter and modules', async () => {
    const text = `${head('python3-venv', 'second-python')}
pipeline:
  - runs: |
      python3 -m venv --without-pip "my venv"
      cp -r greet "$(find "my venv" -name site-packages)/inner"
  - uses: python/import
    with: {venv: my venv, imports: "import inner\\nimport sys; assert sys.prefix.endswith('my venv')"}
  - uses: python/import
    with: {import: inner, python: python3}
`;
    const { log } = await toolchain.fail(text, options);
    assert.deepEqual(verdicts(log), [
      "PASS: my venv/bin/python3 -c 'import inner'",
      "PASS: my venv/bin/python3 -c 'import sys; assert sys.prefix.endswith('my venv')'",
      "FAIL: python3 -c 'import inner'",
    ]);
  });
});

/** A step that runs the installed program with the installed module. */
const RUN_IT = `  - runs: |
      modules="$(dirname "$(find "\${{targets.destdir}}" -type d -name greet)")"
      PYTHONPATH="$modules" python3 -B "$(find "\${{targets.destdir}}" -path '*/bin/greet')"`;

function head(...packages: readonly string[]): string {
  return `package: {name: thing, version: 1.0.0, epoch: 0}
environment:
  contents: {packages: [${['busybox-static', ...packages].join(', ')}]}
  environment: {PIP_NO_INDEX: "1", PIP_FIND_LINKS: /usr/share/python-wheels}`;
}

/** The isolated build takes setuptools from Debian's wheels. */
function wheelBuild(): string {
  return `${head('python3-wheel-whl')}
pipeline:
  - uses: python/build-wheel
${RUN_IT}
`;
}

/** The lines that tell how each import went, with Debian's version of Python as N. */
function verdicts(log: string): string[] {
  const lines = log.match(/^(PASS|FAIL): .*$/gm) ?? [];
  return lines.map((line) => line.replace(/(\/usr\/bin\/python3)\.\d+/, '$1.N'));
}
