/**
 * Composes the root file system of an environment inside BuildKit. Each package is a layer of its own, made from its
 * file by digest and cached for ever; the layers are merged, apk's database comes on top, and one small step finishes
 * the tree. No package byte passes through the runner.
 */
import { createHash } from 'node:crypto';
import { constants, gzipSync } from 'node:zlib';
import type { PackageContents } from '../../shared/apk/package-contents.ts';
import { SCRIPTLET_NAMES } from '../../shared/apk/package-write.ts';
import { exec, type FileStep, fileOp, httpSource, merge, type Output } from '../buildkit/llb.ts';
import { busyboxLinks } from './busybox.ts';
import { BASE_DIRECTORIES, databaseTar, type EnvironmentSettings } from './database.ts';
import { type FileTree, fileTree, type LayerChanges } from './file-tree.ts';
import { type FinishingOptions, finishingScript } from './finish.ts';
import type { LockedPackage } from './lock.ts';

export interface ComposeOptions extends EnvironmentSettings, Omit<FinishingOptions, 'busyboxLinks'> {
  /** In order of installation. */
  readonly packages: readonly LockedPackage[];
  /** Names of packages that most environments share; unpacked as one layer when all of them are here. */
  readonly base: ReadonlySet<string>;
  /** `merge`, or `one-layer` for a daemon without MergeOp: then every new combination is unpacked as a whole. */
  readonly layout: 'merge' | 'one-layer';
  /** Id of the session secret with the `Authorization` header of a repository, by location. */
  readonly authSecrets: ReadonlyMap<string, string>;
}

export interface ComposedEnvironment {
  /** The finished root file system, to build on. */
  readonly root: Output;
  /** What the session uploads when BuildKit asks for it, by id. */
  readonly uploads: ReadonlyMap<string, () => AsyncIterable<Uint8Array>>;
  /** The packages by the digest of the op that fetches each. */
  readonly sources: ReadonlyMap<string, LockedPackage>;
  /** What a log should say of the environment, each a sentence without its stop. */
  readonly warnings: readonly string[];
}

/** Id of the upload with apk's database. */
const DATABASE = 'package-database';

/**
 * @throws PipelineError `file-conflict` (`user`) where packages cannot stand side by side.
 */
export function composeEnvironment(options: ComposeOptions): ComposedEnvironment {
  const { packages } = options;
  const stacked = stackOf(options);
  const tree = treeOf(packages, stacked);
  const links = busyboxLinks(
    packages,
    tree,
    options.paths.map((one) => one.path),
  );
  // Held until BuildKit asks for it: as it is, the databases of all running builds would take more than all else.
  const database = gzipSync(databaseTar(packages, tree, { ...options, links: links ?? [] }), {
    level: constants.Z_BEST_SPEED,
  });
  const plain = new Map(packages.map((one) => [one, plainLayer(one, options)] as const));
  const layers = packageLayers(packages, { tree, plain });
  const uploaded = httpSource({
    url: `http://buildkit-session/${DATABASE}`,
    checksum: `sha256:${createHash('sha256').update(database).digest('hex')}`,
    filename: 'database.tar.gz',
    name: 'upload package database',
  });
  // On top, so that it is uploaded while the packages are merged.
  const installed = fileOp(
    mergedLayers(options.layout, stacked, layers),
    [{ unpack: uploaded, from: '/database.tar.gz', to: '/' }],
    'package database',
  );
  const root = exec({
    root: installed,
    args: [
      ...shell(tree),
      '-c',
      finishingScript({ ...options, busyboxLinks: links === undefined ? 'all' : 'made' }),
    ],
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin' },
    cwd: '/',
    network: 'none',
    name: 'finish environment',
  }).root;
  return {
    root,
    uploads: new Map([[DATABASE, () => inPieces(database)]]),
    sources: new Map([...plain].map(([one, { source }]) => [source.op.digest, one])),
    // Some builds ask it what they run on (spec environment §9).
    warnings: tree.has('etc/os-release') ? [] : ['no package of the environment brings /etc/os-release'],
  };
}

interface Stack {
  /** The packages of the base layer; none unless all of them are here, which makes the layer the same everywhere. */
  readonly shared: readonly LockedPackage[];
  /** Those with a layer each, above it. */
  readonly others: readonly LockedPackage[];
}

function stackOf({ packages, base }: ComposeOptions): Stack {
  const found = packages.filter((one) => base.has(one.entry.name));
  if (found.length < 2 || found.length < base.size) return { shared: [], others: packages };
  return { shared: found, others: packages.filter((one) => !base.has(one.entry.name)) };
}

function treeOf(packages: readonly LockedPackage[], { shared, others }: Stack): FileTree {
  const places = new Map([...shared, ...others].map((one, place) => [one, place] as const));
  return fileTree({
    packages: packages.map((one) => one.contents),
    places: packages.map((one) => places.get(one) ?? 0),
    base: BASE_DIRECTORIES,
  });
}

function mergedLayers(
  layout: ComposeOptions['layout'],
  { shared, others }: Stack,
  layers: ReadonlyMap<LockedPackage, Layer>,
): Output {
  if (shared.length + others.length === 0) return fileOp('scratch', [{ mkdir: '/tmp' }], 'empty environment');
  const unpacked = (some: readonly LockedPackage[], what: string): Output =>
    fileOp('scratch', stack(some, layers), `unpack ${some.length} ${what}`);
  if (layout === 'one-layer') return unpacked([...shared, ...others], 'packages');
  const base = shared.length === 0 ? [] : [unpacked(shared, 'base packages')];
  return merge([...base, ...others.flatMap((one) => layers.get(one)?.output ?? [])], 'merge packages');
}

