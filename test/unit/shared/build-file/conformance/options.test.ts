/** Pipeline files read once, build options, identities: lines of the section pkg/build. */
import assert from 'node:assert/strict';
import {
  type CompileOptions,
  compileBuildFile,
  melangeYaml,
} from '../../../../../shared/build-file/index.ts';
import { loadPipeline } from '../../../../../shared/build-file/pipeline-files.ts';
import { compiled, parsed, pipelines, problems, scripts, withPackage } from '../language.ts';
import { conforms } from './lines.ts';

conforms(
  'U pipeline-file cache: same result as direct decode, keyed by directories, empty file is a no-op, read error not cached, safe concurrently.',
  [
    {
      name: 'a file used many times is decoded once, and gives the same each time',
      check: () => {
        const lookup = pipelines({ p: 'pipeline: [{runs: x}]\n' });
        const first = loadPipeline('p', lookup);
        assert.ok(first?.step);
        assert.equal(loadPipeline('p', lookup), first);
        const used = withPackage('pipeline: [{uses: p}]\n');
        const direct = pipelines({ p: 'pipeline: [{runs: x}]\n' });
        assert.deepEqual(compiled(used, { lookup }), compiled(used, { lookup: direct }));
      },
    },
    {
      name: 'files of one name from two places do not mix',
      check: () => {
        const text = withPackage('pipeline: [{uses: p}]\n');
        const one = pipelines({ p: 'runs: one\n' });
        const two = pipelines({ p: 'runs: two\n' });
        assert.deepEqual(
          [one, two, one].flatMap((lookup) => scripts(compiled(text, { lookup }))),
          ['one', 'two', 'one'],
        );
      },
    },
    {
      name: 'a file that has changed is decoded again',
      check: () => {
        let text = 'runs: old\n';
        const lookup = (): { file: string; text: string } => ({ file: 'p.yaml', text });
        const used = withPackage('pipeline: [{uses: p}]\n');
        assert.deepEqual(scripts(compiled(used, { lookup })), ['old']);
        text = 'runs: new\n';
        assert.deepEqual(scripts(compiled(used, { lookup })), ['new']);
      },
    },
    {
      name: 'an empty file does nothing',
      check: () => {
        for (const empty of ['', '# remark\n', '---\n', '{}\n']) {
          assert.deepEqual(
            scripts(compiled(withPackage('pipeline: [{uses: p}]\n'), { lookup: pipelines({ p: empty }) })),
            [],
          );
        }
      },
    },
    {
      name: 'a file that could not be had is asked for again',
      check: () => {
        let there = false;
        const lookup = (): { file: string; text: string } | undefined =>
          there ? { file: 'p.yaml', text: 'runs: x\n' } : undefined;
        const text = withPackage('pipeline: [{uses: p}]\n');
        assert.equal(problems(text, { lookup })[0]?.code, 'unknown-pipeline');
        there = true;
        assert.deepEqual(scripts(compiled(text, { lookup })), ['x']);
      },
    },
    {
      name: 'compilations beside each other give what one alone gives',
      check: async () => {
        const lookup = pipelines({ p: 'inputs: {n: {}}\nruns: echo ${{inputs.n}}\n' });
        const found = await Promise.all(
          Array.from({ length: 20 }, async (_, index) => {
            await Promise.resolve();
            return scripts(compiled(withPackage(`pipeline: [{uses: p, with: {n: ${index}}}]\n`), { lookup }));
          }),
        );
        assert.deepEqual(
          found,
          Array.from({ length: 20 }, (_, index) => [`echo ${index}`]),
        );
      },
    },
  ],
);

const optional = withPackage(
  [
    'environment: {contents: {packages: [base, old, extra]}}',
    'options:',
    '  slim: {vars: {size: small, more: "1"}, environment: {contents: {packages: {add: [tiny], remove: [old, absent]}}}}',
    '  loud: {environment: {contents: {packages: {add: [horn], remove: [extra]}}}}',
    'pipeline: [{runs: "${{options.slim.enabled}} ${{options.loud.enabled}}", needs: {packages: [old]}}]',
    '',
  ].join('\n'),
);

const scopeOf = (text: string, options: Partial<CompileOptions>): string[] =>
  scripts(compiled(text, options));

