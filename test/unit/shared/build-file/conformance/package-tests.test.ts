/** Tests of packages and their environments: lines of the section pkg/build. */
import assert from 'node:assert/strict';
import { compiled, pipelines, scripts, withPackage } from '../language.ts';
import { conforms } from './lines.ts';

const tested = [
  'environment: {contents: {packages: [gcc], repositories: [https://r.example]}, environment: {MODE: build, KEEP: "1"}}',
  'pipeline: [{uses: patch, with: {patches: x}}]',
  'test:',
  '  environment: {contents: {packages: [zsh, bash, thing], repositories: [https://t.example]}, environment: {MODE: test}}',
  '  pipeline: [{uses: need, with: {what: curl}}, {runs: x, needs: {packages: [awk, bash]}}]',
  'subpackages:',
  '  - name: thing-doc',
  '    pipeline: [{runs: x, needs: {packages: [texinfo]}}]',
  '    test: {environment: {contents: {packages: [man]}}, pipeline: [{uses: need, with: {what: less}}]}',
  '  - {name: silent, test: {environment: {contents: {packages: [man]}}}}',
  '  - {name: bare, test: {pipeline: [{runs: x}]}}',
  '',
].join('\n');

const need = pipelines({
  need: 'inputs: {what: {required: true}}\nneeds: {packages: ["${{inputs.what}}"]}\npipeline: [{runs: x, needs: {packages: [nested]}}]\n',
});

conforms(
  '† U test compilation: main and subpackage test environments get tested package + listed + needs, sorted.',
  [
    ...(
      [
        ['thing', ['awk', 'bash', 'curl', 'nested', 'thing', 'zsh']],
        ['thing-doc', ['less', 'man', 'nested', 'thing-doc']],
        ['bare', ['bare']],
        ['silent', undefined],
      ] as const
    ).map(([name, expected]) => ({
      name: `${name}: ${expected?.join(' ') ?? 'no steps, no test'}`,
      check: () => {
        const plan = compiled(withPackage(tested), { lookup: need });
        const planned = plan.packages.find((one) => one.name === name);
        assert.deepEqual(planned?.test?.environment.packages, expected);
      },
    })),
    {
      name: 'needs of tests are not in the environment of the build, nor the reverse',
      check: () =>
        assert.deepEqual(compiled(withPackage(tested), { lookup: need }).environment.packages, [
          'gcc',
          'patch',
          'texinfo',
        ]),
    },
    {
      name: 'tests are compiled for the flavour gnu and without the options of the build',
      check: () => {
        const line = '${{host.triplet.gnu}} ${{options.fast.enabled}} ${{ vars.v }}';
        const text = withPackage(
          `vars: {v: plain}\noptions: {fast: {vars: {v: fast}}}\npipeline: [{runs: "${line}"}]\ntest: {pipeline: [{runs: "${line}"}]}\nsubpackages: [{name: s, test: {pipeline: [{runs: "${line}"}]}}]\n`,
        );
        const plan = compiled(text, { buildOptions: ['fast'], libcFlavor: 'musl' });
        assert.deepEqual(scripts(plan), ['x86_64-pc-linux-musl true fast']);
        for (const one of plan.packages) {
          assert.equal(one.test?.steps[0]?.script, 'x86_64-pc-linux-gnu false plain');
        }
      },
    },
  ],
);

conforms(
  'U test workspace configuration: mounts with and without cache directory, environment merge, HOME default; missing runner is an error.',
  (
    [
      ['the test wins over the build file', '{MODE: test}', 'MODE', 'test'],
      ['what only the build file has is there', '{MODE: test}', 'KEEP', '1'],
      ['HOME has the default of builds', '{}', 'HOME', '/home/build'],
      ['HOME may be set by the test', '{HOME: /root}', 'HOME', '/root'],
      ['default variables are there', '{}', 'GOPATH', '/home/build/.cache/go'],
      ['SOURCE_DATE_EPOCH is not set', '{}', 'SOURCE_DATE_EPOCH', undefined],
    ] as const
  ).map(([name, environment, variable, expected]) => ({
    name: `${name} (mounts and the choice of a runner are no matter of the language)`,
    check: () => {
      const plan = compiled(
        withPackage(
          `environment: {environment: {MODE: build, KEEP: "1"}}\ntest: {environment: {environment: ${environment}}, pipeline: [{runs: x}]}\n`,
        ),
        { sourceDateEpoch: 1_700_000_000 },
      );
      assert.equal(plan.packages[0]?.test?.environment.variables[variable], expected);
    },
  })),
);

const python = withPackage(
  [
    'data: [{name: pythons, items: {"3.11": "311", "3.10": "310"}}]',
    'environment: {contents: {packages: [py3-build]}, environment: {PYTHONHASHSEED: "0"}}',
    'subpackages:',
    '  - range: pythons',
    '    name: py${{range.key}}-${{package.name}}',
    '    test:',
    '      environment: {contents: {packages: ["python-${{range.key}}", "py${{range.key}}-pip"]}}',
    '      pipeline:',
    '        - name: import',
    '          runs: python${{range.key}} -c "import thing; assert thing.build == ${{range.value}}"',
    'test:',
    '  environment: {accounts: {run-as: nobody, users: [{username: nobody, uid: 65534}]}}',
    '  pipeline: [{runs: thing --version}]',
    '',
  ].join('\n'),
);

const buildAccount = { name: 'build', uid: 1000, gid: 1000, home: '/home/build', shell: '/bin/sh' };

conforms(
  '(both) loading of test configurations: ranges and a real Python example, including default accounts.',
  [
    ...(
      [
        [
          'py3.10-thing',
          ['py3.10-pip', 'py3.10-thing', 'python-3.10'],
          'python3.10 -c "import thing; assert thing.build == 310"',
        ],
        [
          'py3.11-thing',
          ['py3.11-pip', 'py3.11-thing', 'python-3.11'],
          'python3.11 -c "import thing; assert thing.build == 311"',
        ],
      ] as const
    ).map(([name, packages, script]) => ({
      name: `the range makes the test of ${name}, with the build account`,
      check: () => {
        const planned = compiled(python).packages.find((one) => one.name === name);
        assert.deepEqual(planned?.test?.environment.packages, packages);
        assert.deepEqual(
          planned?.test?.steps.map((step) => [step.name, step.script]),
          [['import', script]],
        );
        assert.deepEqual(planned?.test?.environment.accounts, {
          runAs: '',
          users: [buildAccount],
          groups: [{ name: 'build', gid: 1000, members: ['build'] }],
        });
      },
    })),
    {
      name: 'the build account is added behind the accounts of the test',
      check: () => {
        const { accounts } = compiled(python).packages[0]?.test?.environment ?? {};
        assert.equal(accounts?.runAs, 'nobody');
        assert.deepEqual(accounts?.users, [
          { name: 'nobody', uid: 65534, gid: 65534, home: '/home/nobody', shell: '/bin/sh' },
          buildAccount,
        ]);
      },
    },
    {
      name: 'a build account of the file is kept as it is',
      check: () => {
        const own =
          'users: [{username: build, uid: 7, gid: 8, homedir: /b, shell: /bin/bash}], groups: [{groupname: build, gid: 8}]';
        const { accounts } = compiled(withPackage(`environment: {accounts: {${own}}}\n`)).environment;
        assert.deepEqual(accounts.users, [{ name: 'build', uid: 7, gid: 8, home: '/b', shell: '/bin/bash' }]);
        assert.deepEqual(accounts.groups, [{ name: 'build', gid: 8, members: [] }]);
      },
    },
  ],
);