interface Layer {
  /** The package's own layer. */
  readonly output: Output;
  /** What puts its files on top of other layers. */
  readonly onTop: readonly FileStep[];
}

/** A package as it is in every environment that leaves it alone. */
interface PlainLayer extends Layer {
  readonly source: Output;
  readonly unpack: FileStep;
}

interface KnownLayer {
  readonly url: string;
  readonly sha256: string;
  readonly secret: string | undefined;
  readonly layer: PlainLayer;
}

/** Layers made before, of packages that are still known: held by many environments, they are in memory once. */
const knownLayers = new WeakMap<PackageContents, KnownLayer>();

function plainLayer(one: LockedPackage, { authSecrets }: Pick<ComposeOptions, 'authSecrets'>): PlainLayer {
  const { url, sha256 } = one;
  const secret = authSecrets.get(one.repository.location);
  const before = knownLayers.get(one.contents);
  if (before?.url === url && before.sha256 === sha256 && before.secret === secret) return before.layer;
  const name = `${one.entry.name}-${one.entry.version}`;
  const source = httpSource({
    url,
    checksum: `sha256:${sha256}`,
    filename: 'package.apk',
    name: `fetch ${name}`,
    ...(secret === undefined ? {} : { authHeaderSecret: secret }),
  });
  const unpack: FileStep = { unpack: source, from: '/package.apk', to: '/' };
  const output = fileOp('scratch', [unpack, ...withoutApkFiles(one)], `unpack ${name}`);
  const layer = { source, unpack, output, onTop: [unpack] };
  knownLayers.set(one.contents, { url, sha256, secret, layer });
  return layer;
}

function packageLayers(
  packages: readonly LockedPackage[],
  what: { readonly tree: FileTree; readonly plain: ReadonlyMap<LockedPackage, PlainLayer> },
): ReadonlyMap<LockedPackage, Layer> {
  const layers = new Map<LockedPackage, Layer>();
  for (const [index, one] of packages.entries()) {
    const plain = what.plain.get(one);
    const changes = what.tree.changes[index];
    if (plain !== undefined && changes !== undefined) layers.set(one, changedLayer(one, plain, changes));
  }
  return layers;
}

/** One op from an empty layer: a removal in a layer of its own would also remove from the layers it is merged with. */
function changedLayer(one: LockedPackage, plain: PlainLayer, changes: LayerChanges): Layer {
  const { moved, dropped, removed } = changes;
  if (moved.length + dropped.length + removed.length === 0) return plain;
  const without = (paths: readonly string[]): FileStep[] => paths.map((path) => ({ remove: `/${path}` }));
  const name = `${one.entry.name}-${one.entry.version}`;
  const cleaned = [plain.unpack, ...withoutApkFiles(one), ...without(dropped)];
  if (moved.length === 0) {
    const output = fileOp('scratch', [...cleaned, ...without(removed)], `unpack part of ${name}`);
    return { output, onTop: [onTopOfAll(output)] };
  }
  const whole = fileOp('scratch', cleaned, `unpack ${name}`);
  const output = fileOp(
    'scratch',
    [
      onTopOfAll(whole),
      ...moved.map(
        ({ from, to }): FileStep => ({ copy: whole, from: `/${from}`, to: `/${to}`, content: true }),
      ),
      ...moved.map(({ misplaced }): FileStep => ({ remove: `/${misplaced}` })),
      ...without(removed),
    ],
    `move parts of ${name}`,
  );
  return { output, onTop: [onTopOfAll(output)] };
}

/** Puts the packages' layers on one another in one go. */
function stack(packages: readonly LockedPackage[], layers: ReadonlyMap<LockedPackage, Layer>): FileStep[] {
  const those = packages.flatMap((one) => layers.get(one) ?? []);
  if (packages.some((one) => dotFiles(one).size > 0)) return those.map(({ output }) => onTopOfAll(output));
  return [...those.flatMap((one) => one.onTop), ALL_DOT_FILES];
}

function onTopOfAll(layer: Output): FileStep {
  return { copy: layer, from: '/', to: '/', content: true };
}

/** What a package has at the top and begins with a dot; hardly ever anything. */
function dotFiles({ contents }: LockedPackage): ReadonlySet<string> {
  const names = contents.entries.flatMap(({ path }) => (path.startsWith('.') ? path.split('/', 1) : []));
  return new Set(names);
}

/** Removes what stands in a package file but is no file of the package: apk's own, and dot files before all others. */
function withoutApkFiles(one: LockedPackage): FileStep[] {
  const own = dotFiles(one);
  if (own.size === 0) return [ALL_DOT_FILES];
  const others = DOT_FILES.filter((name) => !own.has(name));
  return [
    { remove: '/.SIGN.*', wildcard: true },
    ...others.map((name): FileStep => ({ remove: `/${name}` })),
  ];
}

const ALL_DOT_FILES: FileStep = { remove: '/.*', wildcard: true };
const DOT_FILES = ['.PKGINFO', '.melange.yaml', '.dummy', ...SCRIPTLET_NAMES.map((name) => `.${name}`)];

/** What runs the finishing script: busybox where its links, `sh` among them, are still to be made. */
function shell(tree: FileTree): string[] {
  return !tree.has('bin/sh') && tree.has('bin/busybox') ? ['/bin/busybox', 'sh'] : ['/bin/sh'];
}

const PIECE_BYTES = 64 * 1024;

/** In pieces, of which each waits until the one before has gone. */
async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}
