import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { diagnosticsError, formatDiagnostic, parseBuildFile } from '../../../../shared/build-file/index.ts';
import { brokenFiles, findProblems, renderProblems } from './broken-files.ts';
import { pipelines, problems, withPackage } from './language.ts';

describe('what a user is told about a broken build file', () => {
  const files = brokenFiles();

  for (const { name, text, problems: expected } of files) {
    test(name, async () => {
      const found = await findProblems(text);
      assert.ok(found.length > 0);
      for (const { position, message } of found) {
        assert.ok(position.line >= 1 && position.column >= 1, message);
      }
      assert.equal(await renderProblems(text), expected);
    });
  }

  test('there are at least forty of them, all different', () => {
    assert.ok(new Set(files.map((one) => one.text)).size >= 40);
  });
});

test('a problem inside a pipeline file names that file and the step that used it', () => {
  const found = problems(withPackage('pipeline:\n  - uses: local\n'), {
    lookup: pipelines({ local: 'pipeline:\n  - runs: echo ${{inputs.nothing}}\n' }),
  });
  assert.equal(found[0]?.position.file, 'pipelines/local.yaml');
  assert.equal(found[0]?.position.line, 2);
  assert.match(found[0]?.hint ?? '', /used at build.yaml:5:5$/);
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
