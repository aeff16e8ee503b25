/**
 * What a package list or a `depend` line asks for: `name`, `name>=1.2`, `name~1.2@edge`, `!name<3`. The entries of
 * `provides` share the grammar.
 */
import { compareVersions, hasVersionPrefix, parseVersion } from './version.ts';

/** `=~` is read as `~`. */
export type VersionOperator = '=' | '<' | '>' | '<=' | '>=' | '~';

export interface VersionRequirement {
  readonly operator: VersionOperator;
  /** The version as compared, that is after the rule for shared objects; not necessarily a valid one. */
  readonly version: string;
}

export interface Constraint {
  /** Written with a leading `!`: what the rest describes must not be installed. */
  readonly conflict: boolean;
  readonly name: string;
  /** Absent where any version will do. */
  readonly requirement?: VersionRequirement;
  /** Tag of the repository the package may come from besides the untagged ones. */
  readonly pin?: string;
}

/** A name that a package answers to besides its own. */
export interface Provide {
  readonly name: string;
  /** Absent for a virtual name, which several installed packages may share. */
  readonly version?: string;
}

const GRAMMAR = /^(!?)(?!!)([^\s@=<>~]+)(?:([=<>~]+)([^\s@=<>~][^\s@]*))?(?:@([A-Za-z0-9]+))?$/;

const OPERATORS: ReadonlyMap<string, VersionOperator> = new Map([
  ['=', '='],
  ['<', '<'],
  ['>', '>'],
  ['<=', '<='],
  ['>=', '>='],
  ['~', '~'],
  ['=~', '~'],
]);

/**
 * Reads a constraint; undefined where the text is none. A run of operator characters that is no operator (`==`, `~=`)
 * asks for any version, as in apko.
 */
export function parseConstraint(text: string): Constraint | undefined {
  const match = GRAMMAR.exec(text);
  if (match === null) return undefined;
  const [, mark, name = '', operatorText = '', version = '', pin] = match;
  const operator = OPERATORS.get(operatorText);
  return {
    conflict: mark === '!',
    name,
    ...(operator === undefined ? {} : { requirement: { operator, version: comparable(name, version) } }),
    ...(pin === undefined ? {} : { pin }),
  };
}

/**
 * Reads an entry of `provides`; undefined for one that begins with `!`, which has no effect. A malformed one provides
 * its bare name.
 */
export function parseProvide(text: string): Provide | undefined {
  if (text.startsWith('!')) return undefined;
  const { name, requirement } = parseConstraint(text) ?? { name: stripConstraint(text) };
  return requirement === undefined ? { name } : { name, version: requirement.version };
}

/** The bare name in a constraint: `foo` of `!foo>=1.2@edge`. Of any other text, what precedes an operator character. */
export function stripConstraint(text: string): string {
  const start = text.startsWith('!') ? 1 : 0;
  for (let at = start; at < text.length; at += 1) {
    const char = text[at];
    if (char === '=' || char === '<' || char === '>' || char === '~' || char === '@')
      return text.slice(start, at);
  }
  return text.slice(start);
}

/**
 * Whether a version meets a requirement. A version outside the grammar meets only `=` with the very same text, so
 * that a locked list of packages stays solvable whatever its versions look like.
 */
export function satisfies(version: string, requirement: VersionRequirement | undefined): boolean {
  if (requirement === undefined) return true;
  const { operator } = requirement;
  const actual = parseVersion(version);
  const required = parseVersion(requirement.version);
  if (actual === undefined || required === undefined)
    return operator === '=' && version === requirement.version;
  switch (operator) {
    case '=':
      return compareVersions(actual, required) === 0;
    case '<':
      return compareVersions(actual, required) < 0;
    case '>':
      return compareVersions(actual, required) > 0;
    case '<=':
      return compareVersions(actual, required) <= 0;
    case '>=':
      return compareVersions(actual, required) >= 0;
    case '~':
      return hasVersionPrefix(actual, required);
  }
}

/** A shared object's version without a release is read as `0.V`, so it sorts below every version with one. */
function comparable(name: string, version: string): string {
  return name.startsWith('so:') && !/-r[0-9]+$/.test(version) ? `0.${version}` : version;
}
