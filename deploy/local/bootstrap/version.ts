/**
 * Debian versions as apk versions.
 *
 * Debian's grammar (deb-version(7)) is `[epoch:]upstream[-revision]` with free text in both parts; apk's is
 * `digits{.digits}[letter][_pre…][_p…][-rN]`. The rule, by example:
 *
 * - `1:1.2.13.dfsg-1` → `1.2.13_p-r10010000`: the epoch goes (it does not change within a release), text after the
 *   numbers becomes `_p` with its digits.
 * - `2.0~rc3-1` → `2.0_rc3-r10010000`, and `~` with anything else becomes `_pre` with its digits.
 * - The revision `A[.B][~debXuC|+debXuC][+bD]` becomes the number A·10⁷ + B·10⁵ + S·10⁴ + C·10² + D, where S is 0 for
 *   `~deb`, 1 for neither and 2 for `+deb`; so updates and rebuilds sort as Debian sorts them. `14+deb12u1` → `140020100`.
 * - A package without revision has A = 0, and its `~deb` or `+deb` part is taken from the upstream version.
 * - A revision of another form keeps its first number as A; a checksum of the rest stands for B to D.
 */
import { crc32 } from 'node:zlib';

/** The apk version of a Debian version: always valid, the same for equal input. */
export function apkVersion(debianVersion: string): string {
  const withoutEpoch = debianVersion.replace(/^\d+:/, '');
  const dash = withoutEpoch.lastIndexOf('-');
  if (dash !== -1) {
    return `${upstreamPart(withoutEpoch.slice(0, dash))}-r${revisionNumber(withoutEpoch.slice(dash + 1))}`;
  }
  const update = /^(.*?)([~+]deb\d+u\d+)?(\+b\d+)?$/.exec(withoutEpoch);
  const suffix = `${update?.[2] ?? ''}${update?.[3] ?? ''}`;
  return `${upstreamPart(update?.[1] ?? withoutEpoch)}-r${revisionNumber(`0${suffix}`)}`;
}

function upstreamPart(upstream: string): string {
  const match = /^(\d+(?:\.\d+)*)([a-z](?![a-z0-9]))?(.*)$/is.exec(upstream);
  const numbers = match?.[1] ?? '0';
  const letter = (match?.[2] ?? '').toLowerCase();
  const rest = match === null ? upstream : (match[3] ?? '');
  if (rest === '') return `${numbers}${letter}`;
  const digits = rest.replace(/\D+/g, '').slice(0, 12);
  if (!rest.startsWith('~')) return `${numbers}${letter}_p${digits}`;
  const stage = /^~(alpha|beta|pre|rc)/.exec(rest)?.[1] ?? 'pre';
  return `${numbers}${letter}_${stage}${digits}`;
}

function revisionNumber(revision: string): number {
  const match = /^(\d{1,8})(?:\.(\d{1,2}))?(?:([~+])deb\d+u(\d{1,2}))?(?:\+b(\d{1,2}))?$/.exec(revision);
  if (match === null) {
    const first = Number(/\d{1,8}/.exec(revision)?.[0] ?? 0);
    return first * 1e7 + (crc32(revision) % 1e7);
  }
  const [, main = '0', minor = '0', sign, update = '0', rebuild = '0'] = match;
  const side = sign === undefined ? 1 : sign === '+' ? 2 : 0;
  return Number(main) * 1e7 + Number(minor) * 1e5 + side * 1e4 + Number(update) * 100 + Number(rebuild);
}
