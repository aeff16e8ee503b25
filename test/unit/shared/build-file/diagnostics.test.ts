import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { diagnosticsError, formatDiagnostic, parseBuildFile } from '../../../../shared/build-file/index.ts';
import { lines, pipelines, problems, withPackage } from './language.ts';

interface Broken {
  readonly name: string;
  readonly text: string;
  /** `line:column code`, then a part of the message. */
  readonly expected: readonly (readonly [string, string])[];
  readonly hint?: string;
}

const broken: readonly Broken[] = [
  {
    name: 'a key indented less than its neighbours',
    text: 'package:\n  name: a\n version: 1.0\n',
    expected: [['3:2 yaml-syntax', 'bad indentation']],
    hint: 'compare the indentation',
  },
  {
    name: 'a misspelled key',
    text: 'package:\n  name: a\n  verison: 1.0\n',
    expected: [['3:3 unknown-key', 'unknown key "verison"']],
    hint: 'did you mean "version"?',
  },
  {
    name: 'several unknown keys, all of them',
    text: withPackage('pipelines: []\nsubpackages:\n  - nam: x\n'),
    expected: [
      ['4:1 unknown-key', '"pipelines"'],
      ['6:5 unknown-key', '"nam"'],
    ],
  },
  {
    name: 'a missing version',
    text: 'package:\n  name: a\n',
    expected: [['1:1 missing-value', 'the package has no version']],
  },
  { name: 'a missing name', text: 'package:\n  version: 1\n', expected: [['1:1 missing-value', 'no name']] },
  {
    name: 'a missing package',
    text: 'pipeline: []\n',
    expected: [['1:1 missing-value', '"package" is missing']],
  },
  { name: 'an empty file', text: '# nothing\n', expected: [['1:1 missing-value', 'the file is empty']] },
  {
    name: 'a tab in the indentation',
    text: 'package:\n\tname: a\n',
    expected: [['2:1 yaml-syntax', 'tab characters']],
    hint: 'indent with spaces',
  },
  {
    name: 'a duplicate key',
    text: withPackage('  name: b\n'),
    expected: [['4:3 yaml-syntax', 'the key "name" stands twice']],
    hint: 'it was first given in line 2',
  },
  {
    name: 'a colon that needs quotes',
    text: withPackage('  description: tools: the best\n'),
    expected: [['4:21 yaml-syntax', 'bad indentation']],
    hint: 'put the value in quotes',
  },
  {
    name: 'a list where a string is expected',
    text: 'package:\n  name: [a]\n  version: 1\n',
    expected: [['2:9 wrong-type', 'expected a text, found a list']],
  },
  {
    name: 'a string where a list is expected',
    text: withPackage('  dependencies:\n    runtime: bash\n'),
    expected: [['5:14 wrong-type', 'expected a list, found "bash"']],
  },
  {
    name: 'an epoch in quotes',
    text: withPackage('  epoch: "1"\n'),
    expected: [['4:11 wrong-type', 'expected a whole number without quotes']],
  },
  {
    name: 'an epoch with a fraction',
    text: withPackage('  epoch: 1.5\n'),
    expected: [['4:10 wrong-type', '"1.5"']],
  },
  { name: 'a negative epoch', text: withPackage('  epoch: -1\n'), expected: [['4:10 wrong-type', '"-1"']] },
  {
    name: 'a quoted true',
    text: withPackage('  options: {no-provides: "true"}\n'),
    expected: [['4:27 wrong-type', 'true or false without quotes']],
  },
  {
    name: 'a duration without unit',
    text: withPackage('  timeout: 30\n'),
    expected: [['4:12 wrong-type', 'expected a duration']],
  },
  {
    name: 'a version with a release',
    text: 'package:\n  name: a\n  version: 1.0-r1\n',
    expected: [['3:12 invalid-version', '"1.0-r1"']],
    hint: 'the release number goes into "epoch"',
  },
  {
    name: 'a name with a blank',
    text: 'package:\n  name: a b\n  version: 1\n',
    expected: [['2:9 invalid-value', '"a b" cannot be the name']],
  },
  {
    name: 'an unknown variable in a list that is final after parsing',
    text: withPackage('  dependencies:\n    runtime:\n      - foo=${{package.fullversion}}\n'),
    expected: [['6:13 unknown-variable', 'unknown variable package.fullversion']],
    hint: 'did you mean "package.full-version"?',
  },
  {
    name: 'a compile-time variable in such a list',
    text: withPackage('  dependencies:\n    provides: ["x=${{build.arch}}"]\n'),
    expected: [['5:19 unknown-variable', 'unknown variable build.arch']],
  },
  {
    name: 'an unknown variable in the second line of a fragment',
    text: withPackage('pipeline:\n  - runs: |\n      echo ok\n      echo ${{package.nam}}\n'),
    expected: [['7:12 unknown-variable', 'unknown variable package.nam']],
    hint: 'did you mean "package.name"?',
  },
  {
    name: 'an unknown variable in a comment of the shell',
    text: withPackage('pipeline:\n  - runs: |\n      # ${{what}}\n'),
    expected: [['6:9 unknown-variable', 'unknown variable what']],
  },
  {
    name: 'a reference that is not closed',
    text: withPackage('pipeline:\n  - runs: echo ${{package.name\n'),
    expected: [['5:16 unknown-variable', 'is not closed']],
  },
  {
    name: 'an empty reference',
    text: withPackage('pipeline:\n  - runs: echo ${{ }}\n'),
    expected: [['5:16 unknown-variable', 'is empty']],
  },
  {
    name: 'an undefined input and a missing one together',
    text: withPackage('pipeline:\n  - uses: fetch\n    with:\n      url: x\n'),
    expected: [
      ['7:7 unknown-key', 'the pipeline fetch has no input "url"'],
      ['5:5 missing-value', 'needs the input "uri"'],
    ],
    hint: 'did you mean "uri"?',
  },
  {
    name: 'a checksum of the wrong length',
    text: withPackage('pipeline:\n  - uses: fetch\n    with:\n      uri: x\n      expected-sha256: abc\n'),
    expected: [['8:24 invalid-value', 'expected-sha256 has 64 hexadecimal digits; this value has 3']],
  },
  {
    name: 'two subpackages with one name',
    text: withPackage('subpackages:\n  - name: b\n  - name: b\n'),
    expected: [['6:11 invalid-value', 'two packages are named "b"']],
    hint: 'the first is in line 5',
  },
  {
    name: 'a subpackage named as the package',
    text: withPackage('subpackages:\n  - name: thing\n'),
    expected: [['5:11 invalid-value', 'two packages are named "thing"']],
    hint: 'the first is in line 2',
  },
  {
    name: 'an unknown variable in a name',
    text: withPackage('subpackages:\n  - name: a-${{range.kex}}\n'),
    expected: [['5:11 unknown-variable', 'cannot use the variable range.kex']],
    hint: 'did you mean "range.key"?',
  },
  {
    name: 'a range over a table that does not exist',
    text: withPackage(
      'data:\n  - name: langs\n    items: {a: b}\nsubpackages:\n  - range: lang\n    name: x\n',
    ),
    expected: [['8:12 unknown-variable', 'no data table named "lang"']],
    hint: 'did you mean "langs"?',
  },
  {
    name: 'a condition with a single equals sign',
    text: withPackage('pipeline:\n  - if: ${{build.arch}} = "x86_64"\n    runs: x\n'),
    expected: [['5:25 invalid-condition', 'expected == or !=']],
  },
  {
    name: 'an unknown variable in a condition',
    text: withPackage('pipeline:\n  - if: ${{build.arcj}} == "x86_64"\n    runs: x\n'),
    expected: [['5:9 unknown-variable', 'unknown variable build.arcj']],
    hint: 'did you mean "build.arch"?',
  },
  {
    name: 'a pipeline that does not exist',
    text: withPackage('pipeline:\n  - uses: fetsh\n'),
    expected: [['5:11 unknown-pipeline', 'no pipeline named "fetsh"']],
    hint: 'did you mean "fetch"?',
  },
  {
    name: 'a pipeline outside the folder',
    text: withPackage('pipeline:\n  - uses: ../x\n  - uses: /etc/x\n'),
    expected: [
      ['5:11 unknown-pipeline', '"../x" cannot be the name'],
      ['6:11 unknown-pipeline', '"/etc/x" cannot be the name'],
    ],
  },
  {
    name: 'arguments without a pipeline',
    text: withPackage('pipeline:\n  - with: {a: b}\n'),
    expected: [['5:5 invalid-value', 'has no "uses"']],
  },
  {
    name: 'a step that uses and runs, also when nested',
    text: withPackage('pipeline:\n  - pipeline:\n      - uses: fetch\n        runs: x\n'),
    expected: [['7:9 invalid-value', 'either "uses" or "runs"']],
  },
  {
    name: 'arguments for a fragment',
    text: withPackage('subpackages:\n  - name: b\n    pipeline:\n      - runs: x\n        with: {a: b}\n'),
    expected: [['8:9 invalid-value', 'the step has "runs"']],
  },
  {
    name: 'a priority that is no number',
    text: withPackage('  dependencies:\n    provider-priority: high\n'),
    expected: [['5:24 invalid-value', 'a priority is a whole number']],
  },
  {
    name: 'vars that refer to each other',
    text: withPackage('vars:\n  a: ${{vars.b}}\n  b: ${{vars.a}}\n'),
    expected: [['5:6 invalid-value', 'vars.a → vars.b → vars.a']],
  },
  {
    name: 'a regular expression that does not compile',
    text: withPackage('var-transforms:\n  - {from: a, match: "(", replace: b, to: c}\n'),
    expected: [['5:23 invalid-value', 'a group is not closed']],
  },
  {
    name: 'an unknown user to run as',
    text: withPackage('environment:\n  accounts: {run-as: bob}\n'),
    expected: [['5:22 invalid-value', 'there is no user "bob"']],
  },
  {
    name: 'a capability no file may have, and a missing reason',
    text: withPackage('  setcap:\n    - path: bin/x\n      add: {cap_chown: +ep}\n'),
    expected: [
      ['6:13 invalid-value', '"cap_chown"'],
      ['5:7 missing-value', 'needs a "reason"'],
    ],
  },
  {
    name: 'a CPE with a vendor alone, a bad part and bad characters',
    text: withPackage('  cpe: {vendor: me, part: h, edition: A*}\n'),
    expected: [
      ['4:27 invalid-value', 'part of a CPE'],
      ['4:17 missing-value', 'vendor and product'],
      ['4:39 invalid-value', '"A*"'],
    ],
  },
  {
    name: 'an assertion that the conditions break',
    text: withPackage('pipeline:\n  - assertions: {required-steps: 2}\n    pipeline:\n      - runs: a\n'),
    expected: [['5:5 invalid-value', '2 of the steps below must run, but the conditions of 1 are true']],
  },
  {
    name: 'an alias without anchor',
    text: withPackage('vars: *x\n'),
    expected: [['4:7 yaml-syntax', 'no anchor &x']],
  },
  {
    name: 'an alias inside what it names',
    text: withPackage('vars: &x\n  a: *x\n'),
    expected: [['5:6 yaml-syntax', 'contains itself']],
  },
  {
    name: 'a tail of a block scalar that begins too far left',
    text: withPackage('pipeline:\n  - runs: |\n      a\n    b\n'),
    expected: [['7:6 yaml-syntax', 'YAML:']],
  },
];

