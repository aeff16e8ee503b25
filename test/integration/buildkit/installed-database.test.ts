import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { localSigningKey } from '../../../deploy/local/bootstrap/local-key.ts';
import { prepareBootstrapRepository } from '../../../deploy/local/bootstrap/repository.ts';
import { exec } from '../../../runner/buildkit/llb.ts';
import { supportsMerge } from '../../../runner/buildkit/merge-support.ts';
import { solve } from '../../../runner/buildkit/solve.ts';
import { type ComposeOptions, composeEnvironment } from '../../../runner/environment/compose.ts';
import type { LockedPackage } from '../../../runner/environment/lock.ts';
import { readTar } from '../../../shared/apk/tar-read.ts';
import { PipelineError } from '../../../shared/errors.ts';
import { startLoopbackServer } from '../../pipelines/loopback.ts';
import { lockedPackages, writeTestPackages } from './installable-packages.ts';
import { type ListedPath, readInstalled, readTree, type Tree, type TreeEntry } from './installed-tree.ts';
import { BASE, LONG, libraryWithoutLink, OWN, SPECIAL } from './packages-to-install.ts';
import {
  type RealBuildkit,
  skipOwnEngine,
  skipReason,
  startBuildkitWithoutMerge,
  startRealBuildkit,
} from './real-buildkit.ts';

const carryall = fileURLToPath(new URL('../../../.carryall/', import.meta.url));

const DEBIAN = ['bash', 'busybox-static', 'coreutils', 'grep', 'sed', 'make', 'perl-base', 'libc-bin'];

/** What is in the tree and comes from no package. */
const MADE = [
  /^etc\/apk\/(arch|world|repositories|keys\/test\.rsa\.pub)$/,
  /^etc\/apko\.json$/,
  /^usr\/lib\/apk\/db\/(installed|lock|scripts\.tar|triggers)$/,
  /^etc\/ld\.so\.cache$/,
  /^var\/cache\/ldconfig(\/aux-cache)?$/,
  /^made(\/|$)/,
  /^srv(\/|$)/,
  /^home\/mate$/,
  /^(tmp|dev|etc|opt|proc|var|usr|usr\/lib)$/,
  /^etc\/apk(\/keys)?$/,
  /^usr\/lib\/apk(\/db|\/exec)?$/,
  /^var\/cache(\/apk|\/misc)?$/,
];
/** Files of packages that the environment's own accounts and paths change. */
const CHANGED = new Set(['etc/passwd', 'etc/group', 'etc/shadow', 'etc/shells']);

