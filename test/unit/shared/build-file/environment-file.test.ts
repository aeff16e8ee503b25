import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createReporter, formatDiagnostic } from '../../../../shared/build-file/diagnostic.ts';
import { parseEnvironmentFile } from '../../../../shared/build-file/environment-file.ts';
import { type BuildPlan, compileBuildFile, parseBuildFile } from '../../../../shared/build-file/index.ts';
import { lines, noPipelines, withPackage } from './language.ts';

function read(text: string): Readonly<Record<string, string>> {
  const reporter = createReporter();
  const variables = parseEnvironmentFile({ file: 'x.env', text }, reporter);
  assert.deepEqual(lines(reporter.diagnostics), []);
  return Object.fromEntries([...variables].map(([key, one]) => [key, one.value]));
}

function refused(text: string): string[] {
  const reporter = createReporter();
  parseEnvironmentFile({ file: 'x.env', text }, reporter);
  return lines(reporter.diagnostics);
}

test('names, blanks, comments, empty lines and "export" are read as dotenv files have them', () => {
  const text = [
    '# first',
    '',
    'PLAIN=one two',
    '  SPACED =  around  ',
    'export EXPORTED=yes',
    'EMPTY=',
    'COMMENT=value # no value',
    'HASH=a#b',
    'ONLY_COMMENT= # nothing',
    'URL=https://x.example/?a=b&c=d',
    'dotted.name: colon',
    'PLAIN_AGAIN=1',
    'PLAIN_AGAIN=2',
  ].join('\n');
  assert.deepEqual(read(text), {
    PLAIN: 'one two',
    SPACED: 'around',
    EXPORTED: 'yes',
    EMPTY: '',
    COMMENT: 'value',
    HASH: 'a#b',
    ONLY_COMMENT: '',
    URL: 'https://x.example/?a=b&c=d',
    'dotted.name': 'colon',
    PLAIN_AGAIN: '2',
  });
});

test('lines may end in CR LF, and the file may begin with a byte order mark', () => {
  assert.deepEqual(read('\uFEFFA=1\r\nB="x\r\ny"\r\n\r\nC=3'), { A: '1', B: 'x\ny', C: '3' });
});

test('single quotes keep everything, double quotes have escapes, both may span lines', () => {
  assert.deepEqual(read(String.raw`A='$X \n "q" # no comment' # comment`), {
    A: String.raw`$X \n "q" # no comment`,
  });
  assert.deepEqual(read(String.raw`A="tab\tline\nreturn\rquote\"back\\slash\$X # kept"`), {
    A: 'tab\tline\nreturn\rquote"back\\slash$X # kept',
  });
  assert.deepEqual(read('A="one\ntwo"\nB=\'three\nfour\'\n'), { A: 'one\ntwo', B: 'three\nfour' });
});

test('$NAME and ${NAME} mean earlier variables of the file, or nothing', () => {
  const text = [
    'A=1',
    'B=$A-${A}x',
    'C="$B ${NONE}."',
    "D='$A'",
    'E=\\$A',
    'F=$LATER.',
    'LATER=x',
    'G=$5.00 $lower $',
  ].join('\n');
  assert.deepEqual(read(text), {
    A: '1',
    B: '1-1x',
    C: '1-1x .',
    D: '$A',
    E: '$A',
    F: '.',
    LATER: 'x',
    G: '.00 $lower $',
  });
  assert.deepEqual(read('A=1\nB="\\\\$A\\\\\\$A"'), {
    A: '1',
    B: String.raw`\1\$A`,
  });
});