describe('a broken build file is reported with its place', () => {
  for (const { name, text, expected, hint } of broken) {
    test(name, () => {
      const found = problems(text);
      const shown = lines(found);
      assert.equal(found.length, expected.length, shown.join('\n'));
      for (const [index, [place, message]] of expected.entries()) {
        assert.ok(shown[index]?.startsWith(`${place} `), `${shown[index]} is not at ${place}`);
        assert.ok(shown[index]?.includes(message), `${shown[index]} lacks ${message}`);
      }
      if (hint !== undefined) assert.ok(found[0]?.hint?.includes(hint), `hint is ${found[0]?.hint}`);
    });
  }
});

test('a problem inside a pipeline file names that file and the step that used it', () => {
  const found = problems(withPackage('pipeline:\n  - uses: local\n'), {
    lookup: pipelines({ local: 'pipeline:\n  - runs: echo ${{inputs.nothing}}\n' }),
  });
  assert.equal(found[0]?.position.file, 'pipelines/local.yaml');
  assert.equal(found[0]?.position.line, 2);
  assert.equal(found[0]?.hint, 'used at build.yaml:5:5');
});

test('a diagnostic prints the line, a marker below the place, and the hint', () => {
  const text = 'package:\n  name: a\n  verison: 1.0\n';
  const [diagnostic] = problems(text);
  assert.ok(diagnostic);
  assert.equal(
    formatDiagnostic(diagnostic, text),
    [
      'build.yaml:3:3: unknown key "verison"',
      '    verison: 1.0',
      '    ^^^^^^^',
      '  hint: did you mean "version"?',
    ].join('\n'),
  );
  assert.equal(
    formatDiagnostic(diagnostic).split('\n').length,
    2,
    'without the text there is no line to show',
  );
});

