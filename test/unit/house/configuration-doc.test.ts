import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConfig } from '../../../runner/config.ts';
import { readProjectFile, section, tableRows, withoutComments } from './sources.ts';

const document = await readProjectFile('docs/configuration.md');

const SECTIONS = {
  'runner/config.ts': '## Runner',
  'functions/config.ts': '## Functions',
  'deploy/local/config.ts': '## Local machine',
} as const;

for (const [file, heading] of Object.entries(SECTIONS)) {
  test(`docs/configuration.md lists exactly the variables that ${file} reads`, async () => {
    const code = withoutComments(await readProjectFile(file));
    const read = [...code.matchAll(/^ +([A-Z][A-Z0-9_]+): |environment\['([A-Z][A-Z0-9_]+)'\]/gm)].map(
      (match) => match[1] ?? match[2] ?? '',
    );
    const documented = tableRows(section(document, heading))
      .map((row) => row.name)
      .filter((name) => /^[A-Z]/.test(name));
    // PATH is every program's.
    const expected = read.filter((name) => name !== 'PATH');
    assert.deepEqual([...new Set(documented)].sort(), [...new Set(expected)].sort());
    assert.ok(documented.length > 0);
  });
}

test('docs/configuration.md lists exactly the entries of the configuration files', async () => {
  const code = withoutComments(await readProjectFile('runner/config.ts'));
  const entries = [...code.matchAll(/^ +([a-z][A-Za-z]*): z\b/gm)].map((match) => match[1] ?? '');
  const documented = tableRows(section(document, '## Runner'))
    .map((row) => row.name)
    .filter((name) => /^[a-z]/.test(name));
  assert.deepEqual(documented.sort(), entries.filter((name) => !isWholeFile(name)).sort());
  assert.ok(documented.length > 0);
});

test('the documented defaults of the runner are its defaults', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'carryall-config-'));
  const before = { ...process.env };
  try {
    const rows = tableRows(section(document, '## Runner')).filter((row) => /^[A-Z]/.test(row.name));
    for (const { name } of rows) delete process.env[name];
    for (const { name, cells } of rows) if (cells[0] === 'required') process.env[name] = 'given';
    process.env['BACKENDS_FILE'] = join(folder, 'backends.yaml');
    process.env['REPOSITORIES_FILE'] = join(folder, 'repositories.yaml');
    await writeFile(join(folder, 'backends.yaml'), 'backends: [{ addr: "tcp://b:1234", arch: x86_64 }]\n');
    await writeFile(join(folder, 'repositories.yaml'), 'repositories: []\n');
    const config: Readonly<Record<string, unknown>> = { ...(await readConfig()) };
    for (const { name, cells } of rows) {
      if (cells[0] === 'required') continue;
      assert.equal(actualDefault(config[name]), documentedDefault(cells[0] ?? ''), name);
    }
    assert.deepEqual(config['backends'], [{ addr: 'tcp://b:1234', arch: 'x86_64', labels: {}, maxJobs: 4 }]);
  } finally {
    process.env = before;
    await rm(folder, { recursive: true });
  }
});

test('a required variable of the runner is one without which it does not start', async () => {
  const rows = tableRows(section(document, '## Runner')).filter((row) => row.cells[0] === 'required');
  const before = { ...process.env };
  try {
    for (const { name } of rows) delete process.env[name];
    const failure: unknown = await readConfig().catch((error: unknown) => error);
    for (const { name } of rows) {
      if (/^[A-Z]/.test(name)) assert.match(String(failure), new RegExp(`\\b${name}\\b`));
    }
  } finally {
    process.env = before;
  }
});

/** The names of the files' only top-level entries, which the document shows in its examples. */
function isWholeFile(name: string): boolean {
  return name === 'backends' || name === 'repositories';
}

function documentedDefault(cell: string): string {
  if (cell === 'unset') return 'unset';
  return cell === 'empty' ? '' : cell.replaceAll('`', '');
}

function actualDefault(value: unknown): string {
  if (value === undefined) return 'unset';
  assert.ok(typeof value === 'string' || typeof value === 'number');
  return String(value);
}
