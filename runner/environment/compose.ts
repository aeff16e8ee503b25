/**
 * Composes the root file system of an environment inside BuildKit. Each package is a layer of its own, made from its
 * file by digest and cached for ever; the layers are merged, and one small step finishes the tree. No package byte
 * passes through the runner.
 */
import { stripConstraint } from '../../shared/apk/constraint.ts';
import { formatIndex } from '../../shared/apk/package-index.ts';
import { exec, type FileStep, fileOp, httpSource, merge, type Output } from '../buildkit/llb.ts';
import { finishingScript, type GuestAccounts } from './finish.ts';
import type { LockedPackage } from './lock.ts';

export interface ComposeOptions {
  /** In order of installation. */
  readonly packages: readonly LockedPackage[];
  /** The constraints that were asked for: `/etc/apk/world`. */
  readonly world: readonly string[];
  /** Names of packages that most environments share; unpacked as one layer when all of them are here. */
  readonly base: ReadonlySet<string>;
  readonly arch: string;
  readonly accounts: GuestAccounts;
  /** Files of `/etc/apk/keys`, by name. */
  readonly keys: ReadonlyMap<string, string>;
  /** Id of the session secret with the `Authorization` header of a repository, by location. */
  readonly authSecrets: ReadonlyMap<string, string>;
}

/** The finished root file system, as an op to build on. */
export function composeEnvironment(options: ComposeOptions): Output {
  const { packages, base } = options;
  const shared = packages.filter((one) => base.has(one.entry.name));
  const useBase = shared.length > 1 && shared.length === base.size;
  const layers = useBase
    ? [
        baseLayer(shared, options.authSecrets),
        ...packages.filter((one) => !base.has(one.entry.name)).map((one) => packageLayer(one, options)),
      ]
    : packages.map((one) => packageLayer(one, options));
  const [only] = layers;
  const merged =
    only === undefined
      ? fileOp('scratch', [{ mkdir: '/tmp' }], 'empty environment')
      : merge(layers, 'merge packages');
  const database = fileOp(merged, databaseFiles(options), 'package database');
  return exec({
    root: database,
    args: [
      '/bin/sh',
      '-c',
      finishingScript({ accounts: options.accounts, busybox: busyboxPackage(packages) }),
    ],
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin' },
    cwd: '/',
    network: 'none',
    name: 'finish environment',
  }).root;
}

/** The package named so, else the last that provides it (spec environment §9). */
function busyboxPackage(packages: readonly LockedPackage[]): string | undefined {
  const providers = packages.filter(({ entry }) =>
    entry.provides.some((text) => stripConstraint(text) === 'busybox'),
  );
  const named = packages.find(({ entry }) => entry.name === 'busybox');
  return (named ?? providers.at(-1))?.entry.name;
}

/** Tar members of an apk that are no files of the package. */
const DOT_FILES: readonly FileStep[] = [
  { remove: '/.PKGINFO' },
  { remove: '/.melange.yaml' },
  { remove: '/.SIGN.*', wildcard: true },
  { remove: '/.pre-*', wildcard: true },
  { remove: '/.post-*', wildcard: true },
  { remove: '/.trigger' },
];

function packageSource(one: LockedPackage, authSecrets: ReadonlyMap<string, string>): Output {
  const secret = authSecrets.get(one.repository.location);
  return httpSource({
    url: one.url,
    checksum: `sha256:${one.sha256}`,
    filename: 'package.apk',
    name: `fetch ${one.entry.name}-${one.entry.version}`,
    ...(secret === undefined ? {} : { authHeaderSecret: secret }),
  });
}

function packageLayer(one: LockedPackage, options: ComposeOptions): Output {
  const source = packageSource(one, options.authSecrets);
  const unpack: FileStep = { unpack: source, from: '/package.apk', to: '/' };
  return fileOp('scratch', [unpack, ...DOT_FILES], `unpack ${one.entry.name}-${one.entry.version}`);
}

function baseLayer(packages: readonly LockedPackage[], authSecrets: ReadonlyMap<string, string>): Output {
  const unpack = packages.map(
    (one): FileStep => ({ unpack: packageSource(one, authSecrets), from: '/package.apk', to: '/' }),
  );
  return fileOp('scratch', [...unpack, ...DOT_FILES], `unpack ${packages.length} base packages`);
}

function databaseFiles(options: ComposeOptions): FileStep[] {
  const file = (path: string, text: string): FileStep => ({ mkfile: path, data: Buffer.from(text) });
  const repositories = [...new Set(options.packages.map((one) => one.repository.location))].sort();
  const installed = formatIndex(options.packages.map((one) => one.entry));
  return [
    { mkdir: '/etc/apk/keys' },
    { mkdir: '/usr/lib/apk/db' },
    { mkdir: '/var/cache/apk' },
    file('/etc/apk/arch', `${options.arch}\n`),
    file('/etc/apk/world', `${[...options.world].sort().join('\n')}\n`),
    file('/etc/apk/repositories', `${repositories.join('\n')}\n`),
    ...[...options.keys].map(([name, pem]) => file(`/etc/apk/keys/${name}`, pem)),
    file('/usr/lib/apk/db/installed', installed),
    file('/usr/lib/apk/db/triggers', ''),
    { mkfile: '/usr/lib/apk/db/lock', data: Buffer.alloc(0), mode: 0o600 },
  ];
}
