/**
 * Package versions as apko reads them: `1.2.3b_rc1_git20240101-r4`. At most one pre-suffix and one post-suffix, in
 * that order; apk-tools' further forms (several suffixes, a `~hash` part) are no versions here.
 */

/** A number of a version; a bigint where it has more than 15 digits. The two compare with each other. */
export type VersionNumber = number | bigint;

/** A version taken apart. Missing numbers are 0, so `1.0` and `1.0-r0` have equal fields. */
export interface Version {
  readonly numbers: readonly VersionNumber[];
  /** One letter `a`–`z`, or empty. */
  readonly letter: string;
  /** Place in `PRE_SUFFIXES`; `NO_PRE_SUFFIX`, above all of them, where there is none. */
  readonly pre: number;
  readonly preNumber: VersionNumber;
  /** Place in `POST_SUFFIXES` counted from 1; 0 where there is none. */
  readonly post: number;
  readonly postNumber: VersionNumber;
  /** The number after `-r`. */
  readonly revision: VersionNumber;
}

const PRE_SUFFIXES = ['alpha', 'beta', 'pre', 'rc'];
const NO_PRE_SUFFIX = PRE_SUFFIXES.length;
const POST_SUFFIXES = ['cvs', 'svn', 'git', 'hg', 'p'];

const GRAMMAR = new RegExp(
  `^([0-9]+(?:\\.[0-9]+)*)([a-z]?)` +
    `(?:_(${PRE_SUFFIXES.join('|')})([0-9]*))?` +
    `(?:_(${POST_SUFFIXES.join('|')})([0-9]*))?` +
    `(?:-r([0-9]+))?$`,
);

/** Versions kept parsed; an index of 5,000 packages has about 2,500 different ones. */
const MEMO_LIMIT = 16_384;
const memo = new Map<string, Version | undefined>();

/** Takes a version apart; undefined where the text is none. */
export function parseVersion(text: string): Version | undefined {
  const known = memo.get(text);
  if (known !== undefined || memo.has(text)) return known;
  if (memo.size >= MEMO_LIMIT) memo.clear();
  const parsed = readVersion(text);
  memo.set(text, parsed);
  return parsed;
}

export function isValidVersion(text: string): boolean {
  return parseVersion(text) !== undefined;
}

/** Negative where `a` is the lower version, positive where it is the higher one, 0 where neither is. */
export function compareVersions(a: Version, b: Version): number {
  const shared = Math.min(a.numbers.length, b.numbers.length);
  for (let at = 0; at < shared; at += 1) {
    const order = compare(a.numbers[at] ?? 0, b.numbers[at] ?? 0);
    if (order !== 0) return order;
  }
  return (
    a.numbers.length - b.numbers.length ||
    compare(a.letter, b.letter) ||
    a.pre - b.pre ||
    compare(a.preNumber, b.preNumber) ||
    a.post - b.post ||
    compare(a.postNumber, b.postNumber) ||
    compare(a.revision, b.revision)
  );
}

/**
 * Whether `actual` begins with `required`, which is what the operator `~` asks: `1.2` is a prefix of `1.2.3_rc1-r4`
 * but not of `1.20`. What `required` leaves out, or has as 0, may be anything.
 */
export function hasVersionPrefix(actual: Version, required: Version): boolean {
  if (required.numbers.length > actual.numbers.length) return false;
  const differs = (number: VersionNumber, at: number): boolean =>
    compare(number, actual.numbers[at] ?? 0) !== 0;
  if (required.numbers.some(differs)) return false;
  if (actual.numbers.length > required.numbers.length) return true;
  return (
    (required.letter === '' || required.letter === actual.letter) &&
    (required.pre === NO_PRE_SUFFIX || required.pre === actual.pre) &&
    allows(required.preNumber, actual.preNumber) &&
    (required.post === 0 || required.post === actual.post) &&
    allows(required.postNumber, actual.postNumber) &&
    allows(required.revision, actual.revision)
  );
}

function allows(required: VersionNumber, actual: VersionNumber): boolean {
  return compare(required, 0) === 0 || compare(required, actual) === 0;
}

function readVersion(text: string): Version | undefined {
  const match = GRAMMAR.exec(text);
  if (match === null) return undefined;
  const [, numbers = '', letter = '', pre, preNumber, post, postNumber, revision] = match;
  return {
    numbers: numbers.split('.').map(readNumber),
    letter,
    pre: pre === undefined ? NO_PRE_SUFFIX : PRE_SUFFIXES.indexOf(pre),
    preNumber: readNumber(preNumber),
    post: post === undefined ? 0 : POST_SUFFIXES.indexOf(post) + 1,
    postNumber: readNumber(postNumber),
    revision: readNumber(revision),
  };
}

function readNumber(digits: string | undefined): VersionNumber {
  if (digits === undefined || digits === '') return 0;
  return digits.length <= 15 ? Number(digits) : BigInt(digits);
}

function compare<Part extends string | VersionNumber>(a: Part, b: Part): number {
  if (a < b) return -1;
  return a > b ? 1 : 0;
}
