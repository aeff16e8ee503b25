/**
 * Two ways to the same tree, both without the code they judge: packages installed one by one into a map, and layers
 * unpacked, changed, and put on one another.
 */
import type { DirectoryAttributes, LayerChanges } from '../../../../runner/environment/file-tree.ts';
import type { InstalledEntry, PackageContents } from '../../../../shared/apk/package-contents.ts';

export interface Node {
  /** `directory`, or what tells the content from another's. */
  readonly content: string;
  /** `uid:gid:mode`. */
  readonly attributes: string;
  readonly owner: string;
}

export type Nodes = Map<string, Node>;

const PLAIN = '0:0:755';

/** The tree after installing one package after the other (spec environment §8.2); undefined on a conflict. */
export function installOneByOne(
  packages: readonly PackageContents[],
  base: ReadonlyMap<string, DirectoryAttributes>,
): Nodes | undefined {
  const nodes: Nodes = new Map();
  for (const [path, one] of base)
    nodes.set(path, { content: 'directory', attributes: attributes(one), owner: '' });
  for (const { info, entries } of packages) {
    const contents = new Map<string, string>();
    for (const entry of entries) {
      if (entry.type === 'directory') {
        if (enter(nodes, entry.path, { by: info.name, own: attributes(entry) }) === undefined)
          return undefined;
        continue;
      }
      const names = entry.path.split('/');
      const last = names.pop() ?? '';
      const folder = enter(nodes, names.join('/'), { by: info.name });
      if (folder === undefined) return undefined;
      const here = join(folder, last);
      const content = contentOf(entry, contents);
      contents.set(entry.path, content);
      const comes = { content, attributes: attributes(entry), owner: info.name };
      const there = nodes.get(here);
      if (there === undefined) {
        nodes.set(here, comes);
        continue;
      }
      if (there.content === 'directory') return undefined;
      if (there.content === content) continue;
      const owner = packages.find((one) => one.info.name === there.owner)?.info;
      if (owner?.name !== info.name && owner?.replaces.includes(info.name)) continue;
      const mayReplace = owner?.origin === info.origin || info.replaces.includes(there.owner);
      if (!mayReplace) return undefined;
      nodes.set(here, comes);
    }
  }
  return nodes;
}

interface Entering {
  /** Name of the package. */
  readonly by: string;
  /** Attributes, where the package has an entry for the directory. */
  readonly own?: string;
  /** Followed so far. */
  readonly links?: number;
}

/**
 * Goes into a directory, through links, and makes what is missing; a directory that a package made only on the way gets
 * the attributes of that package's own entry. Its real path; undefined where a file is in the way or links lead in a
 * circle.
 */
function enter(nodes: Nodes, path: string, { by, own, links = 0 }: Entering): string | undefined {
  const names = path === '' ? [] : path.split('/');
  let at = '';
  for (const [index, name] of names.entries()) {
    const here = join(at, name);
    const there = nodes.get(here);
    const target = targetOf(there);
    const wanted = index === names.length - 1 ? own : undefined;
    if (target !== undefined) {
      const next = { by, links: links + 1, ...(wanted === undefined ? {} : { own: wanted }) };
      const inside = links > 10 ? undefined : enter(nodes, target, next);
      if (inside === undefined) return undefined;
      at = inside;
      continue;
    }
    if (there !== undefined && there.content !== 'directory') return undefined;
    const isOnTheWay = there === undefined || there.owner === `on the way of ${by}`;
    if (isOnTheWay && wanted !== undefined) {
      nodes.set(here, { content: 'directory', attributes: wanted, owner: '' });
    } else if (there === undefined) {
      nodes.set(here, { content: 'directory', attributes: PLAIN, owner: `on the way of ${by}` });
    }
    at = here;
  }
  return at;
}

/** Of a link, whose targets are from the root here. */
function targetOf(node: Node | undefined): string | undefined {
  return /^symlink \/(.*)$/.exec(node?.content ?? '')?.[1];
}

export interface Layer {
  readonly contents: PackageContents;
  readonly changes: LayerChanges;
}

/** Puts layers on one another, and what is set again at last on top. */
export function stackLayers(
  layers: readonly Layer[],
  atLast: ReadonlyMap<string, DirectoryAttributes>,
): Nodes {
  const whole: Nodes = new Map();
  for (const { contents, changes } of layers) putOn(whole, changed(unpacked(contents), changes));
  for (const [path, one] of atLast) {
    whole.set(path, { content: 'directory', attributes: attributes(one), owner: '' });
  }
  return whole;
}

function putOn(below: Nodes, above: Nodes): void {
  for (const [path, node] of above) below.set(path, node);
}

/** Parents without an entry are made plain; a later entry of a path takes the place of an earlier one. */
function unpacked({ info, entries }: PackageContents): Nodes {
  const layer: Nodes = new Map();
  const contents = new Map<string, string>();
  for (const entry of entries) {
    const names = entry.path.split('/').slice(0, -1);
    for (let length = 1; length <= names.length; length += 1) {
      const path = names.slice(0, length).join('/');
      if (!layer.has(path)) layer.set(path, { content: 'directory', attributes: PLAIN, owner: '' });
    }
    const content = entry.type === 'directory' ? 'directory' : contentOf(entry, contents);
    contents.set(entry.path, content);
    const owner = entry.type === 'directory' ? '' : info.name;
    layer.set(entry.path, { content, attributes: attributes(entry), owner });
  }
  return layer;
}

function changed(layer: Nodes, { dropped, moved, removed }: LayerChanges): Nodes {
  for (const path of dropped) remove(layer, path);
  const result: Nodes = new Map(layer);
  for (const { from, to } of moved) {
    const names = to.split('/');
    for (let length = 1; length <= names.length; length += 1) {
      const path = names.slice(0, length).join('/');
      if (!result.has(path)) result.set(path, { content: 'directory', attributes: PLAIN, owner: '' });
    }
    for (const [path, node] of layer) {
      if (path.startsWith(`${from}/`)) result.set(`${to}${path.slice(from.length)}`, node);
    }
  }
  for (const { misplaced } of moved) remove(result, misplaced);
  for (const path of removed) remove(result, path);
  return result;
}

function remove(layer: Nodes, path: string): void {
  for (const one of [...layer.keys()]) if (one === path || one.startsWith(`${path}/`)) layer.delete(one);
}

function contentOf(entry: InstalledEntry, contents: ReadonlyMap<string, string>): string {
  if (entry.type === 'hardlink') return contents.get(entry.target) ?? '';
  return entry.type === 'symlink' ? `symlink ${entry.target}` : `file ${entry.sha1}`;
}

function attributes({ uid, gid, mode }: DirectoryAttributes): string {
  return `${uid}:${gid}:${mode.toString(8)}`;
}

function join(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}
