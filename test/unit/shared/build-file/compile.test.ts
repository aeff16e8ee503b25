import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  compileBuildFile,
  parseArchitecture,
  parseBuildFile,
  pipelineNames,
} from '../../../../shared/build-file/index.ts';
import { compiled, fixture, lines, parsed, pipelines, problems, scripts, withPackage } from './language.ts';

const greet = pipelines({ greet: fixture('pipelines/greet.yaml').text });

describe('the worked example', () => {
  const { text } = fixture('demo.yaml');

  test('on aarch64 the greeting is written in src, and subpackages are empty but emitted in order', () => {
    const plan = compiled(text, { arch: 'aarch64', lookup: greet });
    assert.equal(plan.fullVersion, '2.40-r3');
    assert.deepEqual(
      plan.packages.map((one) => [one.name, one.dependencies.providerPriority, one.steps.length]),
      [
        ['demo', undefined, 1],
        ['demo-at', 10, 0],
        ['demo-de', 20, 0],
      ],
    );
    const step = plan.packages[0]?.steps[0];
    assert.equal(step?.script, 'echo "lite" > /home/build/melange-out/demo/hello');
    assert.equal(step?.workingDirectory, '/home/build/src');
    assert.equal(step?.name, 'greet');
    assert.deepEqual(step?.position, { file: 'pipelines/greet.yaml', line: 12, column: 5 });
    assert.deepEqual(step?.origin, { file: 'build.yaml', line: 8, column: 5 });
    assert.deepEqual(plan.environment.packages, ['coreutils']);
  });

  test('on x86_64 the subpackages make the file named by the transform', () => {
    const plan = compiled(text, { lookup: greet });
    assert.deepEqual(
      plan.packages[1]?.steps.map((step) => step.script),
      ['touch /home/build/melange-out/demo-at/2_40'],
    );
  });

  test('without the required input, and with an unknown one, it does not compile', () => {
    const without = text.replace('with: {who: "${{vars.flavour}}"}', 'with: {}');
    assert.deepEqual(lines(problems(without, { lookup: greet })), [
      '10:9 missing-value the pipeline greet needs the input "who"',
    ]);
    const unknown = text.replace('{who: "${{vars.flavour}}"}', '{who: a, whom: b}');
    assert.deepEqual(lines(problems(unknown, { lookup: greet })), [
      '11:24 unknown-key the pipeline greet has no input "whom"',
    ]);
  });

  test('a misspelled range variable in a name is an error', () => {
    const { diagnostics } = parseBuildFile({
      file: 'f',
      text: text.replace('demo-${{range.key}}', 'demo-${{range.kex}}'),
    });
    assert.equal(diagnostics[0]?.code, 'unknown-variable');
  });
});

