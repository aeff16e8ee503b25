/** The script that finishes an environment's tree: what packages leave to be made (spec environment §9). */
import type { PlannedAccounts } from '../../shared/build-file/plan.ts';
import { shellQuote } from '../../shared/build-file/shell.ts';

/** Accounts that a build file adds to its environment. */
export type GuestAccounts = Pick<PlannedAccounts, 'users' | 'groups'>;

export interface FinishingOptions {
  readonly accounts: GuestAccounts;
  /** Name of the package that brings busybox, which its list of links is named after. */
  readonly busybox: string | undefined;
}

/**
 * Runs inside the merged tree, with nothing but what its packages brought: busybox links first, since what follows
 * may need them; then accounts, home directories, and the cache of the dynamic loader.
 */
export function finishingScript({ accounts, busybox }: FinishingOptions): string {
  return [
    'set -e',
    ...(busybox === undefined ? [] : busyboxLinks(busybox)),
    'mkdir -p /tmp /var/tmp /etc /opt /proc /dev /home /root /var/cache/misc',
    'chmod 1777 /tmp /var/tmp',
    '[ -e /lib/apk ] || { mkdir -p /lib && ln -s ../usr/lib/apk /lib/apk; }',
    ...accounts.groups.map((group) =>
      appendLine('/etc/group', group.name, `${group.name}:x:${group.gid}:${group.members.join(',')}`),
    ),
    ...accounts.users.flatMap((user) => [
      appendLine(
        '/etc/passwd',
        user.name,
        `${user.name}:x:${user.uid}:${user.gid}:Account created by Carryall:${user.home}:${user.shell}`,
      ),
      `[ -e ${shellQuote(user.home)} ] || { mkdir -p ${shellQuote(user.home)} && chown ${user.uid}:${user.gid} ${shellQuote(user.home)} && chmod 0700 ${shellQuote(user.home)}; }`,
    ]),
    'if [ -x /sbin/ldconfig ]; then /sbin/ldconfig || true; fi',
  ].join('\n');
}

/** Links for the commands that no package brought a program for: those the package lists, else all busybox has. */
function busyboxLinks(packageName: string): string[] {
  const list = shellQuote(`/etc/busybox-paths.d/${packageName}`);
  return [
    'if [ -x /bin/busybox ]; then',
    '  b=/bin/busybox',
    `  if [ -e ${list} ]; then paths="$($b cat ${list})"; else paths="$($b --list-full)"; fi`,
    '  for p in $paths; do',
    '    p="/${p#/}"',
    '    [ -e "$p" ] || [ -h "$p" ] || { $b mkdir -p "$($b dirname "$p")" && $b ln -s /bin/busybox "$p"; }',
    '  done',
    'fi',
  ];
}

function appendLine(file: string, name: string, line: string): string {
  return `grep -q ${shellQuote(`^${name}:`)} ${file} 2>/dev/null || echo ${shellQuote(line)} >> ${file}`;
}
