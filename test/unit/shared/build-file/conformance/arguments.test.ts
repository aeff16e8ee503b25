/** Arguments of pipelines: lines of the section pkg/build. */
import assert from 'node:assert/strict';
import { builtinPipeline, builtinPipelineNames } from '../../../../../shared/build-file/index.ts';
import { loadPipeline } from '../../../../../shared/build-file/pipeline-files.ts';
import { compiled, lines, pipelines, problems, scripts, withPackage } from '../language.ts';
import { conforms } from './lines.ts';

const callee =
  'inputs: {a: {default: default-a}, b: {default: default-b}, c: {}}\npipeline: [{runs: "${{inputs.a}}|${{inputs.b}}|${{inputs.c}}"}]\n';

/** What the pipeline `callee` sees when `caller`, given `given`, calls it with `arguments_`. */
function forwarded(arguments_: string, given = '{a: parent-a, b: parent-b}'): string[] {
  const caller = `inputs: {a: {default: x}, b: {default: y}, only: {default: "1"}}\npipeline: [{uses: callee, with: ${arguments_}}]\n`;
  return scripts(
    compiled(withPackage(`vars: {v: w}\npipeline: [{uses: caller, with: ${given}}]\n`), {
      lookup: pipelines({ caller, callee }),
    }),
  );
}

conforms(
  "† (both) `with` mutation basics. U: forwarded same-named input takes the parent's value; literal and default beat inheritance; sibling reference in any order; several forwards; two-level forwarding; nested compile end to end.",
  [
    ...(
      [
        ['basics: given values, defaults and nothing', '{a: given}', 'given|default-b|'],
        ['basics: an empty value means the default', '{a: "", b: ""}', 'default-a|default-b|'],
        [
          'basics: variables of the build',
          '{a: "${{package.name}}", c: "${{ build.arch }}"}',
          'thing|default-b|x86_64',
        ],
        ['basics: numbers and words are texts', '{a: 1.50, b: true, c: 010}', '1.50|true|010'],
        [
          "a forward of the same name takes the parent's value",
          '{a: "${{inputs.a}}"}',
          'parent-a|default-b|',
        ],
        ['a forward with more around it', '{a: "<${{inputs.a}}>"}', '<parent-a>|default-b|'],
        ['a literal beats inheritance', '{a: literal}', 'literal|default-b|'],
        ['a default beats inheritance', '{}', 'default-a|default-b|'],
        ['a sibling given before', '{a: one, b: "${{inputs.a}}-two"}', 'one|one-two|'],
        ['a sibling given after', '{a: "${{inputs.b}}-one", b: two}', 'two-one|two|'],
        ['ours: siblings in a chain', '{a: "${{inputs.b}}", b: "${{inputs.c}}", c: end}', 'end|end|end'],
        ['a sibling that has its default', '{a: "${{inputs.b}}"}', 'default-b|default-b|'],
        ['several forwards', '{a: "${{inputs.a}}", b: "${{inputs.b}}"}', 'parent-a|parent-b|'],
        ['a forward under another name', '{c: "${{inputs.only}}"}', 'default-a|default-b|1'],
      ] as const
    ).map(([name, arguments_, expected]) => ({
      name,
      check: () => assert.deepEqual(forwarded(arguments_), [expected]),
    })),
    {
      name: 'two-level forwarding',
      check: () => {
        const level = (uses: string): string =>
          `inputs: {a: {required: true}}\npipeline: [{uses: ${uses}, with: {a: "\${{inputs.a}}+"}}]\n`;
        const lookup = pipelines({ one: level('two'), two: level('callee'), callee });
        const plan = compiled(withPackage('pipeline: [{uses: one, with: {a: x}}]\n'), { lookup });
        assert.deepEqual(scripts(plan), ['x++|default-b|']);
      },
    },
    {
      name: 'nested compile end to end, in a subpackage with a range',
      check: () => {
        const lookup = pipelines({
          outer:
            'inputs: {tool: {required: true}, into: {default: "${{targets.contextdir}}/usr"}}\nneeds: {packages: ["${{inputs.tool}}"]}\npipeline: [{uses: inner, with: {into: "${{inputs.into}}/bin", tool: "${{inputs.tool}}"}}]\n',
          inner:
            'inputs: {tool: {}, into: {}}\npipeline:\n  - {if: "${{inputs.tool}} == \'awk\'", runs: "${{inputs.tool}} > ${{inputs.into}}"}\n  - {if: "${{inputs.tool}} != \'awk\'", working-directory: "${{inputs.into}}", runs: "other"}\n',
        });
        const plan = compiled(
          withPackage(
            'data: [{name: t, items: {awk: "", sed: ""}}]\nsubpackages: [{range: t, name: "s-${{range.key}}", pipeline: [{uses: outer, with: {tool: "${{range.key}}"}}]}]\n',
          ),
          { lookup },
        );
        assert.deepEqual(plan.environment.packages, ['awk', 'sed']);
        assert.deepEqual(
          plan.packages.slice(1).map((one) => one.steps.map((step) => [step.script, step.workingDirectory])),
          [
            [['awk > /home/build/melange-out/s-awk/usr/bin', '/home/build']],
            [['other', '/home/build/melange-out/s-sed/usr/bin']],
          ],
        );
      },
    },
    {
      name: 'ours: siblings in a circle are an error',
      check: () => {
        const found = problems(
          withPackage('pipeline: [{uses: callee, with: {a: "${{inputs.b}}", b: "${{inputs.a}}"}}]\n'),
          {
            lookup: pipelines({ callee }),
          },
        );
        assert.deepEqual(
          found.map((one) => one.code),
          ['invalid-value'],
        );
      },
    },
    {
      name: 'an undeclared argument is an error, whatever its value',
      check: () => {
        const found = problems(withPackage('pipeline:\n  - uses: callee\n    with: {d: ""}\n'), {
          lookup: pipelines({ callee }),
        });
        assert.deepEqual(lines(found), ['6:12 unknown-key the pipeline callee has no input "d"']);
      },
    },
    {
      name: 'inputs declared beside uses are inputs too',
      check: () => {
        const step =
          '{uses: callee, inputs: {d: {default: "4"}, a: {default: lost}}, with: {d: "5", c: "${{inputs.d}}"}}';
        assert.deepEqual(
          scripts(compiled(withPackage(`pipeline: [${step}]\n`), { lookup: pipelines({ callee }) })),
          ['default-a|default-b|5'],
        );
      },
    },
  ],
);