describe('inputs', () => {
  const outer = (inner: string): string =>
    `inputs: {x: {default: outer-x}, y: {default: outer-y}}\npipeline:\n  - uses: inner\n    with: ${inner}\n`;
  const inner =
    'inputs: {x: {default: inner-x}, z: {default: inner-z}}\npipeline:\n  - runs: ${{inputs.x}} ${{inputs.y}} ${{inputs.z}}\n';
  const run = (call: string, given: string): string[] =>
    scripts(
      compiled(withPackage(`pipeline:\n  - uses: outer\n    with: ${given}\n`), {
        lookup: pipelines({ outer: outer(call), inner }),
      }),
    );

  test('a declared input never inherits, an undeclared one of the enclosing pipeline is seen', () => {
    assert.deepEqual(run('{}', '{x: given, y: passed}'), ['inner-x passed inner-z']);
  });

  test('a forward of the same name takes the value of the enclosing pipeline', () => {
    assert.deepEqual(run('{x: "${{inputs.x}}"}', '{x: given}'), ['given outer-y inner-z']);
    assert.deepEqual(run('{x: "${{inputs.x}}!", z: "${{inputs.y}}"}', '{}'), ['outer-x! outer-y outer-y']);
  });

  test('an empty argument means the default', () => {
    assert.deepEqual(run('{x: "", z: ""}', '{}'), ['inner-x outer-y inner-z']);
  });

  test('siblings may be referred to in any order and through each other, but not in circles', () => {
    const chain =
      'inputs: {a: {default: "${{inputs.b}}1"}, b: {default: "${{inputs.c}}2"}, c: {default: "${{package.name}}"}}\npipeline: [{runs: "${{inputs.a}}"}]\n';
    const text = withPackage('pipeline: [{uses: chain}]\n');
    assert.deepEqual(scripts(compiled(text, { lookup: pipelines({ chain }) })), ['thing21']);
    const circle = chain.replace('${{package.name}}', '${{inputs.a}}');
    const [problem] = problems(text, { lookup: pipelines({ chain: circle }) });
    assert.match(problem?.message ?? '', /a → b → c → a/);
  });

  test('needs, conditions and working directories of a pipeline file see its inputs', () => {
    const lookup = pipelines({
      p: [
        'inputs: {package: {default: go}, on: {default: "true"}}',
        'needs: {packages: ["${{inputs.package}}"]}',
        'pipeline:',
        `  - if: \${{inputs.on}} == 'true'`,
        '    working-directory: ${{inputs.package}}',
        '    runs: build',
        '    needs: {packages: [nested]}',
        '',
      ].join('\n'),
    });
    const on = compiled(withPackage('pipeline: [{uses: p, with: {package: go-1.25}}]\n'), { lookup });
    assert.deepEqual(on.environment.packages, ['go-1.25', 'nested']);
    assert.equal(on.packages[0]?.steps[0]?.workingDirectory, '/home/build/go-1.25');
    const off = compiled(withPackage('pipeline: [{uses: p, with: {on: "no"}}]\n'), { lookup });
    assert.deepEqual(off.environment.packages, ['go']);
    assert.deepEqual(off.packages[0]?.steps, []);
  });

  test('digests are checked after their variables are replaced, in either case', () => {
    const commit = 'ABCDEF0123456789abcdef0123456789abcdef01';
    const text = (value: string): string =>
      withPackage(
        `vars: {c: ${value}}\npipeline: [{uses: git-checkout, with: {repository: r, expected-commit: "\${{vars.c}}"}}]\n`,
      );
    assert.deepEqual(problems(text(commit)), []);
    assert.match(problems(text('abc'))[0]?.message ?? '', /expected-commit has 40 hexadecimal digits/);
    assert.match(problems(text(`${commit.slice(1)}g`))[0]?.message ?? '', /other characters/);
  });
});

describe('pipeline files', () => {
  test('a local file shadows a built-in one, unknown keys are ignored, an empty file does nothing', () => {
    const lookup = pipelines({ fetch: 'whatever: 1\npipeline: [{runs: mine, odd: true}]\n', nothing: '' });
    const plan = compiled(withPackage('pipeline: [{uses: fetch}, {uses: nothing}]\n'), { lookup });
    assert.deepEqual(scripts(plan), ['mine']);
    assert.deepEqual(plan.environment.packages, []);
  });

  test('a broken file is reported at the step with the place inside the file', () => {
    const [problem] = problems(withPackage('pipeline: [{uses: bad}]\n'), {
      lookup: pipelines({ bad: 'name: a\nname: b\n' }),
    });
    assert.equal(problem?.code, 'unknown-pipeline');
    assert.match(problem?.message ?? '', /pipelines\/bad\.yaml:2:1: the key "name" stands twice/);
  });

  test('the file wins over the step, environments and needs are joined, the name stays', () => {
    const lookup = pipelines({
      p: 'name: ignored\nenvironment: {A: file, C: file}\nneeds: {packages: [f]}\nruns: own\npipeline: [{runs: child}]\n',
    });
    const plan = compiled(
      withPackage(
        'pipeline:\n  - name: mine\n    uses: p\n    environment: {A: step, B: step}\n    needs: {packages: [s]}\n    working-directory: w\n',
      ),
      { lookup },
    );
    assert.deepEqual(plan.environment.packages, ['f', 's']);
    assert.deepEqual(
      plan.packages[0]?.steps.map((step) => [
        step.name,
        step.script,
        step.environment,
        step.workingDirectory,
      ]),
      [
        ['mine', 'own', { A: 'file', B: 'step', C: 'file' }, '/home/build/w'],
        ['mine', 'child', { A: 'file', B: 'step', C: 'file' }, '/home/build/w'],
      ],
    );
  });

  test('pipelines that use each other, and that double at each level, are stopped', () => {
    const [circle] = problems(withPackage('pipeline: [{uses: a}]\n'), {
      lookup: pipelines({ a: 'pipeline: [{uses: b}]\n', b: 'pipeline: [{uses: a}]\n' }),
    });
    assert.match(circle?.message ?? '', /a → b → a/);
    const doubling = Object.fromEntries(
      Array.from({ length: 30 }, (_, level) => [
        `p${level}`,
        `pipeline: [{uses: p${level + 1}}, {uses: p${level + 1}}]\n`,
      ]),
    );
    const started = performance.now();
    const [large] = problems(withPackage('pipeline: [{uses: p0}]\n'), {
      lookup: pipelines({ ...doubling, p30: '' }),
    });
    assert.equal(large?.code, 'build-file-too-large');
    assert.ok(performance.now() - started < 5_000);
  });

  test('the names that are needed are found through other files, tests and false conditions', () => {
    const buildFile = parsed(
      withPackage(
        [
          'pipeline: [{uses: a}, {uses: fetch}]',
          'test: {pipeline: [{uses: t/one}]}',
          `subpackages: [{name: s, pipeline: [{if: "'a' == 'b'", uses: missing}], test: {pipeline: [{uses: ../out}]}}]`,
          '',
        ].join('\n'),
      ),
    );
    const found = pipelineNames(buildFile, pipelines({ a: 'pipeline: [{pipeline: [{uses: deep}]}]\n' }));
    assert.deepEqual(found.names, ['../out', 'a', 'deep', 'fetch', 'missing', 't/one']);
    assert.deepEqual(found.unresolved, ['../out', 'deep', 'missing', 't/one']);
  });
});

