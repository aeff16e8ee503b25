import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE_FOLDERS, type Import, importsOf, sourceFiles } from './sources.ts';

const ENGINE = ['runner/environment/', 'runner/buildkit/', 'runner/packaging/'] as const;

/** What the files of a folder may import from the checkout. The engine is listed before the runner that holds it. */
const MAY_IMPORT: readonly (readonly [folder: string, allowed: readonly string[]])[] = [
  ...ENGINE.map((folder) => [folder, [...ENGINE, 'shared/']] as const),
  ['functions/', ['functions/', 'shared/']],
  ['runner/', ['runner/', 'shared/']],
  ['cli/', ['cli/', 'shared/', ...ENGINE]],
  // As the command line does: the build engine, which knows nothing of queues and records.
  ['deploy/', ['deploy/', 'shared/', 'runner/buildkit/']],
  ['shared/', ['shared/']],
];

const files = await sourceFiles(CODE_FOLDERS);
const imports = files.flatMap(importsOf);
const ownFiles = new Set(files.map((file) => file.path));

test('imports point from functions, runner, cli and deploy to shared, and nowhere else', () => {
  const wrong = imports.filter(({ from, to }) => {
    if (!isOwn(to)) return false;
    const allowed = MAY_IMPORT.find(([folder]) => from.startsWith(folder))?.[1] ?? [];
    return !allowed.some((folder) => to.startsWith(folder));
  });
  assert.deepEqual(wrong.map(arrow), []);
});

test('every relative import names a file that is there', () => {
  assert.deepEqual(imports.filter(({ to }) => isOwn(to) && !ownFiles.has(to)).map(arrow), []);
});

test('the build engine reaches neither Firestore, Pub/Sub, storage nor configuration, on any way', () => {
  const start = files.map((file) => file.path).filter((path) => ENGINE.some((one) => path.startsWith(one)));
  const reached = reachable(start);
  const wrong = [...reached].filter(
    (one) =>
      one.startsWith('@google-cloud/') || one.endsWith('/config.ts') || one.startsWith('shared/firestore/'),
  );
  assert.deepEqual(wrong, []);
});

test('nothing imports a main.ts', async () => {
  const all = [...imports, ...(await sourceFiles(['test'])).flatMap(importsOf)];
  assert.deepEqual(all.filter(({ to }) => isOwn(to) && /(^|\/)main\.ts$/.test(to)).map(arrow), []);
});

test('an import is seen in each of its forms', () => {
  const text = [
    "import { a } from './a.ts';",
    'import type {\n  B,\n} from "../b.ts";',
    "export * from './c.ts';",
    "import './d.ts';",
    "const e = await import('./e.ts');",
    "new Worker(new URL('./f.ts', import.meta.url));",
    "import { g } from '@scope/g/deep';",
    "// import { h } from './h.ts';",
  ].join('\n');
  const found = importsOf({ path: 'runner/x/here.ts', text }).map(({ to }) => to);
  assert.deepEqual(found.sort(), [
    '@scope/g',
    'runner/b.ts',
    'runner/x/a.ts',
    'runner/x/c.ts',
    'runner/x/d.ts',
    'runner/x/e.ts',
    'runner/x/f.ts',
  ]);
});

function isOwn(to: string): boolean {
  return to.endsWith('.ts');
}

function arrow({ from, to }: Import): string {
  return `${from} → ${to}`;
}

/** Files and packages that are imported from the given files, directly or through others. */
function reachable(start: readonly string[]): Set<string> {
  const reached = new Set<string>();
  const open = [...start];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    for (const { from, to } of imports) {
      if (from !== path || reached.has(to)) continue;
      reached.add(to);
      open.push(to);
    }
  }
  return reached;
}