conforms(
  '† (both) needs.packages may contain inputs.',
  (
    [
      ['a given input', '{uses: p, with: {tool: go-1.24}}', ['base', 'go-1.24', 'go-1.24-dev']],
      ['a default', '{uses: p}', ['base', 'go', 'go-dev']],
      ['an input that is empty needs nothing', '{uses: q}', []],
      ['an input of an enclosing pipeline', '{uses: q, with: {tool: lua}}', ['lua', 'lua5']],
    ] as const
  ).map(([name, step, expected]) => ({
    name,
    check: () => {
      const lookup = pipelines({
        p: 'inputs: {tool: {default: go}}\nneeds: {packages: [base, "${{inputs.tool}}", "${{inputs.tool}}-dev"]}\n',
        q: `inputs: {tool: {}}\nneeds: {packages: ["\${{inputs.tool}}"]}\npipeline: [{if: "\${{inputs.tool}} != ''", needs: {packages: ["\${{inputs.tool}}5"]}}]\n`,
      });
      assert.deepEqual(
        compiled(withPackage(`pipeline: [${step}]\n`), { lookup }).environment.packages,
        expected,
      );
    },
  })),
);

conforms(
  '† (both) every built-in pipeline file decodes.',
  builtinPipelineNames().map((name) => ({
    name,
    check: () => {
      const file = loadPipeline(name, () => undefined);
      assert.deepEqual(file?.diagnostics, []);
      assert.equal(file?.text, builtinPipeline(name)?.text);
      assert.ok((file?.step?.pipeline?.length ?? 0) > 0);
      const arguments_ = Object.fromEntries(
        [...(file?.step?.inputs ?? [])]
          .filter(([, input]) => input.required === true)
          .map(([input]) => [input, 'given']),
      );
      const steps = JSON.stringify([{ uses: name, with: arguments_ }]);
      assert.ok(scripts({ ...compiled(withPackage(`pipeline: ${steps}\n`)) }).length > 0);
    },
  })),
);

const sha256 = '0123456789abcdef'.repeat(4);

conforms(
  '† (both) argument validation: good SHA-256, wrong length, missing required input.',
  (
    [
      ['a good SHA-256', `uri: u, expected-sha256: ${sha256}`, undefined],
      ['a good SHA-256 in capitals', `uri: u, expected-sha256: ${sha256.toUpperCase()}`, undefined],
      ['a good SHA-512', `uri: u, expected-sha512: ${sha256}${sha256}`, undefined],
      ['an empty SHA-256, which counts as none', 'uri: u, expected-sha256: ""', undefined],
      ['a SHA-256 in a variable', 'uri: u, expected-sha256: "${{vars.sum}}"', undefined],
      [
        'a digit too few',
        `uri: u, expected-sha256: "${sha256.slice(1)}"`,
        /64 hexadecimal digits; this value has 63/,
      ],
      ['a digit too many', `uri: u, expected-sha256: ${sha256}0`, /64 hexadecimal digits; this value has 65/],
      ['a letter that is no digit', `uri: u, expected-sha256: ${sha256.slice(1)}g`, /other characters/],
      [
        'a SHA-256 as SHA-512',
        `uri: u, expected-sha512: ${sha256}`,
        /128 hexadecimal digits; this value has 64/,
      ],
      ['a missing required input', `expected-sha256: ${sha256}`, /needs the input "uri"/],
      ['an empty required input', `uri: "", expected-sha256: ${sha256}`, /needs the input "uri"/],
      ['an undefined input', `uri: u, url: v, expected-sha256: ${sha256}`, /has no input "url"/],
    ] as const
  ).map(([name, arguments_, message]) => ({
    name: message === undefined ? `${name} is accepted` : `${name} is an error`,
    check: () => {
      const found = problems(
        withPackage(`vars: {sum: ${sha256}}\npipeline: [{uses: fetch, with: {${arguments_}}}]\n`),
      );
      assert.equal(found.length, message === undefined ? 0 : 1, lines(found).join('\n'));
      if (message !== undefined) assert.match(found[0]?.message ?? '', message);
    },
  })),
);
