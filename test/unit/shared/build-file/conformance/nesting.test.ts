/** Steps within steps: lines of the section pkg/config. */
import assert from 'node:assert/strict';
import { compiled, pipelines, withPackage } from '../language.ts';
import { conforms } from './lines.ts';

const nested = `  - environment: {A: outer, B: outer}
    pipeline:
      - runs: inherits
      - environment: {B: inner, C: inner}
        pipeline:
          - runs: overrides
          - environment: {A: deepest}
            runs: deepest
      - runs: after
`;

const expectedEnvironments = {
  inherits: { A: 'outer', B: 'outer' },
  overrides: { A: 'outer', B: 'inner', C: 'inner' },
  deepest: { A: 'deepest', B: 'inner', C: 'inner' },
  after: { A: 'outer', B: 'outer' },
};

conforms('† (both) nested steps inherit environment, child wins, parent unchanged; same in subpackages.', [
  ...(
    [
      ['the main package', `pipeline:\n${nested}`, 0],
      [
        'a subpackage',
        `subpackages:\n  - name: s\n    pipeline:\n${nested.replaceAll(/^/gm, '    ').trimEnd()}\n`,
        1,
      ],
    ] as const
  ).flatMap(([where, sections, index]) =>
    Object.entries(expectedEnvironments).map(([script, expected]) => ({
      name: `${script}, in ${where}`,
      check: () => {
        const step = compiled(withPackage(sections)).packages[index]?.steps.find(
          (one) => one.script === script,
        );
        assert.deepEqual({ ...step?.environment }, expected);
      },
    })),
  ),
  {
    name: 'ours: a child may have an environment where the parent has none',
    check: () => {
      const plan = compiled(
        withPackage('pipeline: [{pipeline: [{environment: {A: b}, runs: x}, {runs: y}]}]\n'),
      );
      assert.deepEqual(
        plan.packages[0]?.steps.map((one) => ({ ...one.environment })),
        [{ A: 'b' }, {}],
      );
    },
  },
]);

const enters = pipelines({
  enter:
    'inputs: {where: {default: none}}\npipeline:\n  - runs: in ${{inputs.where}}\n  - working-directory: sub\n    runs: own\n',
});

conforms(
  '† (both) nested steps inherit working-directory to any depth unless they set one; also to `uses` steps, whose `with` values are substituted.',
  (
    [
      ['one level', '{working-directory: a, pipeline: [{runs: x}]}', [['x', '/home/build/a']]],
      [
        'three levels',
        '{working-directory: a, pipeline: [{pipeline: [{pipeline: [{runs: x}]}]}]}',
        [['x', '/home/build/a']],
      ],
      [
        'a child that sets its own, and its sibling',
        '{working-directory: a, pipeline: [{working-directory: b/c, pipeline: [{runs: x}]}, {runs: y}]}',
        [
          ['x', '/home/build/b/c'],
          ['y', '/home/build/a'],
        ],
      ],
      ['an absolute one', '{working-directory: /opt/x, pipeline: [{runs: x}]}', [['x', '/opt/x']]],
      [
        'variables',
        '{working-directory: "${{package.name}}-${{build.arch}}", runs: x}',
        [['x', '/home/build/thing-x86_64']],
      ],
      [
        'the steps of a used pipeline, unless they set one',
        '{working-directory: a, pipeline: [{uses: enter, with: {where: "${{package.name}} ${{vars.v}}"}}]}',
        [
          ['in thing w', '/home/build/a'],
          ['own', '/home/build/sub'],
        ],
      ],
      [
        'one beside uses',
        '{working-directory: a, uses: enter}',
        [
          ['in none', '/home/build/a'],
          ['own', '/home/build/sub'],
        ],
      ],
      [
        'an empty one counts as none',
        '{working-directory: a, pipeline: [{working-directory: "", runs: x}]}',
        [['x', '/home/build/a']],
      ],
    ] as const
  ).flatMap(([name, step, expected]) =>
    (['pipeline', 'subpackages', 'test'] as const).map((where) => ({
      name: `${name}, in ${{ pipeline: 'the main package', subpackages: 'a subpackage', test: 'a test' }[where]}`,
      check: () => {
        const sections = {
          pipeline: `pipeline: [${step}]\n`,
          subpackages: `subpackages: [{name: s, pipeline: [${step}]}]\n`,
          test: `test: {pipeline: [${step}]}\n`,
        }[where];
        const plan = compiled(withPackage(`vars: {v: w}\n${sections}`), { lookup: enters });
        const steps =
          where === 'test' ? plan.packages[0]?.test?.steps : plan.packages.flatMap((one) => one.steps);
        assert.deepEqual(
          steps?.map((one) => [one.script, one.workingDirectory]),
          expected,
        );
      },
    })),
  ),
);
