import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type FileTree, fileTree } from '../../../../runner/environment/file-tree.ts';
import type { InstalledEntry, PackageContents } from '../../../../shared/apk/package-contents.ts';
import { PipelineError } from '../../../../shared/errors.ts';
import { installOneByOne, type Nodes, stackLayers } from './installed-by-hand.ts';
import { contentsOf, file, folder, hardLink, link } from './small-packages.ts';

/** Links stand in the first package, as in a base layout: after it there is one order that makes sense. */
const LINKS: readonly (readonly [string, string])[] = [
  ['l', '/a'],
  ['m', '/a/d'],
  ['a/n', '/b'],
  ['k', '/l/n'],
];
const FOLDERS = ['a', 'b', 'a/d', 'b/d', 'c', 'l', 'm', 'l/d', 'a/n', 'l/n/d', 'k'];
const NAMES = ['p0', 'p1', 'p2', 'p3'];
const BASE = new Map([['b', { uid: 0, gid: 0, mode: 0o1777 }]]);

const mode = fc.constantFrom(0o644, 0o600);
const anyFolder = fc
  .tuple(fc.constantFrom(...FOLDERS), fc.constantFrom(0o755, 0o700))
  .map(([path, bits]) => folder(path, { mode: bits }));
const path = fc
  .tuple(fc.constantFrom('', ...FOLDERS.map((one) => `${one}/`)), fc.constantFrom('f', 'g'))
  .map((parts) => parts.join(''));
const anyFile = fc
  .tuple(path, fc.constantFrom('1', '2'), mode)
  .map(([at, content, bits]) => file(at, content, { mode: bits }));
const fileInPlaceOfFolder = fc.constantFrom('c', 'b/d').map((at) => file(at, '1'));
const anyLink = fc.tuple(path, fc.constantFrom('nowhere', 'other')).map(([at, to]) => link(at, to));
const entries = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: anyFile },
      { weight: 3, arbitrary: anyFolder },
      { weight: 1, arbitrary: anyLink },
      { weight: 1, arbitrary: fileInPlaceOfFolder },
    ),
    { maxLength: 6 },
  )
  .chain((some) => fc.tuple(fc.constant(some), fc.option(path)))
  .map(([some, name]) => withHardLink(onePathEach(some), name));

const packages = fc
  .tuple(
    fc.shuffledSubarray([...LINKS]),
    fc.array(
      fc.record({
        entries,
        origin: fc.option(fc.constantFrom('x', 'y'), { nil: undefined }),
        replaces: fc.subarray([...NAMES, ...NAMES.map((name) => `${name}<2`)]),
      }),
      { minLength: 1, maxLength: NAMES.length },
    ),
  )
  .map(([links, several]) => [
    contentsOf({ name: 'base', entries: links.map(([at, to]) => link(at, to)) }),
    ...several.map(({ entries: some, replaces, origin }, index) => {
      const name = NAMES[index] ?? '';
      return contentsOf({ name, entries: some, replaces, origin: origin ?? name });
    }),
  ]);

test('stacked layers make the tree that installing one package after the other makes', () => {
  let installable = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      packages.chain((some) =>
        fc.tuple(fc.constant(some), fc.shuffledSubarray(keysOf(some), { minLength: some.length })),
      ),
      ([some, places]) => {
        const expected = installOneByOne(some, BASE);
        const tree = attempt(some, places);
        assert.equal(tree === undefined, expected === undefined);
        if (tree === undefined || expected === undefined) {
          refused += 1;
          return;
        }
        installable += 1;
        const layers = some
          .map((contents, index) => ({
            contents,
            changes: tree.changes[index] ?? NOTHING,
            place: places[index] ?? 0,
          }))
          .toSorted((a, b) => a.place - b.place);
        const again = new Map(
          [...BASE.keys(), ...tree.disputed].flatMap((at) => {
            const one = tree.directories.get(tree.place(at));
            return one === undefined ? [] : [[tree.place(at), one] as const];
          }),
        );
        assert.deepEqual(sorted(stackLayers(layers, again)), sorted(expected));
        assert.deepEqual(owners(tree, some), ownersIn(expected));
      },
    ),
    { numRuns: 3000 },
  );
  assert.ok(installable > 500 && refused > 100, `${installable} installable, ${refused} refused`);
});

const NOTHING = { dropped: [], moved: [], removed: [] };

function attempt(some: readonly PackageContents[], places: readonly number[]): FileTree | undefined {
  try {
    return fileTree({ packages: some, places, base: BASE });
  } catch (error) {
    assert.ok(error instanceof PipelineError && error.code === 'file-conflict', String(error));
    return undefined;
  }
}

function sorted(nodes: Nodes): [string, string][] {
  return [...nodes]
    .filter(([at]) => at !== '')
    .map(([at, { content, attributes }]): [string, string] => [
      at,
      // A link has no mode.
      `${content} ${content.startsWith('symlink') ? '' : attributes}`,
    ])
    .sort();
}

function owners(tree: FileTree, some: readonly PackageContents[]): string[] {
  return tree.installed
    .flatMap(({ directories }, index) =>
      [...directories].flatMap(([at, files]) =>
        files.map((one) => `${at === '' ? '' : `${at}/`}${basename(one.path)} ${some[index]?.info.name}`),
      ),
    )
    .sort();
}

function ownersIn(nodes: Nodes): string[] {
  return [...nodes]
    .filter(([, one]) => one.content !== 'directory')
    .map(([at, one]) => `${at} ${one.owner}`)
    .sort();
}

function onePathEach(some: readonly InstalledEntry[]): InstalledEntry[] {
  return [...new Map(some.map((one) => [one.path, one])).values()].filter(
    (one, _, all) => one.type === 'directory' || !all.some((other) => other.path.startsWith(`${one.path}/`)),
  );
}

/** Joins the first file by one more name, if that is free. */
function withHardLink(some: InstalledEntry[], name: string | null): InstalledEntry[] {
  const first = some.find((one) => one.type === 'file');
  if (first === undefined || name === null || some.some((one) => one.path === name)) return some;
  return [...some, { ...hardLink(name, first.path), mode: first.mode }];
}

function keysOf(some: readonly unknown[]): number[] {
  return [...some.keys()];
}