describe('steps', () => {
  test('nested steps inherit directory and environment to any depth, the parent runs first', () => {
    const plan = compiled(
      withPackage(
        [
          'pipeline:',
          '  - working-directory: a',
          '    environment: {X: "1", Y: "1"}',
          '    runs: parent',
          '    pipeline:',
          '      - pipeline:',
          '          - environment: {Y: "2"}',
          '            runs: deep',
          '      - working-directory: /abs/../other',
          '        runs: other',
          '',
        ].join('\n'),
      ),
    );
    assert.deepEqual(
      plan.packages[0]?.steps.map((step) => [step.script, step.workingDirectory, step.environment]),
      [
        ['parent', '/home/build/a', { X: '1', Y: '1' }],
        ['deep', '/home/build/a', { X: '1', Y: '2' }],
        ['other', '/other', { X: '1', Y: '1' }],
      ],
    );
  });

  test('a step without a fragment is kept only where it makes a directory nobody else makes', () => {
    const plan = compiled(
      withPackage(
        'pipeline:\n  - {working-directory: made}\n  - {working-directory: used, pipeline: [{runs: x}]}\n  - {name: nothing}\n',
      ),
    );
    assert.deepEqual(
      plan.packages[0]?.steps.map((step) => [step.script, step.workingDirectory]),
      [
        ['', '/home/build/made'],
        ['x', '/home/build/used'],
      ],
    );
  });

  test('a step whose condition is false takes its children and needs with it', () => {
    const plan = compiled(
      withPackage(
        `pipeline:\n  - if: \${{build.arch}} == 'other'\n    needs: {packages: [n]}\n    pipeline:\n      - {runs: x, needs: {packages: [m]}}\n`,
      ),
    );
    assert.deepEqual(plan.packages[0]?.steps, []);
    assert.deepEqual(plan.environment.packages, []);
  });

  test('environment values, names and labels are not replaced when compiling', () => {
    const plan = compiled(
      withPackage(
        'pipeline:\n  - {name: "n ${{build.arch}}", environment: {A: "${{build.arch}}", B: "${{package.name}}"}, runs: x}\n',
      ),
    );
    const step = plan.packages[0]?.steps[0];
    assert.deepEqual(
      [step?.name, step?.environment],
      ['n ${{build.arch}}', { A: '${{build.arch}}', B: 'thing' }],
    );
  });

  test('every variable has its value in main and subpackages', () => {
    const names = [
      'package.name package.version package.epoch package.full-version package.srcdir',
      'targets.outdir targets.destdir targets.contextdir targets.package.sub context.name',
      'host.triplet.gnu host.triplet.rust cross.triplet.gnu.musl cross.triplet.rust.glibc build.arch build.goarch',
    ]
      .join(' ')
      .split(' ');
    const line = names.map((name) => `\${{${name}}}`).join(' ');
    const plan = compiled(
      withPackage(
        `pipeline: [{runs: "${line}"}]\nsubpackages: [{name: sub, pipeline: [{runs: "\${{subpkg.name}} \${{targets.subpkgdir}} \${{context.name}} \${{targets.contextdir}} \${{targets.destdir}}"}]}]\n`,
      ),
      { arch: 'armv7', libcFlavor: 'musl' },
    );
    assert.equal(
      scripts(plan)[0],
      'thing 1.2.3 0 1.2.3-r0 /home/build /home/build/melange-out /home/build/melange-out/thing /home/build/melange-out/thing ' +
        '/home/build/melange-out/sub thing armv7l-unknown-linux-musleabihf armv7-unknown-linux-musleabihf ' +
        'armv7l-unknown-linux-musleabihf armv7-unknown-linux-gnueabihf armv7 arm/v7',
    );
    assert.equal(
      plan.packages[1]?.steps[0]?.script,
      'sub /home/build/melange-out/sub sub /home/build/melange-out/sub /home/build/melange-out/thing',
    );
    assert.equal(
      problems(withPackage('pipeline: [{runs: "${{subpkg.name}}"}]\n'))[0]?.code,
      'unknown-variable',
    );
  });

  test('values of variables are inserted as they are', () => {
    const plan = compiled(
      withPackage(
        `vars: {odd: "a \\"b\\" $c \\\\ \`d\` $& $1"}\npipeline: [{runs: "\${{ vars.odd }}|\${{vars.odd}}"}]\n`,
      ),
    );
    assert.deepEqual(scripts(plan), ['a "b" $c \\ `d` $& $1|a "b" $c \\ `d` $& $1']);
  });

  test('variables that multiply are stopped', () => {
    const vars = Array.from({ length: 40 }, (_, level) =>
      level === 0 ? '  v0: xxxxxxxxxx' : `  v${level}: \${{vars.v${level - 1}}}\${{vars.v${level - 1}}}`,
    );
    const [problem] = problems(withPackage(`vars:\n${vars.join('\n')}\n`));
    assert.equal(problem?.code, 'build-file-too-large');
  });
});

