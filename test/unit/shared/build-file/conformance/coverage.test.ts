/** Every line of the list of what upstream's tests pin down is tested here, or is known to be another part's. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { collectLines } from './lines.ts';

const list = fileURLToPath(new URL('../../../../../../shared/spec/conformance.md', import.meta.url));
const here = fileURLToPath(new URL('.', import.meta.url));
const tests = fileURLToPath(new URL('../../../../', import.meta.url));
const SELF = 'coverage.test.ts';

interface Line {
  readonly section: string;
  /** Without its bullet. */
  readonly text: string;
}

/** Sections none of whose lines is about the language: each with the part that answers for them. */
const SECTIONS_ELSEWHERE: Readonly<Record<string, string>> = {
  'pkg/sca': 'dependency analysis of packages',
  'pkg/linter': 'linters',
  'pkg/index, pkg/sign, pkg/tarball, pkg/sbom, pkg/license':
    'output: index, signatures, archives, SBOM, licences',
  'Not relevant to the language or output (one line each)': 'runners, update robots and services of upstream',
};

/** Single lines of other sections, by their beginning. */
const LINES_ELSEWHERE: Readonly<Record<string, string>> = {
  'M2 CPE text: defaults': 'SBOM and the note in ELF files: the plan has the fields, they print them',
  '(both) schedule period to cron-like message':
    'update robots: the block is only read, with whatever period',
  '† (both) git SBOM source:': 'SBOM',
  '† (both) setcap encoding:': 'package output: extended attributes',
  '† (both) apk purl:': 'SBOM',
  '† U licence id:': 'SBOM: licences',
  '† U licence validity:': 'SBOM: licences',
  '† U licence expression:': 'SBOM: licences',
  '† U licensing infos:': 'SBOM: licences',
  '† compiler files:': 'the workspace that the runner prepares',
  '† (both) self-provided dependency removal:': 'package output: control data',
  '† (both) .PKGINFO text:': 'package output: control data',
  '† U retrieved tar paths:': 'package output: what comes out of the guest',
  '† (both) SBOM documents:': 'SBOM',
  '(both) SBOM group:': 'SBOM',
  '(both) provenance:': 'provenance',
  '(both, integration) building three real packages': 'SBOM, with builds in BuildKit',
  'capabilities-add-drop': 'test/pipelines: needs a real guest',
  '† git-checkout:': 'test/pipelines: needs a real guest',
  'git-dirty-detection:': 'test/pipelines: needs Go in a real guest',
  'go-build-v2:': 'test/pipelines: needs Go in a real guest',
  'numpy, py3-pandas, py3-setuptools': 'test/pipelines: needs Python in a real guest',
  'xcover and xcover project scope:': 'test/pipelines: needs a real guest',
  '† license-file:': 'SBOM: reads the file from the workspace after the build',
  '† test/isolation:': 'the runner: each test has a guest of its own',
  '† test/process-state:': 'the runner: processes live as long as the guest of a test',
  'output processing:': 'linters and licence check after the build',
  'remote service:': 'services of upstream that have no counterpart',
  '† test/compare': 'acceptance test: real packages compared with the published ones',
};

const isThere = existsSync(list);

test('every line of conformance.md is tested here or listed as another part', {
  skip: isThere ? false : 'the specification is not beside the project',
}, async (context) => {
  const lines = readLines(readFileSync(list, 'utf8'));
  assert.ok(lines.length > 100);
  const files = readdirSync(here).filter((name) => name.endsWith('.test.ts') && name !== SELF);
  const collected = await collectLines(async () => {
    for (const file of files) await import(`./${file}`);
  });
  const quoted = otherSources();

  const uncovered: string[] = [];
  const twice: string[] = [];
  const counts = { here: 0, cases: 0, quotedElsewhere: 0, elsewhere: 0 };
  for (const { section, text } of lines) {
    const cases = collected.get(text);
    const reason = reasonElsewhere({ section, text });
    if (cases !== undefined) {
      counts.here += 1;
      counts.cases += cases;
      if (reason !== undefined) twice.push(text);
    } else if (quoted.some((source) => source.includes(text))) counts.quotedElsewhere += 1;
    else if (reason !== undefined) counts.elsewhere += 1;
    else uncovered.push(`${section}: ${text}`);
  }
  context.diagnostic(
    `${lines.length} lines in all, ${lines.length - counts.elsewhere - counts.quotedElsewhere} of them about the build file`,
  );
  context.diagnostic(`${counts.here} lines covered here by ${counts.cases} tests`);
  context.diagnostic(
    `${counts.elsewhere} lines left to other parts, and ${counts.quotedElsewhere} more that their tests quote`,
  );
  assert.deepEqual(uncovered, [], 'lines that nobody tests');
  assert.deepEqual(twice, [], 'lines that are tested here and listed as another part');
  const known = new Set(lines.map((line) => line.text));
  assert.deepEqual(
    [...collected.keys()].filter((line) => !known.has(line)),
    [],
    'quotations that are no line of the list',
  );
});

test('every entry of the tables of other parts belongs to exactly one section or line', {
  skip: isThere ? false : 'the specification is not beside the project',
}, () => {
  const lines = readLines(readFileSync(list, 'utf8'));
  const sections = new Set(lines.map((line) => line.section));
  assert.deepEqual(
    Object.keys(SECTIONS_ELSEWHERE).filter((section) => !sections.has(section)),
    [],
  );
  for (const beginning of Object.keys(LINES_ELSEWHERE)) {
    const found = lines.filter(
      ({ section, text }) => SECTIONS_ELSEWHERE[section] === undefined && text.startsWith(beginning),
    );
    assert.equal(found.length, 1, beginning);
  }
});

function readLines(text: string): Line[] {
  const lines: Line[] = [];
  let section = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('## ')) section = line.slice('## '.length);
    else if (line.startsWith('* ')) lines.push({ section, text: line.slice('* '.length) });
  }
  return lines;
}

function reasonElsewhere({ section, text }: Line): string | undefined {
  const [, reason] = Object.entries(LINES_ELSEWHERE).find(([beginning]) => text.startsWith(beginning)) ?? [];
  return SECTIONS_ELSEWHERE[section] ?? reason;
}

/** The other tests, in which lines of other parts may be quoted. */
function otherSources(): string[] {
  return readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts') && !join(tests, path).startsWith(here))
    .map((path) => readFileSync(join(tests, path), 'utf8'));
}
