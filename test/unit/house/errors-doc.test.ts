import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES } from '../../../shared/errors.ts';
import { CODE_FOLDERS, readProjectFile, sourceFiles, tableRows, withoutComments } from './sources.ts';

const KINDS = ['user', 'infra', 'timeout', 'cancelled', 'superseded', 'bug'];
const rows = tableRows(await readProjectFile('docs/errors.md'));
const files = (await sourceFiles(CODE_FOLDERS)).filter((file) => file.path !== 'shared/errors.ts');
const sources = files.map((file) => withoutComments(file.text)).join('\n');

test('docs/errors.md lists every error code once, in the order of ERROR_CODES', () => {
  assert.deepEqual(
    rows.map((row) => row.name),
    [...ERROR_CODES],
  );
});

test('each code is documented with its kinds, a meaning and what to do', () => {
  for (const { name, cells } of rows) {
    const [kinds = '', meaning = '', advice = '', ...others] = cells;
    assert.deepEqual(others, [], name);
    for (const kind of kinds.split(', ')) assert.ok(KINDS.includes(kind), `${name}: kind "${kind}"`);
    assert.ok(meaning !== '' && advice !== '', name);
  }
});

test('each error code is raised somewhere in the sources', () => {
  assert.deepEqual(
    ERROR_CODES.filter((code) => !isRaised(code)),
    [],
  );
});

test('each kind that a code is raised with is documented', () => {
  const undocumented: string[] = [];
  const pairs = [
    /\bcode: '([a-z-]+)',\s*kind: '([a-z]+)'/g,
    new RegExp(`\\['([a-z-]+)', '(${KINDS.join('|')})'\\] as const`, 'g'),
  ];
  for (const pair of pairs) {
    for (const [, code = '', kind = ''] of sources.matchAll(pair)) {
      const documented = rows.find((row) => row.name === code)?.cells[0]?.split(', ') ?? [];
      if (!documented.includes(kind)) undocumented.push(`${code}: ${kind}`);
    }
  }
  assert.deepEqual(undocumented, []);
});

/** As the code of an error (`code: 'x'`, also in a choice), or in a table of codes and kinds (`['x', 'infra']`). */
function isRaised(code: string): boolean {
  return (
    new RegExp(`\\bcode:[^,;{}]*'${code}'`).test(sources) ||
    new RegExp(`\\['${code}', '(?:${KINDS.join('|')})'\\]`).test(sources)
  );
}
