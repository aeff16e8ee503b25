/** How a pipeline file is laid over the step that uses it: section 7.1 of the specification of the build file. */
import assert from 'node:assert/strict';
import { compiled, pipelines, problems, scripts, withPackage } from '../language.ts';
import { specified } from './lines.ts';

const full = [
  'name: of the file',
  'environment: {A: file, C: file}',
  'needs: {packages: [file]}',
  'pipeline: [{runs: child}]',
  '',
].join('\n');

specified(
  'The file is decoded onto the step, section 7.1: keys present in the file overwrite those of the step',
  [
    ...(
      [
        ['a condition of the step is kept', `if: "'a' == 'b'"`, full, []],
        ['a condition of the file wins', `if: "'a' == 'b'"`, `if: "'a' == 'a'"\n${full}`, ['child']],
        ['a fragment of the file runs before its steps', 'label: x', `runs: own\n${full}`, ['own', 'child']],
        ['a with in the file has no effect', 'label: x', `with: {nothing: 1}\n${full}`, ['child']],
        ['a uses in the file is not followed', 'label: x', `uses: nowhere\n${full}`, ['child']],
      ] as const
    ).map(([name, own, file, expected]) => ({
      name,
      check: () => {
        const plan = compiled(withPackage(`pipeline: [{uses: p, ${own}}]\n`), {
          lookup: pipelines({ p: file }),
        });
        assert.deepEqual(scripts(plan), expected);
      },
    })),
    ...(
      [
        ['kept', full, '/home/build/step'],
        ['that of the file', `working-directory: file\n${full}`, '/home/build/file'],
      ] as const
    ).map(([name, file, expected]) => ({
      name: `the working directory is ${name}`,
      check: () => {
        const plan = compiled(withPackage('pipeline: [{uses: p, working-directory: step}]\n'), {
          lookup: pipelines({ p: file }),
        });
        assert.equal(plan.packages[0]?.steps[0]?.workingDirectory, expected);
      },
    })),
    {
      name: 'environments are joined, the file winning; ours: needs are joined too; the name of the step stays',
      check: () => {
        const plan = compiled(
          withPackage(
            'pipeline: [{name: mine, uses: p, environment: {A: step, B: step}, needs: {packages: [step]}}]\n',
          ),
          { lookup: pipelines({ p: full }) },
        );
        const [step] = plan.packages[0]?.steps ?? [];
        assert.deepEqual({ ...step?.environment }, { A: 'file', B: 'step', C: 'file' });
        assert.deepEqual(plan.environment.packages, ['file', 'step']);
        assert.equal(step?.name, 'mine');
      },
    },
    {
      name: 'in a test, where a step may have both, its own fragment runs before the steps of the file',
      check: () => {
        const plan = compiled(withPackage('test: {pipeline: [{uses: p, runs: own}]}\n'), {
          lookup: pipelines({ p: full }),
        });
        assert.deepEqual(
          plan.packages[0]?.test?.steps.map((step) => step.script),
          ['own', 'child'],
        );
      },
    },
    {
      name: 'environment values of a pipeline file are never replaced',
      check: () => {
        const plan = compiled(withPackage('pipeline: [{uses: p}]\n'), {
          lookup: pipelines({
            p: 'inputs: {i: {default: x}}\nenvironment: {A: "${{inputs.i}} ${{package.name}}"}\nruns: x\n',
          }),
        });
        assert.deepEqual(
          { ...plan.packages[0]?.steps[0]?.environment },
          { A: '${{inputs.i}} ${{package.name}}' },
        );
      },
    },
    ...['../p', 'a/../p', '/p', '/etc/pipelines/p', 'p..q'].map((name) => ({
      name: `uses: ${name} is refused`,
      check: () => {
        const found = problems(withPackage(`pipeline: [{uses: ${name}}]\n`), {
          lookup: () => ({ file: 'p', text: full }),
        });
        assert.deepEqual(
          found.map((one) => one.code),
          ['unknown-pipeline'],
        );
      },
    })),
  ],
);
