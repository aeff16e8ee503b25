/** Sets of characters of RE2 expressions (the syntax of Go's regexp package). */

/** Tells whether a code point belongs to the set. */
export type CharacterSet = (codePoint: number) => boolean;

export const ANY: CharacterSet = () => true;
export const ANY_BUT_NEWLINE: CharacterSet = (point) => point !== 10;

export function not(set: CharacterSet): CharacterSet {
  return (point) => !set(point);
}

export function anyOf(sets: readonly CharacterSet[]): CharacterSet {
  return (point) => sets.some((set) => set(point));
}

export function range(low: number, high: number): CharacterSet {
  return (point) => point >= low && point <= high;
}

/** The set, plus the other cases of its letters. */
export function foldCase(set: CharacterSet): CharacterSet {
  return (point) => {
    if (set(point)) return true;
    const letter = String.fromCodePoint(point);
    return (
      set(letter.toLowerCase().codePointAt(0) ?? point) || set(letter.toUpperCase().codePointAt(0) ?? point)
    );
  };
}

/** Membership by a JavaScript class, tried on a single character: it cannot backtrack. */
function byExpression(expression: RegExp): CharacterSet {
  return (point) => expression.test(String.fromCodePoint(point));
}

export const DIGIT = range(48, 57);
export const SPACE = byExpression(/[\t\n\f\r ]/);
export const WORD = byExpression(/[0-9A-Za-z_]/);

const PERL_CLASSES: Readonly<Record<string, CharacterSet>> = {
  d: DIGIT,
  D: not(DIGIT),
  s: SPACE,
  S: not(SPACE),
  w: WORD,
  W: not(WORD),
};

/** `\d \D \s \S \w \W` by letter; ASCII only, as RE2 defines them. */
export function perlClass(letter: string): CharacterSet | undefined {
  return Object.hasOwn(PERL_CLASSES, letter) ? PERL_CLASSES[letter] : undefined;
}

const POSIX_CLASSES: Readonly<Record<string, CharacterSet>> = {
  alnum: byExpression(/[0-9A-Za-z]/),
  alpha: byExpression(/[A-Za-z]/),
  ascii: range(0, 0x7f),
  blank: byExpression(/[\t ]/),
  cntrl: anyOf([range(0, 0x1f), range(0x7f, 0x7f)]),
  digit: byExpression(/[0-9]/),
  graph: byExpression(/[!-~]/),
  lower: byExpression(/[a-z]/),
  print: byExpression(/[ -~]/),
  punct: byExpression(/[!-/:-@[-`{-~]/),
  space: byExpression(/[\t\n\v\f\r ]/),
  upper: byExpression(/[A-Z]/),
  word: byExpression(/[0-9A-Za-z_]/),
  xdigit: byExpression(/[0-9A-Fa-f]/),
};

/** `[:name:]`, or undefined for a name that RE2 does not know. */
export function posixClass(name: string): CharacterSet | undefined {
  return Object.hasOwn(POSIX_CLASSES, name) ? POSIX_CLASSES[name] : undefined;
}

/** `\p{name}`: a general category (`L`, `Lu`) or a script (`Greek`); undefined where Unicode has none of that name. */
export function unicodeClass(name: string): CharacterSet | undefined {
  if (name === 'Any') return ANY;
  if (!/^[A-Za-z_]+$/.test(name)) return undefined;
  for (const property of [`General_Category=${name}`, `Script=${name}`]) {
    try {
      return byExpression(new RegExp(`\\p{${property}}`, 'u'));
    } catch (thrown) {
      if (!(thrown instanceof SyntaxError)) throw thrown;
    }
  }
  return undefined;
}
