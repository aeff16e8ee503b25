/** Debian's relations between packages as apk's: plain names, alternatives and virtual packages already decided. */
import { sortedUnique } from '../../../shared/apk/byte-order.ts';
import { PipelineError } from '../../../shared/errors.ts';

/**
 * What only maintainer scripts use. These never run here, so that nothing has to depend on it: it would pull a Perl
 * or Python into every environment.
 */
const FOR_MAINTAINER_SCRIPTS: ReadonlySet<string> = new Set([
  'debconf',
  'debconf-2.0',
  'cdebconf',
  'dpkg',
  'install-info',
  'init-system-helpers',
  'ucf',
]);

/** The packages of one repository, as far as relations need to know them. */
export interface Packages {
  readonly names: ReadonlySet<string>;
  /** Virtual name → the packages that provide it, in the order given. */
  readonly providers: ReadonlyMap<string, readonly string[]>;
}

export function packagesOf(all: Iterable<ReadonlyMap<string, string>>): Packages {
  const names = new Set<string>();
  const providers = new Map<string, string[]>();
  for (const fields of all) {
    const name = fields.get('package') ?? '';
    names.add(name);
    for (const virtual of clauses(fields.get('provides')).flat()) {
      providers.set(virtual, [...(providers.get(virtual) ?? []), name]);
    }
  }
  return { names, providers };
}

/**
 * The names a package needs. Of alternatives the first one in the repository is taken, a virtual name becomes the
 * name of its first provider. Versions are dropped: the repository holds one version of each package, which apt has
 * found to fit together.
 *
 * @throws PipelineError `unsolvable` where the repository has none of the alternatives.
 */
export function dependsOf(fields: ReadonlyMap<string, string>, packages: Packages): string[] {
  const own = fields.get('package') ?? '';
  const needed = [...clauses(fields.get('pre-depends')), ...clauses(fields.get('depends'))];
  const names = needed.flatMap((alternatives) => {
    if (alternatives.every((name) => FOR_MAINTAINER_SCRIPTS.has(name))) return [];
    const found =
      alternatives.find((name) => packages.names.has(name)) ??
      alternatives.flatMap((name) => packages.providers.get(name) ?? [])[0];
    if (found === undefined) {
      throw new PipelineError({
        code: 'unsolvable',
        kind: 'infra',
        message: `the Debian package ${own} needs ${alternatives.join(' or ')}, which was not downloaded with it`,
      });
    }
    return found === own ? [] : [found];
  });
  return sortedUnique(names);
}

/** Virtual names a package stands for, but for names that a real package of the repository has. */
export function providesOf(fields: ReadonlyMap<string, string>, packages: Packages): string[] {
  return sortedUnique(
    clauses(fields.get('provides'))
      .flat()
      .filter((name) => !packages.names.has(name)),
  );
}

/** Packages of the repository whose files this one may overwrite. */
export function replacesOf(fields: ReadonlyMap<string, string>, packages: Packages): string[] {
  const own = fields.get('package');
  return sortedUnique(
    clauses(fields.get('replaces'))
      .flat()
      .filter((name) => packages.names.has(name) && name !== own),
  );
}

/** A relation field (deb-control(5)) as clauses of alternative names, without versions and architectures. */
function clauses(field: string | undefined): string[][] {
  return (field ?? '')
    .split(',')
    .map((clause) =>
      clause
        .split('|')
        .map((one) => /^[a-z0-9][a-z0-9+.-]*/.exec(one.trim())?.[0] ?? '')
        .filter(Boolean),
    )
    .filter((clause) => clause.length > 0);
}