conforms(
  'M2 helpers: file copy with modes; ignore file loading with default and custom names; build-config purl; flavour default; build option patches vars (creating the map), adds and removes packages; subpackage to package conversion; package identity, file names, signature name; SCA handle accessors.',
  [
    ...(
      [
        [
          'the flavour is gnu by default',
          {},
          'x86_64-pc-linux-gnu x86_64-unknown-linux-gnu x86_64-pc-linux-musl',
        ],
        [
          'the flavour may be musl, for the host only',
          { libcFlavor: 'musl' },
          'x86_64-pc-linux-musl x86_64-unknown-linux-musl x86_64-pc-linux-musl',
        ],
      ] as const
    ).map(([name, options, expected]) => ({
      name,
      check: () => {
        const line = '${{host.triplet.gnu}} ${{host.triplet.rust}} ${{cross.triplet.gnu.musl}}';
        assert.deepEqual(scopeOf(withPackage(`pipeline: [{runs: "${line}"}]\n`), options), [expected]);
      },
    })),
    ...(
      [
        ['no option', [], ['base', 'extra', 'old'], 'false false'],
        ['an option that adds and removes', ['slim'], ['base', 'extra', 'old', 'tiny'], 'true false'],
        ['both options', ['slim', 'loud'], ['base', 'horn', 'old', 'tiny'], 'true true'],
        ['an option named twice', ['loud', 'loud'], ['base', 'horn', 'old'], 'false true'],
        ['an option that is not declared', ['unknown'], ['base', 'extra', 'old'], 'false false'],
      ] as const
    ).map(([name, buildOptions, packages, script]) => ({
      name: `${name}: what steps need is not removed`,
      check: () => {
        const plan = compiled(optional, { buildOptions });
        assert.deepEqual(plan.environment.packages, packages);
        assert.deepEqual(scripts(plan), [script]);
      },
    })),
    {
      name: 'an option brings vars, also where the build file has none',
      check: () => {
        const lookup = pipelines({ p: 'runs: ${{vars.size}} ${{vars.more}}\n' });
        const text = `${optional}subpackages: [{name: s, pipeline: [{uses: p}]}]\n`;
        assert.equal(
          compiled(text, { lookup, buildOptions: ['slim'] }).packages[1]?.steps[0]?.script,
          'small 1',
        );
        assert.equal(problems(text, { lookup })[0]?.code, 'unknown-variable');
      },
    },
    {
      name: 'an option overwrites a var where parsing has not replaced it',
      check: () => {
        const text = withPackage(
          'vars: {size: large}\noptions: {slim: {vars: {size: small}}}\npipeline: [{uses: p}, {runs: "${{ vars.size }} ${{vars.size}}"}]\n',
        );
        const lookup = pipelines({ p: 'runs: ${{vars.size}}\n' });
        assert.deepEqual(scopeOf(text, { lookup, buildOptions: ['slim'] }), ['small', 'small large']);
        assert.deepEqual(scopeOf(text, { lookup }), ['large', 'large large']);
      },
    },
    {
      name: 'a subpackage becomes a package with version, licence and CPE of the main one, and the rest its own',
      check: () => {
        const text = withPackage(
          [
            '  epoch: 4',
            '  description: main',
            '  url: https://main.example',
            '  commit: abc',
            '  copyright: [{license: MIT}]',
            '  cpe: {vendor: v, product: p}',
            '  dependencies: {runtime: [a], provider-priority: 5}',
            '  options: {no-provides: true}',
            'subpackages:',
            '  - name: sub',
            '    description: own',
            '    dependencies: {provides: [b]}',
            '    options: {no-commands: true}',
            '',
          ].join('\n'),
        );
        const [main, sub] = compiled(text).packages;
        assert.ok(main && sub);
        assert.equal(sub.fullVersion, '1.2.3-r4');
        assert.deepEqual([sub.copyright, sub.cpe, sub.commit], [main.copyright, main.cpe, 'abc']);
        assert.deepEqual([sub.description, sub.url], ['own', '']);
        assert.deepEqual(sub.dependencies, { runtime: [], provides: ['b'], replaces: [] });
        assert.deepEqual([sub.options.noProvides, sub.options.noCommands], [false, true]);
        assert.equal(sub.outputDirectory, '/home/build/melange-out/sub');
      },
    },
    {
      name: 'the identity of a package is name, version and epoch, whatever the subpackage or architecture',
      check: () => {
        const buildFile = parsed(withPackage('  epoch: 12\nsubpackages: [{name: s}]\n'));
        for (const arch of ['x86_64', 'aarch64'] as const) {
          const { plan } = compileBuildFile(buildFile, { arch, lookup: () => undefined });
          assert.ok(plan);
          assert.deepEqual(
            [plan.name, plan.version, plan.epoch, plan.fullVersion],
            ['thing', '1.2.3', 12, '1.2.3-r12'],
          );
          assert.deepEqual(
            plan.packages.map((one) => `${one.name}-${one.fullVersion}`),
            ['thing-1.2.3-r12', 's-1.2.3-r12'],
          );
          assert.match(melangeYaml(plan, { packages: [], repositories: [] }), /name: thing\n/);
        }
      },
    },
  ],
);
