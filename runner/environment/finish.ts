/** The script that finishes an environment's tree: what packages leave to be made (spec environment §9). */
import type { PlannedAccounts, PlannedPath } from '../../shared/build-file/plan.ts';
import { shellQuote } from '../../shared/build-file/shell.ts';
import { PipelineError } from '../../shared/errors.ts';

/** Accounts that a build file adds to its environment. */
export type GuestAccounts = Pick<PlannedAccounts, 'users' | 'groups'>;

export interface FinishingOptions {
  readonly accounts: GuestAccounts;
  /** What the build file makes or changes in the tree. */
  readonly paths: readonly PlannedPath[];
  /** `made` where the links to busybox are there already; `all` has busybox asked for what it can stand in for. */
  readonly busyboxLinks: 'made' | 'all';
}

/**
 * Runs inside the merged tree, with nothing but what its packages brought: accounts and home directories, the build
 * file's paths, links to busybox, and the cache of the dynamic loader. Busybox also stands in for the programs this
 * takes, before its links are there.
 *
 * @throws PipelineError `invalid-value` (`user`) for a path of unknown type.
 */
export function finishingScript({ accounts, paths, busyboxLinks }: FinishingOptions): string {
  return [
    'set -ef',
    'umask 022',
    ...STAND_INS,
    ...appended('/etc/group', accounts.groups, groupLine),
    ...appended('/etc/passwd', accounts.users, userLine),
    ...(accounts.users.length === 0
      ? []
      : ['[ -e /etc/shadow ] || { : >/etc/shadow; chmod 0640 /etc/shadow; }']),
    ...appended('/etc/shadow', accounts.users, (user) => `${user.name}:!:::::::`),
    ...HOME_DIRECTORIES,
    ...OTHER_DIRECTORIES,
    ...paths.flatMap(mutation),
    ...(busyboxLinks === 'all' ? LINKS_FOR_ALL : []),
    // Links between libraries are the packages' business.
    'if [ -x /sbin/ldconfig ] && [ -e /etc/ld.so.conf ]; then /sbin/ldconfig -X || true; fi',
    'if [ -d $tools ]; then /bin/busybox rm -r $tools; fi',
  ].join('\n');
}

/** What this script runs, from busybox where no package brings it. */
const STAND_INS = [
  'tools=/.finishing',
  'for name in chmod chown dirname ln mkdir; do',
  '  if command -v $name >/dev/null || [ ! -x /bin/busybox ]; then continue; fi',
  '  [ -d $tools ] || /bin/busybox mkdir $tools',
  '  /bin/busybox ln -s /bin/busybox $tools/$name',
  'done',
  'PATH=$PATH:$tools',
];

type Group = GuestAccounts['groups'][number];
type User = GuestAccounts['users'][number];

function groupLine({ name, gid, members }: Group): string {
  return `${name}:x:${gid}:${members.join(',')}`;
}

function userLine({ name, uid, gid, home, shell }: User): string {
  return `${name}:x:${uid}:${gid}:Account created by Carryall:${home}:${shell}`;
}

/** Adds a line for each account to a file, whose last line may lack its end. */
function appended<Account>(
  file: string,
  accounts: readonly Account[],
  lineOf: (account: Account) => string,
): string[] {
  if (accounts.length === 0) return [];
  return [
    'rest=',
    `if [ -e ${file} ]; then while IFS= read -r rest; do rest=; done <${file}; fi`,
    `if [ -n "$rest" ]; then echo >>${file}; fi`,
    ...accounts.map((one) => `printf '%s\\n' ${shellQuote(lineOf(one))} >>${file}`),
  ];
}

/** Every account gets its home, also those that packages bring. */
const HOME_DIRECTORIES = [
  'if [ -e /etc/passwd ]; then',
  '  while IFS=: read -r name password uid gid comment home shell || [ -n "$name" ]; do',
  '    case $home in /dev/null) continue ;; /*) ;; *) continue ;; esac',
  '    case $uid:$gid in :* | *: | *[!0-9:]*) continue ;; esac',
  '    if [ -e "$home" ] || [ -h "$home" ]; then continue; fi',
  '    mkdir -p "$home"',
  '    chown "$uid:$gid" "$home"',
  '    chmod 0700 "$home"',
  '  done </etc/passwd',
  'fi',
];

const OTHER_DIRECTORIES = [
  '[ -d /home ] || mkdir -p /home',
  '[ -d /root ] || mkdir -m 0700 -p /root',
  '[ -d /var/tmp ] || { mkdir -p /var/tmp && chmod 1777 /var/tmp; }',
  '[ -e /lib/apk ] || { mkdir -p /lib && ln -s ../usr/lib/apk /lib/apk; }',
];

/** Links for the commands that no package brought a program for. */
const LINKS_FOR_ALL = [
  'if [ -x /bin/busybox ]; then',
  '  for p in $(/bin/busybox --list-full); do',
  '    p="/${p#/}"',
  '    if [ -e "$p" ] || [ -h "$p" ]; then continue; fi',
  '    [ -d "${p%/*}/" ] || mkdir -p "${p%/*}"',
  '    ln -s /bin/busybox "$p"',
  '  done',
  'fi',
];

/** Commands for one entry of the build file's `paths`. Permissions of 0 are taken for none given. */
function mutation(one: PlannedPath): string[] {
  const path = shellQuote(one.path);
  const source = shellQuote(one.source);
  const parent = `mkdir -p "$(dirname ${path})"`;
  const recursive = one.recursive ? '-R ' : '';
  const attributes = [
    `chown ${recursive}${one.uid}:${one.gid} ${path}`,
    ...(one.permissions === 0 ? [] : [`chmod ${recursive}${one.permissions.toString(8)} ${path}`]),
  ];
  switch (one.type) {
    case 'directory':
      return [`mkdir -p ${path}`, ...attributes];
    case 'empty-file':
      return [parent, `: >${path}`, ...attributes];
    case 'hardlink':
      return [parent, `ln -f ${source} ${path}`, ...attributes];
    case 'symlink':
      return [parent, `ln -sfn ${source} ${path}`];
    case 'permissions':
      return attributes;
    default:
      throw new PipelineError({
        code: 'invalid-value',
        kind: 'user',
        message: `environment.paths has ${one.path} of the type ${JSON.stringify(one.type)}`,
        hint: 'the types are directory, empty-file, hardlink, symlink and permissions',
      });
  }
}
