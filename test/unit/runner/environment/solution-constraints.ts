/**
 * A second reading of versions and constraints for the judge of solutions, written from apko's rules without a look at
 * the one that the solver uses: what both get wrong alike would otherwise be seen by nobody.
 */

/** What a list, a `depends` or a `provides` entry says. */
export interface Wanted {
  readonly forbids: boolean;
  readonly name: string;
  /** Absent where any version will do. */
  readonly version?: { readonly operator: Operator; readonly text: string };
}

type Operator = '=' | '<' | '>' | '<=' | '>=' | '~';

/** How a comparison (negative, 0, positive) must come out; `~` is not told by a comparison. */
const OPERATORS: Readonly<Record<string, readonly [Operator, (order: number) => boolean]>> = {
  '=': ['=', (order) => order === 0],
  '<': ['<', (order) => order < 0],
  '>': ['>', (order) => order > 0],
  '<=': ['<=', (order) => order <= 0],
  '>=': ['>=', (order) => order >= 0],
  '~': ['~', () => false],
  '=~': ['~', () => false],
};

/**
 * Reads an entry. The name ends at the first character of `@=<>~`; a run of operator characters that is no operator
 * asks for nothing; the version of a shared object without a release counts as `0.V`.
 */
export function readWanted(text: string): Wanted {
  const forbids = text.startsWith('!');
  const [whole = ''] = (forbids ? text.slice(1) : text).split('@');
  const start = whole.search(/[=<>~]/);
  const name = start < 0 ? whole : whole.slice(0, start);
  const tail = start < 0 ? '' : whole.slice(start);
  const end = tail.search(/[^=<>~]/);
  const known = OPERATORS[tail.slice(0, Math.max(end, 0))];
  if (known === undefined) return { forbids, name };
  const version = tail.slice(end);
  const bare = name.startsWith('so:') && !/-r\d+$/.test(version);
  return { forbids, name, version: { operator: known[0], text: bare ? `0.${version}` : version } };
}

/** Whether a version is one of those wanted. One that cannot be read is only equal to its own text. */
export function fits(actual: string, wanted: Wanted): boolean {
  if (wanted.version === undefined) return true;
  const { operator, text } = wanted.version;
  const [has, asked] = [readVersion(actual), readVersion(text)];
  if (has === undefined || asked === undefined) return operator === '=' && actual === text;
  if (operator !== '~') return OPERATORS[operator]?.[1](order(has, asked)) ?? false;
  if (asked.numbers.some((number, at) => number !== has.numbers[at])) return false;
  const longer = has.numbers.length > asked.numbers.length;
  return longer || asked.rest.every((field, at) => field === 0n || field === has.rest[at]);
}

interface ReadVersion {
  readonly numbers: readonly bigint[];
  /** Letter, pre-suffix and its number, post-suffix and its number, release; each 0 where it is absent. */
  readonly rest: readonly bigint[];
}

/** Rank of each suffix: the first four stand below a version without one, the others above. */
const RANKS: Readonly<Record<string, bigint>> = {
  alpha: -4n,
  beta: -3n,
  pre: -2n,
  rc: -1n,
  cvs: 1n,
  svn: 2n,
  git: 3n,
  hg: 4n,
  p: 5n,
};

const versions = new Map<string, ReadVersion | undefined>();

function readVersion(text: string): ReadVersion | undefined {
  if (!versions.has(text)) versions.set(text, takeApart(text));
  return versions.get(text);
}

function takeApart(text: string): ReadVersion | undefined {
  const [, head = '', release = '0'] = /^(.*?)(?:-r(\d+))?$/.exec(text) ?? [];
  const [first = '', ...suffixes] = head.split('_');
  const [, digits, letter = ''] = /^(\d+(?:\.\d+)*)([a-z]?)$/.exec(first) ?? [];
  if (digits === undefined || suffixes.length > 2) return undefined;
  const rest = [BigInt(letter === '' ? 0 : letter.charCodeAt(0)), 0n, 0n, 0n, 0n, BigInt(release)];
  let next = 1;
  for (const suffix of suffixes) {
    const [, word = '', number = ''] = /^([a-z]+)(\d*)$/.exec(suffix) ?? [];
    const rank = RANKS[word];
    if (rank === undefined) return undefined;
    const place = rank < 0n ? 1 : 3;
    if (place < next) return undefined;
    rest[place] = rank;
    rest[place + 1] = BigInt(number);
    next = place + 2;
  }
  return { numbers: digits.split('.').map(BigInt), rest };
}

/** Number by number, then the longer one is higher, then the rest field by field. */
function order(a: ReadVersion, b: ReadVersion): number {
  const shared = Math.min(a.numbers.length, b.numbers.length);
  return (
    firstDifference(a.numbers.slice(0, shared), b.numbers.slice(0, shared)) ||
    a.numbers.length - b.numbers.length ||
    firstDifference(a.rest, b.rest)
  );
}

function firstDifference(a: readonly bigint[], b: readonly bigint[]): number {
  for (const [at, left] of a.entries()) {
    const right = b[at] ?? 0n;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}