describe('the plan', () => {
  test('knows repositories that are for building only from those that an environment keeps', () => {
    const { environment } = compiled(
      'package: {name: a, version: 1}\n' +
        'environment: {contents: {build_repositories: [https://b.example], repositories: [https://a.example]}}\n',
    );
    assert.deepEqual(environment.repositories, ['https://a.example', 'https://b.example']);
    assert.deepEqual(environment.keptRepositories, ['https://a.example']);
  });

  const plan = compiled(fixture('lantern.yaml').text, { commit: 'abc', sourceDateEpoch: 0 });

  test('has the metadata of every package, subpackages inheriting only version, licence and commit', () => {
    const [main, data, dev] = plan.packages;
    assert.equal(plan.packages.length, 3);
    assert.equal(plan.timeoutMs, 5_400_000);
    assert.equal(main?.description, 'lights up terminals');
    assert.equal(main?.url, 'https://lantern.example/1.10');
    assert.deepEqual(main?.dependencies.runtime, ['lantern-data=1.10-r2']);
    assert.deepEqual(main?.scriptlets.scripts, { 'post-install': '#!/bin/sh\necho lantern is here\n' });
    assert.deepEqual(main?.scriptlets.trigger, { script: 'refresh', paths: ['/usr/share/lantern'] });
    assert.deepEqual(main?.setcap, [
      { path: 'usr/bin/lantern', add: { cap_net_admin: '+ep', cap_net_raw: '+ep' } },
    ]);
    assert.deepEqual(main?.checksDisabled, ['empty']);
    assert.deepEqual(main?.cpe, { vendor: 'lantern', product: 'lantern' });
    assert.equal(data?.description, 'data for lantern');
    assert.equal(data?.url, '');
    assert.equal(data?.fullVersion, '1.10-r2');
    assert.equal(data?.commit, 'abc');
    assert.equal(data?.copyright[0]?.license, 'Apache-2.0');
    assert.equal(dev?.outputDirectory, '/home/build/melange-out/lantern-dev');
    assert.deepEqual(dev?.dependencies.runtime, ['lantern']);
  });

  test('has one environment with what all pipelines need, sorted, also for subpackages not built', () => {
    assert.deepEqual(
      plan.environment.packages,
      'autoconf automake bash binutils build-base busybox libtool make patch qemu scanelf wget'.split(' '),
    );
    assert.deepEqual(plan.environment.repositories, ['https://packages.example/os']);
    assert.deepEqual(plan.environment.keyring, ['https://packages.example/os.rsa.pub']);
    assert.deepEqual(plan.environment.capabilities, { add: ['CAP_NET_RAW'], drop: [] });
    assert.deepEqual(plan.environment.variables, {
      CFLAGS: '-O2',
      COMPOSER_CACHE_DIR: '/var/cache/melange/composer',
      GOMODCACHE: '/var/cache/melange/gomodcache',
      GOPATH: '/go',
      HOME: '/home/build',
      PIP_CACHE_DIR: '/var/cache/melange/pip',
      SOURCE_DATE_EPOCH: '315532800',
      UV_CACHE_DIR: '/var/cache/melange/uv',
      npm_config_cache: '/var/cache/melange/npm',
    });
    assert.deepEqual(plan.environment.accounts, {
      runAs: '',
      users: [{ name: 'build', uid: 1000, gid: 1000, home: '/home/build', shell: '/bin/sh' }],
      groups: [{ name: 'build', gid: 1000, members: ['build'] }],
    });
  });

  test('tests have environments of their own', () => {
    const [main, data, dev] = plan.packages;
    assert.deepEqual(main?.test?.environment.packages, ['bash', 'lantern']);
    assert.deepEqual(main?.test?.environment.repositories, []);
    assert.equal(main?.test?.environment.variables['CFLAGS'], 'none');
    assert.equal(main?.test?.environment.variables['HOME'], '/home/build');
    assert.equal(main?.test?.environment.variables['SOURCE_DATE_EPOCH'], undefined);
    assert.deepEqual(main?.test?.steps[0]?.script, 'lantern --version | grep 1.10');
    assert.equal(data?.test, undefined);
    assert.deepEqual(dev?.test?.environment.packages, ['lantern-dev', 'pkgconf']);
  });

  test('names the files that patches need', () => {
    assert.deepEqual(
      plan.requiredFiles.map((one) => [one.path, one.position.line]),
      [
        ['one.patch', 56],
        ['sub/two.patch', 56],
      ],
    );
    const elsewhere = compiled(
      withPackage(
        [
          'pipeline:',
          '  - working-directory: src',
          '    pipeline:',
          '      - {uses: patch, with: {series: series}}',
          '      - {uses: patch, with: {patches: "/home/build/x.patch ../y.patch /tmp/z.patch"}}',
          `      - {if: "'a' == 'b'", uses: patch, with: {patches: never}}`,
          '',
        ].join('\n'),
      ),
    );
    assert.deepEqual(
      elsewhere.requiredFiles.map((one) => one.path),
      ['src/series', 'x.patch', 'y.patch'],
    );
  });

  test('is plain data and the same every time', () => {
    const again = compiled(fixture('lantern.yaml').text, { commit: 'abc', sourceDateEpoch: 0 });
    assert.equal(JSON.stringify(again), JSON.stringify(plan));
    assert.deepEqual(JSON.parse(JSON.stringify(plan)), plan);
  });

  test('a build file that sets SOURCE_DATE_EPOCH keeps it, and later dates stay', () => {
    const set = withPackage('environment: {environment: {SOURCE_DATE_EPOCH: "5"}}\n');
    assert.equal(compiled(set, { sourceDateEpoch: 9e8 }).environment.variables['SOURCE_DATE_EPOCH'], '5');
    assert.equal(
      compiled(withPackage(''), { sourceDateEpoch: 900_000_000 }).environment.variables['SOURCE_DATE_EPOCH'],
      '900000000',
    );
    assert.equal(compiled(withPackage('')).environment.variables['SOURCE_DATE_EPOCH'], undefined);
  });
});