test('a marker stands below its text behind tabs', () => {
  const diagnostic = {
    code: 'invalid-value',
    severity: 'warning',
    message: 'odd',
    position: { file: 'f', line: 1, column: 3 },
    length: 99,
  } as const;
  assert.equal(formatDiagnostic(diagnostic, 'a\tbcd'), 'f:1:3: warning: odd\n  a\tbcd\n   \t^^^');
});

test('errors become one PipelineError of kind user at the first place, warnings do not', () => {
  const { diagnostics } = parseBuildFile({ file: 'b.yaml', text: withPackage('x: 1\ny: 2\n') });
  const error = diagnosticsError(diagnostics);
  assert.equal(error?.kind, 'user');
  assert.equal(error?.code, 'unknown-key');
  assert.deepEqual(error?.position, { file: 'b.yaml', line: 4, column: 1 });
  assert.match(error?.message ?? '', /unknown key "x"\nb\.yaml:5:1: unknown key "y"/);
  assert.equal(diagnosticsError([]), undefined);
});

test('no more problems are reported than anybody would read, and long values are cut', () => {
  const many = problems(withPackage(Array.from({ length: 500 }, (_, index) => `k${index}: 1\n`).join('')));
  assert.equal(many.length, 50);
  const [long] = problems(`package:\n  name: "${'x '.repeat(5000)}"\n  version: 1\n`);
  assert.ok((long?.message.length ?? 0) < 600);
});
