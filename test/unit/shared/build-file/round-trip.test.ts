import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type BuildPlan,
  compileBuildFile,
  compiledYaml,
  formatDiagnostic,
  type PipelineLookup,
  parseBuildFile,
  type SourceText,
} from '../../../../shared/build-file/index.ts';
import { corpusFiles, corpusPipelines, skipWithoutCorpus } from './corpus.ts';
import { noPipelines, pipelines } from './language.ts';

function planOf(source: SourceText, lookup: PipelineLookup): BuildPlan {
  const { buildFile, diagnostics } = parseBuildFile(source);
  const result = buildFile && compileBuildFile(buildFile, { arch: 'x86_64', lookup });
  const problems = [...diagnostics, ...(result?.diagnostics ?? [])];
  assert.ok(result?.plan, problems.map((one) => formatDiagnostic(one, source.text)).join('\n'));
  return result.plan;
}

/** Everything a build does, without the places in its files and the form it is printed from. */
function withoutPlaces(plan: BuildPlan): unknown {
  const text = JSON.stringify(plan, (key, value: unknown) =>
    ['position', 'origin', 'configuration'].includes(key) ? undefined : value,
  );
  return JSON.parse(text);
}

/** Prints the plan and compiles what was printed, without any pipeline file at hand. */
function assertSurvivesPrinting(plan: BuildPlan): void {
  const text = compiledYaml(plan);
  const again = planOf({ file: 'printed.yaml', text }, noPipelines);
  assert.deepEqual(withoutPlaces(again), withoutPlaces(plan));
  assert.equal(compiledYaml(again), text, 'printing it again gives the same text');
}

test('real build files: what is printed of a plan compiles to the same plan', {
  skip: skipWithoutCorpus,
}, () => {
  let compared = 0;
  for (const file of corpusFiles) {
    const { buildFile } = parseBuildFile(file);
    assert.ok(buildFile);
    const { plan } = compileBuildFile(buildFile, { arch: 'x86_64', lookup: corpusPipelines });
    if (plan === undefined) continue;
    assertSurvivesPrinting(plan);
    compared += 1;
  }
  assert.ok(compared > 300);
});

describe('made-up build files', () => {
  const lookup = pipelines({
    greet:
      'needs: {packages: ["${{inputs.tool}}"]}\ninputs:\n  who: {required: true}\n  tool: {default: cat}\nenvironment: {FROM: file}\npipeline:\n  - runs: echo ${{inputs.who}} ${{context.name}}\n  - uses: nested\n    with: {x: "${{inputs.who}}"}\n',
    nested:
      "inputs:\n  x: {}\nneeds: {packages: [nested-tool]}\npipeline:\n  - if: ${{inputs.x}} != 'nobody'\n    working-directory: below\n    runs: echo ${{inputs.x}} > y\n",
  });
  const word = fc.stringMatching(/^[a-z][a-z0-9.-]{0,8}$/);
  // Everything but what would be a reference.
  const anyText = fc.string({ unit: 'grapheme', maxLength: 30 }).filter((one) => !one.includes('${{'));
  const shell = fc.oneof(
    anyText,
    fc.array(anyText, { maxLength: 4 }).map((lines) => lines.join('\n')),
    fc.constantFrom(
      'echo ${{package.name}}-${{vars.v}} > ${{targets.contextdir}}/x',
      'true # ${{build.arch}}\n',
      '  indented\n\n\n',
      '\ttab\r\nreturn\n',
      '',
    ),
  );
  const environment = fc.dictionary(fc.stringMatching(/^[A-Z_]{1,5}$/), anyText, { maxKeys: 3 });
  const condition = fc.constantFrom(
    "${{build.arch}} == 'x86_64'",
    "${{build.arch}} != 'x86_64'",
    "${{vars.v}} == 'a' || ('b' == 'b' && ${{package.name}} != \"c\")",
    '',
  );
  const optional = <T>(what: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
    fc.option(what, { nil: undefined });
  const { step } = fc.letrec<{ step: unknown; steps: unknown[] }>((tie) => ({
    step: fc.oneof(
      { maxDepth: 3 },
      fc.record({
        name: optional(anyText),
        runs: shell,
        if: optional(condition),
        environment: optional(environment),
        'working-directory': optional(word),
        label: optional(anyText),
      }),
      fc.record({
        uses: fc.constant('greet'),
        with: fc.record(
          { who: fc.oneof(word, fc.constant('${{vars.v}}')), tool: optional(word) },
          { requiredKeys: ['who'] },
        ),
        if: optional(condition),
        environment: optional(environment),
      }),
      fc.record({
        name: optional(anyText),
        pipeline: tie('steps'),
        if: optional(condition),
        environment: optional(environment),
        'working-directory': optional(word),
        needs: optional(fc.record({ packages: fc.array(word, { maxLength: 2 }) })),
      }),
    ),
    steps: fc.array(tie('step'), { maxLength: 3 }),
  }));
  const steps = fc.array(step, { maxLength: 4 });
  const contents = fc.record({
    contents: fc.record({ packages: fc.array(word, { maxLength: 3 }) }),
    environment,
  });
  const tests = fc.record({ environment: optional(contents), pipeline: steps });
  const dependencies = fc.record(
    {
      runtime: fc.array(word, { maxLength: 2 }),
      provides: fc.array(fc.constantFrom('a=1', 'b=${{package.version}}'), { maxLength: 2 }),
      'provider-priority': fc.nat(99).map(String),
    },
    { requiredKeys: [] },
  );
  const buildFile = fc.record({
    package: fc.record({
      name: fc.constant('thing'),
      version: fc.constantFrom('1.10', '2.0_rc1', '010', '1'),
      epoch: fc.nat(9),
      description: anyText,
      url: anyText,
      annotations: fc.dictionary(word, anyText, { maxKeys: 2 }),
      dependencies,
      copyright: fc.array(fc.record({ license: anyText, paths: fc.array(anyText, { maxLength: 2 }) }), {
        maxLength: 2,
      }),
      scriptlets: fc.record(
        {
          'post-install': shell,
          trigger: fc.record({ script: shell, paths: fc.array(word, { maxLength: 2 }) }),
        },
        { requiredKeys: [] },
      ),
      options: fc.record({ 'no-depends': fc.boolean(), 'no-provides': fc.boolean() }, { requiredKeys: [] }),
      timeout: optional(fc.constantFrom('90s', '1h30m')),
    }),
    environment: optional(contents),
    vars: fc.record({ v: word, w: fc.constant('${{vars.v}}x') }),
    'var-transforms': fc.constant([{ from: '${{vars.v}}', match: '[a-m]', replace: 'z', to: 't' }]),
    data: fc.constant([{ name: 'table', items: { b: '2', a: '1' } }]),
    pipeline: steps,
    subpackages: fc
      .uniqueArray(
        fc.record({
          name: word,
          description: anyText,
          pipeline: steps,
          test: optional(tests),
          dependencies,
          if: optional(condition),
        }),
        { maxLength: 2, selector: (one) => one.name },
      )
      .map((some) => [
        ...some.map((one) => ({ ...one, name: `sub-${one.name}` })),
        {
          range: 'table',
          name: 'r-${{range.key}}',
          pipeline: [{ runs: 'echo ${{range.value}} ${{vars.t}}' }],
        },
      ]),
    test: optional(tests),
  });

  test('what is printed of a plan compiles to the same plan', () => {
    fc.assert(
      fc.property(buildFile, (document) => {
        assertSurvivesPrinting(planOf({ file: 'made-up.yaml', text: JSON.stringify(document) }, lookup));
      }),
      { numRuns: 400 },
    );
  });
});