test('an architecture that is not targeted is skipped, whichever name targets it', () => {
  const buildFile = parsed(fixture('lantern.yaml').text);
  assert.ok(compileBuildFile(buildFile, { arch: 'aarch64', lookup: greet }).plan);
  const skipped = compileBuildFile(buildFile, { arch: 'riscv64', lookup: greet });
  assert.equal(skipped.plan, undefined);
  assert.match(skipped.skipped?.reason ?? '', /lantern is built for x86_64, arm64, not for riscv64/);
  assert.ok(compiled(withPackage('  target-architecture: [all]\n'), { arch: 's390x' }));
  assert.equal(parseArchitecture('amd64'), 'x86_64');
  assert.equal(parseArchitecture('loong64'), 'loongarch64');
  assert.equal(parseArchitecture('toString'), undefined);
});

test('build options change packages and the vars that parsing has not replaced, and say that they are enabled', () => {
  const text = withPackage(
    [
      'vars: {mode: plain}',
      'environment: {contents: {packages: [a, b]}}',
      'options:',
      '  fancy: {vars: {mode: fancy}, environment: {contents: {packages: {add: [c], remove: [a, zz]}}}}',
      '  other: {}',
      'pipeline:',
      '  - runs: ${{vars.mode}} ${{ vars.mode }} ${{options.fancy.enabled}} ${{options.other.enabled}}',
      `  - {if: "\${{options.fancy.enabled}} == 'true'", runs: on}`,
      '',
    ].join('\n'),
  );
  const off = compiled(text);
  assert.deepEqual(scripts(off), ['plain plain false false']);
  assert.deepEqual(off.environment.packages, ['a', 'b']);
  const on = compiled(text, { buildOptions: ['fancy', 'undeclared'] });
  assert.deepEqual(scripts(on), ['plain fancy true false', 'on']);
  assert.deepEqual(on.environment.packages, ['b', 'c']);
});
