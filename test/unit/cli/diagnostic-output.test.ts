import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { diagnosticJson, diagnosticText, visible } from '../../../cli/diagnostic-output.ts';
import type { Diagnostic } from '../../../shared/build-file/index.ts';

const diagnostic: Diagnostic = {
  code: 'unknown-key',
  severity: 'error',
  message: 'unknown key "nmae"',
  hint: 'did you mean "name"?',
  position: { file: 'my files/a:1.yaml', line: 2, column: 3 },
  length: 4,
};
const source = 'package:\n  nmae: x\n';

test('a diagnostic shows its place, its line with a mark, and the hint', () => {
  assert.equal(
    diagnosticText(diagnostic, source, 'plain'),
    'my files/a:1.yaml:2:3: unknown key "nmae"\n    nmae: x\n    ^^^^\n  hint: did you mean "name"?\n',
  );
});

test('colours change nothing but the colours', () => {
  const warning: Diagnostic = { ...diagnostic, severity: 'warning', message: 'hint: a ^ here' };
  for (const one of [diagnostic, warning]) {
    for (const text of [source, undefined]) {
      const coloured = diagnosticText(one, text, 'coloured');
      assert.notEqual(coloured, diagnosticText(one, text, 'plain'));
      assert.equal(stripVTControlCharacters(coloured), diagnosticText(one, text, 'plain'));
    }
  }
  assert.ok(diagnosticText(diagnostic, source, 'coloured').includes('\u001B[31m^^^^\u001B[0m'));
  assert.ok(diagnosticText(warning, source, 'coloured').includes('\u001B[33m^^^^\u001B[0m'));
});

test('what a build file has of control characters does not reach the terminal, and moves no mark', () => {
  const nasty = 'package:\n  nmae: \u001B[2J\u009B1m\u202E\u007F\r\n';
  const shown = diagnosticText({ ...diagnostic, message: 'a\u0007b' }, nasty, 'plain');
  assert.ok(!/[^\P{Cc}\n]/u.test(shown));
  assert.match(shown, / a␇b\n {4}nmae: ␛\[2J\uFFFD1m\uFFFD\uFFFD\n {4}\^{4}\n/);
  assert.equal(visible('a\tb\nc'), 'a\tb\nc');
});

test('an empty or endless line is not shown', () => {
  const head = 'my files/a:1.yaml:2:3: unknown key "nmae"\n  hint: did you mean "name"?\n';
  for (const text of ['package:\n\n', `package:\n${'x'.repeat(1000)}\n`, 'package:']) {
    assert.equal(diagnosticText(diagnostic, text, 'plain'), head);
  }
});

test('as JSON every key is there, in a fixed order', () => {
  const { hint: _, length: __, ...bare } = diagnostic;
  assert.equal(
    JSON.stringify(diagnosticJson(bare)),
    '{"code":"unknown-key","severity":"error","message":"unknown key \\"nmae\\"","hint":null,' +
      '"file":"my files/a:1.yaml","line":2,"column":3,"length":null}',
  );
});
