import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseBuildFile } from '../../../../shared/build-file/index.ts';
import { readYaml } from '../../../../shared/build-file/yaml-events.ts';
import { lines, parsed, withPackage } from './language.ts';

describe('lines whose indentation libyaml does not look at', () => {
  test('brackets may be closed where their key stands, or further left', () => {
    for (const closing of ['  ]', ']', '      ]']) {
      const text = withPackage(
        `  target-architecture: [\n    x86_64, # one\n# two\n    "aarch64",\n${closing}\n`,
      );
      assert.deepEqual(parsed(text).targetArchitectures, ['x86_64', 'aarch64']);
    }
  });

  test('items and entries may stand further left than the key, tabs included', () => {
    const text = 'package: {\n"name": a,\n\t"version": "1",\ntarget-architecture: [\nx86_64\n]\n}\n';
    const { name, version, targetArchitectures } = parsed(text);
    assert.deepEqual([name, version, targetArchitectures], ['a', '1', ['x86_64']]);
  });

  test('a quoted text goes on anywhere, its line breaks folded', () => {
    const double = parsed(withPackage('  description: "one\ntwo\n\n      three"\n'));
    assert.equal(double.package.description?.value, 'one two\nthree');
    const single = parsed(withPackage("pipeline:\n  - runs: 'a\nb'\n"));
    assert.equal(single.document.pipeline?.[0]?.runs?.value, 'a b');
  });

  test('places are those of the text as it was written', () => {
    const text = withPackage(
      '  target-architecture: [\n  x86_64\n  ]\n  dependencies: {\nruntimes: [a]\n}\n  nam: x\n',
    );
    assert.deepEqual(lines(parseBuildFile({ file: 'f', text }).diagnostics), [
      '8:1 unknown-key unknown key "runtimes"',
      '10:3 unknown-key unknown key "nam"',
    ]);
  });

  test('what is wrong elsewhere is told at its own place', () => {
    for (const good of [
      '  target-architecture: [\n    x86_64\n  ]\n',
      '  description: "a\nb"\n  url: x\n\n',
    ]) {
      const [problem] = lines(
        parseBuildFile({ file: 'f', text: withPackage(`${good} bad: y\n`) }).diagnostics,
      );
      const line = 4 + good.split('\n').length - 1;
      assert.ok(problem?.startsWith(`${line}:2 yaml-syntax YAML: bad indentation`), problem);
    }
  });

  test('a quote left open is told at the first line that is too far left', () => {
    const text = withPackage('  description: "open\n  url: x\nvars:\n  a: "b"\n');
    const { diagnostics } = parseBuildFile({ file: 'f', text });
    assert.match(lines(diagnostics)[0] ?? '', /^5:3 yaml-syntax YAML: deficient indentation/);
    assert.equal(diagnostics[0]?.hint, 'the quote or bracket opened in line 4 is not closed');
  });
});

test('a block at the very end of a file has the line break that the file has', () => {
  const last = (text: string): string | undefined => parsed(text).document.pipeline?.[0]?.runs?.value;
  const text = withPackage('pipeline:\n  - runs: |\n      one\n      two');
  assert.equal(last(text), 'one\ntwo');
  assert.equal(last(`${text}\n`), 'one\ntwo\n');
  assert.equal(last(`${text}\n\n`), 'one\ntwo\n');
  assert.equal(last(`${text}\n    # remark`), 'one\ntwo\n');
  assert.equal(last(text.replace('|', '|+')), 'one\ntwo');
  assert.equal(last(text.replace('|', '>')), 'one two');
  assert.equal(last(text.replace('|', '|-')), 'one\ntwo');
});

test('a text that would have to be read again for each of its lines is given up in time', () => {
  const text = `a: [\n${'x,\n'.repeat(100_000)}]\n`;
  const before = process.cpuUsage();
  const read = readYaml(text);
  assert.ok('reason' in read);
  const { user, system } = process.cpuUsage(before);
  assert.ok(user + system < 3_000_000, `${user + system} µs`);
});

test('offsets of what was added blanks to lead back to the text', () => {
  const text = 'a: [\nx,\n"y\nz"\n]\nb: c\n';
  const read = readYaml(text);
  assert.ok(!('reason' in read));
  assert.notEqual(read.text, text);
  for (const word of ['x', 'y', 'z', ']', 'b', 'c']) {
    assert.equal(text.charAt(read.originalOffset(read.text.indexOf(word))), word);
  }
});
