/** The guest that steps run in: packages, accounts and environment variables. */
import { compareBytes, sortedUnique } from '../apk/byte-order.ts';
import { textValues } from './build-file.ts';
import type { PlannedAccounts, PlannedEnvironment, PlannedPath } from './plan.ts';
import type { Accounts, EnvironmentSection } from './schema.ts';

/** Variables that builds have unless the build file sets them (melange build file, section 3, step 11). */
const DEFAULT_VARIABLES: Readonly<Record<string, string>> = {
  HOME: '/home/build',
  GOPATH: '/home/build/.cache/go',
  GOMODCACHE: '/var/cache/melange/gomodcache',
  UV_CACHE_DIR: '/var/cache/melange/uv',
  PIP_CACHE_DIR: '/var/cache/melange/pip',
  COMPOSER_CACHE_DIR: '/var/cache/melange/composer',
  npm_config_cache: '/var/cache/melange/npm',
};

/** The user and group that every guest has; its files become root's in the package. */
export const BUILD_ACCOUNT = { name: 'build', id: 1000 } as const;

export interface EnvironmentInput {
  readonly section: EnvironmentSection | undefined;
  /** Packages wanted beyond those of the section. */
  readonly packages: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  readonly capabilities: PlannedEnvironment['capabilities'];
}

export function planEnvironment({
  section,
  packages,
  variables,
  capabilities,
}: EnvironmentInput): PlannedEnvironment {
  const contents = section?.contents;
  return {
    packages: sortedUnique(packages),
    repositories: sortedUnique([
      ...textValues(contents?.buildRepositories),
      ...textValues(contents?.repositories),
    ]),
    keptRepositories: sortedUnique(textValues(contents?.repositories)),
    keyring: sortedUnique(textValues(contents?.keyring)),
    accounts: planAccounts(section?.accounts),
    variables: sortedRecord(Object.entries(variables)),
    capabilities,
    paths: planPaths(section),
  };
}

/** Environment of the build: the section's variables, the defaults where it has none or an empty one. */
export function buildVariables(section: EnvironmentSection | undefined): Record<string, string> {
  const variables = environmentVariables(section);
  for (const [name, value] of Object.entries(DEFAULT_VARIABLES)) variables[name] ||= value;
  return variables;
}

/** What the section itself sets. */
export function environmentVariables(section: EnvironmentSection | undefined): Record<string, string> {
  return Object.fromEntries([...(section?.environment ?? [])].map(([name, { value }]) => [name, value]));
}

/** The accounts of the section, and the build user and group unless it declares them itself. */
function planAccounts(accounts: Accounts | undefined): PlannedAccounts {
  const users = (accounts?.users ?? []).map((user) => {
    const name = user.username?.value ?? '';
    const uid = user.uid ?? 0;
    return {
      name,
      uid,
      // A user without a group of its own has the one of the same number.
      gid: user.gid ?? uid,
      home: user.homedir?.value || `/home/${name}`,
      shell: user.shell?.value || '/bin/sh',
    };
  });
  const groups = (accounts?.groups ?? []).map((group) => ({
    name: group.groupname?.value ?? '',
    gid: group.gid ?? 0,
    members: textValues(group.members),
  }));
  const { name, id } = BUILD_ACCOUNT;
  if (!groups.some((group) => group.name === name)) groups.push({ name, gid: id, members: [name] });
  if (!users.some((user) => user.name === name)) {
    users.push({ name, uid: id, gid: id, home: '/home/build', shell: '/bin/sh' });
  }
  return { runAs: accounts?.runAs?.value ?? '', users, groups };
}

function planPaths(section: EnvironmentSection | undefined): PlannedPath[] {
  return (section?.paths ?? []).map((one) => ({
    path: one.path?.value ?? '',
    type: one.type?.value ?? '',
    uid: one.uid ?? 0,
    gid: one.gid ?? 0,
    permissions: one.permissions ?? 0,
    source: one.source?.value ?? '',
    recursive: one.recursive ?? false,
  }));
}

/** A record whose keys are in bytewise order, so that its text is always the same. */
export function sortedRecord<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  return Object.fromEntries([...entries].sort(([a], [b]) => compareBytes(a, b)));
}