describe('the installed database of an environment made in BuildKit', { skip: skipReason }, () => {
  let resources: AsyncDisposableStack;
  let buildkit: RealBuildkit;
  let known: ReadonlyMap<string, LockedPackage>;
  let merged: Tree;
  let listed: readonly ListedPath[];

  before(async () => {
    await using starting = new AsyncDisposableStack();
    const key = await localSigningKey(join(carryall, 'test-pipelines'), 'pipelines.rsa');
    const debian = await prepareBootstrapRepository({
      folder: join(carryall, 'test-pipelines', 'installed-database'),
      debianFolder: join(carryall, 'debian', 'machine'),
      key,
      names: DEBIAN,
    });
    const folder = await mkdtemp(join(tmpdir(), 'installable-'));
    starting.defer(() => rm(folder, { recursive: true, force: true }));
    const from = join(debian.folder, debian.arch);
    for (const file of await readdir(from)) await cp(join(from, file), join(folder, file));
    await writeTestPackages(folder, [...OWN, ...SPECIAL, await libraryWithoutLink(from)]);
    const served = starting.use(
      await startLoopbackServer((request, response) => {
        createReadStream(join(folder, decodeURIComponent(request.url ?? ''))).pipe(response);
      }),
    );
    known = await lockedPackages(folder, served.url);
    buildkit = starting.use(await startRealBuildkit());
    resources = starting.move();
    merged = await made(composed({}));
    listed = readInstalled(textOf(merged, 'usr/lib/apk/db/installed'));
  });
  after(() => resources?.disposeAsync());

  const composed = (
    more: Partial<ComposeOptions> & { readonly names?: readonly string[] },
  ): ReturnType<typeof composeEnvironment> => {
    const own = OWN.map((one) => one.name);
    const others = [...known.keys()].filter(
      (name) => ![...own, ...SPECIAL.map((one) => one.name)].includes(name),
    );
    const names = more.names ?? [
      'bootstrap-base',
      ...others.filter((name) => name !== 'bootstrap-base').sort(),
      ...own,
    ];
    return composeEnvironment({
      packages: names.flatMap((name) => known.get(name) ?? []),
      base: new Set(BASE),
      layout: 'merge',
      authSecrets: new Map(),
      arch: 'x86_64',
      world: ['odd', 'bash>5', 'games'],
      repositories: ['https://packages.test/os', 'https://packages.test/extra'],
      keys: new Map([['test.rsa.pub', 'PUBLIC KEY\n']]),
      configuration: { contents: { packages: ['odd=1-r0'] } },
      accounts: {
        users: [{ name: 'mate', uid: 1234, gid: 1234, home: '/home/mate', shell: '/bin/sh' }],
        groups: [{ name: 'crew', gid: 1234, members: ['mate', 'game'] }],
      },
      paths: [
        { ...PATH, path: '/made/here', type: 'directory', uid: 1, gid: 2, permissions: 0o2770 },
        { ...PATH, path: '/made/empty', type: 'empty-file', uid: 3, permissions: 0o600 },
        { ...PATH, path: '/made/deep/hard', type: 'hardlink', source: '/made/empty', permissions: 0o640 },
        { ...PATH, path: '/made/soft', type: 'symlink', source: "../tar get's" },
        { ...PATH, path: '/etc/shells', type: 'permissions', uid: 8, gid: 9, permissions: 0o4711 },
        { ...PATH, path: '/made/tree/leaf', type: 'directory' },
        {
          ...PATH,
          path: '/made/tree',
          type: 'directory',
          uid: 4,
          gid: 4,
          permissions: 0o700,
          recursive: true,
        },
        { ...PATH, path: '/usr/bin/vi', type: 'empty-file', permissions: 0o755 },
      ],
      ...more,
    });
  };

  const made = async (
    { root, uploads }: ReturnType<typeof composeEnvironment>,
    { connection }: Pick<RealBuildkit, 'connection'> = buildkit,
  ): Promise<Tree> => {
    let tree = new Map<string, TreeEntry>();
    await solve({
      connection,
      output: root,
      services: {
        uploads,
        receiveTar: async (chunks) => {
          tree = await readTree(chunks);
        },
      },
      entitlements: [],
      onProgress: () => undefined,
      signal: AbortSignal.timeout(120_000),
    });
    return tree;
  };

  test('lists nothing but what is in the tree, with its owner, mode and checksum', () => {
    const wrong = listed.flatMap(({ path, owner, attributes, sha1 }) => {
      const there = merged.get(path);
      const expected = { attributes, sha1: sha1 ?? '', isDirectory: sha1 === undefined };
      // A link has no mode of its own.
      const rightAttributes =
        there?.type === 'symlink'
          ? `${there.attributes.replace(/[^:]*$/, '')}${attributes.split(':')[2]}`
          : there?.attributes;
      const actual = {
        attributes: rightAttributes,
        sha1: there?.sha1,
        isDirectory: there?.type === 'directory',
      };
      // The root itself is not in the tar.
      if (path === '' || (CHANGED.has(path) && there !== undefined)) return [];
      return JSON.stringify(expected) === JSON.stringify(actual) ? [] : [{ owner, path, expected, actual }];
    });
    assert.deepEqual(wrong, []);
    assert.ok(listed.length > 1000);
  });

  test('lists every file of the tree once, but for what no package brings', () => {
    const files = listed.filter((one) => one.sha1 !== undefined).map((one) => one.path);
    assert.equal(new Set(files).size, files.length);
    const all = new Set(listed.map((one) => one.path));
    const unlisted = [...merged].filter(
      ([path, entry]) =>
        path !== '' &&
        !all.has(path) &&
        entry.target !== '/bin/busybox' &&
        !MADE.some((made) => made.test(path)),
    );
    assert.deepEqual(
      unlisted.map(([path]) => path),
      ['usr/bin/vi'],
    );
  });

  const ownerOf = (path: string): string | undefined =>
    listed.find((one) => one.path === path && one.sha1 !== undefined)?.owner;
  const at = (path: string): string => {
    const entry = merged.get(path);
    return entry === undefined ? 'nothing' : `${entry.type} ${entry.attributes}`;
  };

  test('gives a path to the package that installing one after the other gives it to', () => {
    assert.deepEqual(
      ['etc/kept.conf', 'etc/shared', 'etc/passwd', 'usr/share/overwritten'].map((path) => ownerOf(path)),
      ['keeper', 'keeper', 'accounts', 'new-half'],
    );
    assert.equal(textOf(merged, 'etc/kept.conf'), 'the first');
    assert.equal(at('etc/shared'), 'file 0:0:600');
    assert.equal(textOf(merged, 'usr/share/overwritten'), 'new');
    assert.equal(at('usr/share/overwritten'), 'file 0:0:600');
    assert.equal(textOf(merged, 'usr/bin/twice'), 'in /usr/bin');
  });

  test('keeps owners, modes, hard links and names as the packages have them', () => {
    assert.equal(at('usr/bin/setuid-tool'), 'file 0:0:4755');
    assert.equal(at('usr/lib/odd'), 'directory 5:6:750');
    assert.equal(at('usr/share/odd/owned'), 'file 12:34:640');
    assert.equal(textOf(merged, 'usr/share/odd/größe ☃'), 'snow');
    assert.equal(textOf(merged, `${LONG}/file`), 'long');
    assert.ok(`${LONG}/file`.length > 150);
    assert.equal(at('usr/lib/raw/first'), 'file 3:0:755');
    for (const folder of ['usr/lib/raw', 'usr/lib/moved']) {
      const first = merged.get(`${folder}/first`);
      assert.ok(first !== undefined && first === merged.get(`${folder}/second`), folder);
    }
  });

  test('gives a directory the attributes of the package that came first', () => {
    assert.equal(at('var/games'), 'directory 5:6:2775');
    assert.equal(at('var/other'), 'directory 0:0:755');
    assert.equal(at('tmp'), 'directory 0:0:1777');
    assert.equal(at('proc'), 'directory 0:0:555');
    assert.equal(at('usr/lib/late'), 'directory 0:0:711');
  });

  test('has a plain root directory, whatever a package says of it', async () => {
    for (const layout of ['merge', 'one-layer'] as const) {
      const environment = composed({ layout });
      const looked = exec({
        root: environment.root,
        mounts: [{ dest: '/out', input: 'scratch', keep: 'output' }],
        args: ['/bin/sh', '-c', 'stat -c %u:%g:%a / >/out/root'],
        env: { PATH: '/usr/bin' },
        cwd: '/',
        network: 'none',
        name: 'look at the root',
      }).output('/out');
      assert.equal(textOf(await made({ ...environment, root: looked }), 'root'), '0:0:755\n');
    }
  });

  test('puts what lies below a link to a directory into its target', () => {
    for (const path of ['bin', 'lib', 'sbin', 'usr/sbin', 'opt/place'])
      assert.equal(merged.get(path)?.type, 'symlink', path);
    assert.equal(textOf(merged, 'usr/lib/late/file'), 'early');
    assert.equal(ownerOf('usr/lib/late/file'), 'early');
    assert.equal(ownerOf('usr/bin/odd'), 'odd');
    assert.equal(ownerOf('usr/bin/ldconfig'), 'libc-bin');
    assert.ok(merged.has('usr/lib/apk/db/installed'));
  });

  test('holds none of the files that stand beside a package’s own', () => {
    assert.deepEqual(topDotFiles(merged), []);
    assert.equal(at('ran'), 'nothing');
    assert.equal(at('triggered'), 'nothing');
  });

  test('comes with scripts, triggers, and what was asked for', async () => {
    const checksum = known.get('scripted')?.controlChecksum;
    const scripts = new Map<string, string>();
    const content = Buffer.from(textOf(merged, 'usr/lib/apk/db/scripts.tar'));
    for await (const entry of readTar(one(content))) {
      if (entry.name.startsWith('scripted')) {
        scripts.set(entry.name, Buffer.concat(await Array.fromAsync(entry.content)).toString());
      }
    }
    assert.deepEqual(Object.fromEntries(scripts), {
      [`scripted-1-r0.${checksum}.post-install`]: '#!/bin/sh\ntouch /ran\n',
      [`scripted-1-r0.${checksum}.trigger`]: '#!/bin/sh\ntouch /triggered\n',
    });
    assert.ok(textOf(merged, 'usr/lib/apk/db/triggers').includes(`${checksum} /usr/share/odd /usr/lib/*\n`));
    assert.equal(textOf(merged, 'etc/apk/world'), 'bash>5\ngames\nodd\n');
    assert.equal(textOf(merged, 'etc/apk/arch'), 'x86_64\n');
    assert.equal(
      textOf(merged, 'etc/apk/repositories'),
      'https://packages.test/extra\nhttps://packages.test/os\n',
    );
    assert.equal(textOf(merged, 'etc/apk/keys/test.rsa.pub'), 'PUBLIC KEY\n');
    assert.equal(textOf(merged, 'etc/apko.json'), '{"contents":{"packages":["odd=1-r0"]}}\n');
    assert.equal(at('etc/apko.json'), 'file 0:0:444');
    assert.equal(at('usr/lib/apk/db/lock'), 'file 0:0:600');
  });

  test('the accounts of the build file are added to those of the packages, and each has a home', () => {
    assert.deepEqual(textOf(merged, 'etc/passwd').split('\n').slice(-3), [
      'last:x:10:11::/srv/last:/bin/sh',
      'mate:x:1234:1234:Account created by Carryall:/home/mate:/bin/sh',
      '',
    ]);
    assert.ok(textOf(merged, 'etc/group').endsWith('crew:x:1234:mate,game\n'));
    assert.ok(textOf(merged, 'etc/shadow').endsWith('mate:!:::::::\n'));
    assert.equal(at('etc/shadow'), 'file 0:0:640');
    assert.equal(at('home/mate'), 'directory 1234:1234:700');
    assert.equal(at('srv/deep/game'), 'directory 5:6:700');
    assert.equal(at('srv/deep'), 'directory 0:0:755');
    assert.equal(at('srv/last'), 'directory 10:11:700');
    assert.equal(at('root'), 'directory 0:0:700');
  });

  test('the paths of the build file are made and changed in their order', () => {
    assert.equal(at('made/here'), 'directory 1:2:2770');
    assert.equal(at('made/empty'), 'file 0:0:640');
    assert.equal(merged.get('made/empty'), merged.get('made/deep/hard'));
    assert.equal(merged.get('made/soft')?.target, "../tar get's");
    assert.equal(at('etc/shells'), 'file 8:9:4711');
    assert.equal(at('made/tree'), 'directory 4:4:700');
    assert.equal(at('made/tree/leaf'), 'directory 4:4:700');
  });

  test('busybox has a link wherever neither package nor build file put something', () => {
    assert.equal(at('usr/bin/vi'), 'file 0:0:755');
    assert.equal(merged.get('usr/bin/unzip')?.target, '/bin/busybox');
    assert.equal(ownerOf('usr/bin/ls'), 'coreutils');
    assert.ok((merged.get('usr/bin/busybox')?.sha1 ?? '') !== '');
  });

  test('the cache of the loader is made, and no links beside those of the packages', () => {
    assert.ok(textOf(merged, 'etc/ld.so.cache').includes('/libc.so.6'));
    assert.equal(ownerOf('usr/lib/libunlinked.so.7'), 'unlinked');
    assert.equal(at('usr/lib/libacl.so.1'), 'nothing');
  });

  test('is the same tree in one layer', async () => {
    const stacked = await made(composed({ layout: 'one-layer' }));
    assert.deepEqual(differences(merged, stacked), []);
  });

  test('is the same tree when a daemon without MergeOp makes it', { skip: skipOwnEngine }, async () => {
    await using other = await startBuildkitWithoutMerge();
    assert.equal(await supportsMerge(other.connection, new AbortController().signal), false);
    const stacked = await made(composed({ layout: 'one-layer' }), other);
    assert.deepEqual(differences(merged, stacked), []);
  });

  test('is finished by busybox where that is the only shell and nothing links to it', async () => {
    const tree = await made(composed({ names: ['bootstrap-base', 'busybox-static'] }));
    assert.equal(tree.get('usr/bin/sh')?.target, '/bin/busybox');
    assert.equal(tree.get('home/mate')?.attributes, '1234:1234:700');
    assert.equal(tree.get('usr/bin/vi')?.type, 'file');
    assert.deepEqual(topDotFiles(tree), []);
  });

  test('has the dot files at the top that are a package’s own', async () => {
    for (const layout of ['merge', 'one-layer'] as const) {
      const tree = await made(
        composed({ layout, names: ['bootstrap-base', 'busybox-static', 'dotted', 'raw'] }),
      );
      assert.deepEqual(topDotFiles(tree), ['.later'], layout);
      assert.equal(tree.get('.later')?.attributes, '0:0:640');
    }
  });

  test('is told of where nothing says what it is', () => {
    const [warning] = composed({ names: ['bootstrap-base', 'bash'] }).warnings;
    assert.equal(warning, 'no package of the environment brings /etc/os-release');
    assert.deepEqual(composed({ names: ['bootstrap-base', 'release'] }).warnings, []);
  });

  test('is never begun where packages bring different files of one path', () => {
    assert.throws(
      () => composed({ names: ['bootstrap-base', 'bash', 'other-bash'] }),
      (thrown) =>
        thrown instanceof PipelineError &&
        thrown.code === 'file-conflict' &&
        thrown.kind === 'user' &&
        /other-bash-1-r0 brings \/usr\/bin\/bash, which belongs to bash-5/.test(thrown.message),
    );
  });
});

const PATH = { uid: 0, gid: 0, permissions: 0, source: '', recursive: false };

function topDotFiles(tree: Tree): string[] {
  return [...tree.keys()].filter((path) => path.startsWith('.'));
}

function textOf(tree: Tree, path: string): string {
  const entry = tree.get(path);
  assert.equal(entry?.type, 'file', path);
  return entry?.text ?? '';
}

/** The loader's auxiliary cache holds times and inode numbers. */
function differences(one: Tree, other: Tree): string[] {
  return [...new Set([...one.keys(), ...other.keys()])].filter((path) => {
    if (path === 'var/cache/ldconfig/aux-cache') return false;
    return JSON.stringify(one.get(path)) !== JSON.stringify(other.get(path));
  });
}

async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