test('a line that assigns nothing is an error with its place, and the others still count', () => {
  const reporter = createReporter();
  const text = 'A=1\n  what is this\nB="x" y\nC=3\n=4\n';
  const variables = parseEnvironmentFile({ file: 'x.env', text }, reporter);
  assert.deepEqual(lines(reporter.diagnostics), [
    '2:3 invalid-value a line of an environment file is NAME=value, a comment or empty',
    '3:7 invalid-value only a comment may follow a quoted value on its line',
    '5:1 invalid-value a line of an environment file is NAME=value, a comment or empty',
  ]);
  assert.equal(variables.get('C')?.value, '3');
  const [first] = reporter.diagnostics;
  assert.ok(first);
  assert.match(formatDiagnostic(first, text), /^x\.env:2:3: .*\n {4}what is this\n {4}\^{4}$/m);
});

test('a quote that is not closed is an error where it begins', () => {
  assert.deepEqual(refused('A=\'x\nB=1\nC="y\\"\n'), [
    "1:3 invalid-value the value begins with ', but there is no ' at its end",
    '3:3 invalid-value the value begins with ", but there is no " at its end',
  ]);
});

test('references that multiply a value are stopped', () => {
  const text = ['A0=xxxxxxxxxxxxxxxx', ...Array.from({ length: 40 }, (_, i) => `A${i + 1}=$A${i}$A${i}`)];
  const reported = refused(text.join('\n'));
  assert.match(reported[0] ?? '', /build-file-too-large the value of A19 becomes too large/);
  assert.deepEqual(refused('#'.repeat(1024 * 1024 + 1)), [
    '1:1 build-file-too-large the file has 1048577 characters, more than the 1048576 allowed',
  ]);
});

test('any text is read to its end without an exception, and quoting any value gives it back', () => {
  const piece = fc.constantFrom(
    'A',
    '=',
    '"',
    "'",
    '\\',
    '\n',
    '\r',
    '#',
    ' ',
    '$',
    '{',
    '}',
    'export ',
    'é',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (parts) => {
      parseEnvironmentFile({ file: 'x.env', text: parts.join('') }, createReporter());
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (value) => {
      const escaped = value
        .replace(/[\\"$]/g, '\\$&')
        .replaceAll('\r', '\\r')
        .replaceAll('\n', '\\n');
      assert.equal(read(`BEFORE=1\nVALUE="${escaped}"\nAFTER=2`)['VALUE'], value);
    }),
  );
});

function planOf(text: string, environmentFiles: readonly string[]): BuildPlan {
  const { buildFile, diagnostics } = parseBuildFile({
    file: 'build.yaml',
    text,
    environmentFiles: environmentFiles.map((one, index) => ({ file: `${index}.env`, text: one })),
  });
  assert.ok(buildFile, lines(diagnostics).join('\n'));
  const { plan } = compileBuildFile(buildFile, { arch: 'x86_64', lookup: noPipelines });
  assert.ok(plan);
  return plan;
}

test('the build file wins over environment files, an earlier one over a later one, all over the defaults', () => {
  const text = withPackage(
    '  epoch: 0\nenvironment: {environment: {A: file}}\ntest: {pipeline: [{runs: x}]}\n',
  );
  const plan = planOf(text, ['A=first\nB=first\nHOME=/root\n', 'B=second\nC=${{package.name}}\nGOPATH=\n']);
  const { A, B, C, HOME, GOPATH } = plan.environment.variables;
  assert.deepEqual([A, B, C, HOME], ['file', 'first', '${{package.name}}', '/root']);
  assert.equal(GOPATH, '/home/build/.cache/go', 'an empty variable has its default');
  assert.equal(plan.packages[0]?.test?.environment.variables['B'], 'first');
});

test('environment files also count for a build file without an environment', () => {
  assert.equal(planOf(withPackage(''), ['A=1']).environment.variables['A'], '1');
});

test('a mistake in an environment file is a problem of the build file that is read with it', () => {
  const { buildFile, diagnostics } = parseBuildFile({
    file: 'build.yaml',
    text: withPackage(''),
    environmentFiles: [{ file: 'x.env', text: 'A\n' }],
  });
  assert.equal(buildFile, undefined);
  assert.equal(diagnostics[0]?.position.file, 'x.env');
});
