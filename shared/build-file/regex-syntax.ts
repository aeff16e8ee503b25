/**
 * Parses RE2 expressions as Go's regexp/syntax does in Perl mode: no backreferences, no look-around, so that they can be
 * matched in linear time.
 */
import { MAX_EXPRESSION_DEPTH } from './limits.ts';
import {
  ANY,
  ANY_BUT_NEWLINE,
  anyOf,
  type CharacterSet,
  foldCase,
  not,
  perlClass,
  posixClass,
  range,
  unicodeClass,
} from './regex-class.ts';

export type Assertion = 'text-start' | 'text-end' | 'line-start' | 'line-end' | 'word' | 'no-word';

export type Expression =
  | { readonly kind: 'set'; readonly set: CharacterSet }
  | { readonly kind: 'assert'; readonly assertion: Assertion }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Expression[] }
  | { readonly kind: 'group'; readonly index: number; readonly inner: Expression }
  | {
      readonly kind: 'repeat';
      readonly inner: Expression;
      readonly min: number;
      /** Undefined is without bound. */
      readonly max: number | undefined;
      readonly greedy: boolean;
    };

export interface ParsedExpression {
  readonly expression: Expression;
  /** Names of the groups by index; the whole match, index 0, and unnamed groups have the empty name. */
  readonly groupNames: readonly string[];
}

/** A pattern that RE2 refuses; the message says why. */
export class PatternError extends Error {}

interface Flags {
  readonly i: boolean;
  readonly m: boolean;
  readonly s: boolean;
  readonly U: boolean;
}

interface Reader {
  readonly pattern: string;
  offset: number;
  readonly groupNames: string[];
}

const NO_FLAGS: Flags = { i: false, m: false, s: false, U: false };

/** @throws PatternError */
export function parseExpression(pattern: string): ParsedExpression {
  const reader: Reader = { pattern, offset: 0, groupNames: [''] };
  const expression = parseChoice(reader, NO_FLAGS, 0);
  if (reader.offset < pattern.length) throw new PatternError('unexpected )');
  return { expression, groupNames: reader.groupNames };
}

/** Alternatives up to a closing parenthesis. Flags set inside hold to its end, across `|`. */
function parseChoice(reader: Reader, outer: Flags, depth: number): Expression {
  if (depth > MAX_EXPRESSION_DEPTH) throw new PatternError('expression nests too deeply');
  let flags = outer;
  const choices: Expression[] = [];
  let parts: Expression[] = [];
  let quantifiable = false;
  while (reader.offset < reader.pattern.length && peek(reader) !== ')') {
    if (accept(reader, '|')) {
      choices.push({ kind: 'sequence', parts });
      parts = [];
      quantifiable = false;
      continue;
    }
    const repeated = readRepetition(reader, flags);
    if (repeated !== undefined) {
      const inner = quantifiable ? parts.pop() : undefined;
      if (inner === undefined) throw new PatternError('nothing to repeat');
      parts.push({ kind: 'repeat', inner, ...repeated });
      quantifiable = false;
      continue;
    }
    const switched = readFlagSwitch(reader, flags);
    if (switched !== undefined) {
      flags = switched;
      quantifiable = false;
      continue;
    }
    parts.push(...parseAtom(reader, flags, depth));
    quantifiable = true;
  }
  const last: Expression = { kind: 'sequence', parts };
  return choices.length === 0 ? last : { kind: 'choice', parts: [...choices, last] };
}

function parseAtom(reader: Reader, flags: Flags, depth: number): Expression[] {
  if (accept(reader, '(')) return [parseGroup(reader, flags, depth)];
  if (accept(reader, '[')) return [setOf(parseBrackets(reader, flags), NO_FLAGS)];
  if (accept(reader, '.')) return [setOf(flags.s ? ANY : ANY_BUT_NEWLINE, NO_FLAGS)];
  if (accept(reader, '^')) return [{ kind: 'assert', assertion: flags.m ? 'line-start' : 'text-start' }];
  if (accept(reader, '$')) return [{ kind: 'assert', assertion: flags.m ? 'line-end' : 'text-end' }];
  if (accept(reader, '\\Q')) {
    const end = reader.pattern.indexOf('\\E', reader.offset);
    const quoted = reader.pattern.slice(reader.offset, end < 0 ? undefined : end);
    reader.offset += quoted.length + (end < 0 ? 0 : 2);
    return Array.from(quoted, (letter) => setOf(only(letter), flags));
  }
  for (const [written, assertion] of ESCAPED_ASSERTIONS) {
    if (accept(reader, written)) return [{ kind: 'assert', assertion }];
  }
  if (peek(reader) === '\\') return [setOf(parseEscape(reader), flags)];
  return [setOf(only(next(reader)), flags)];
}

const ESCAPED_ASSERTIONS: readonly (readonly [string, Assertion])[] = [
  ['\\A', 'text-start'],
  ['\\z', 'text-end'],
  ['\\b', 'word'],
  ['\\B', 'no-word'],
];

/** What follows an opening parenthesis. */
function parseGroup(reader: Reader, flags: Flags, depth: number): Expression {
  const named = take(reader, /\?P?<([A-Za-z0-9_]+)>/y);
  const scoped = named === undefined ? take(reader, /\?([imsU]*(?:-[imsU]+)?):/y) : undefined;
  if (scoped !== undefined)
    return closeGroup(reader, parseChoice(reader, withFlags(flags, scoped), depth + 1));
  if (named === undefined && peek(reader) === '?') throw new PatternError('unknown group syntax (?');
  const index = reader.groupNames.length;
  if (named !== undefined && reader.groupNames.includes(named)) {
    throw new PatternError(`two groups are named ${named}`);
  }
  reader.groupNames.push(named ?? '');
  return { kind: 'group', index, inner: closeGroup(reader, parseChoice(reader, flags, depth + 1)) };
}

function closeGroup(reader: Reader, inner: Expression): Expression {
  if (!accept(reader, ')')) throw new PatternError('a group is not closed');
  return inner;
}

/** `(?i)` and the like: flags for the rest of the group. */
function readFlagSwitch(reader: Reader, flags: Flags): Flags | undefined {
  const written = take(reader, /\(\?([imsU]+(?:-[imsU]+)?|-[imsU]+)\)/y);
  return written === undefined ? undefined : withFlags(flags, written);
}

function withFlags(flags: Flags, written: string): Flags {
  const [on = '', off = ''] = written.split('-');
  const value = (flag: keyof Flags): boolean => (flags[flag] || on.includes(flag)) && !off.includes(flag);
  return { i: value('i'), m: value('m'), s: value('s'), U: value('U') };
}

interface Repetition {
  readonly min: number;
  readonly max: number | undefined;
  readonly greedy: boolean;
}

function readRepetition(reader: Reader, flags: Flags): Repetition | undefined {
  const written = take(reader, /(\*|\+|\?|\{[0-9]+(?:,[0-9]*)?\})/y);
  if (written === undefined) return undefined;
  const lazy = accept(reader, '?');
  if (/[*+?]/.test(peek(reader)) || /^\{[0-9]+(?:,[0-9]*)?\}/.test(reader.pattern.slice(reader.offset))) {
    throw new PatternError('a repetition is repeated');
  }
  const greedy = lazy === flags.U;
  if (written === '*') return { min: 0, max: undefined, greedy };
  if (written === '+') return { min: 1, max: undefined, greedy };
  if (written === '?') return { min: 0, max: 1, greedy };
  const [low = '', high] = written.slice(1, -1).split(',');
  const min = Number(low);
  const max = high === undefined ? min : high === '' ? undefined : Number(high);
  if (Math.max(min, max ?? 0) > 1000 || (max !== undefined && max < min)) {
    throw new PatternError(`the repetition ${written} is out of range`);
  }
  return { min, max, greedy };
}

function parseBrackets(reader: Reader, flags: Flags): CharacterSet {
  const negated = accept(reader, '^');
  const sets: CharacterSet[] = [];
  for (let first = true; first || peek(reader) !== ']'; first = false) {
    if (reader.offset >= reader.pattern.length) throw new PatternError('a character class is not closed');
    const posix = take(reader, /\[:(\^?[a-z]+):\]/y);
    if (posix !== undefined) {
      const set = posixClass(posix.replace('^', ''));
      if (set === undefined) throw new PatternError(`unknown character class [:${posix}:]`);
      sets.push(posix.startsWith('^') ? not(set) : set);
      continue;
    }
    const low = readClassMember(reader);
    if (typeof low !== 'number') {
      sets.push(low);
      continue;
    }
    let high = low;
    if (peek(reader) === '-' && reader.pattern[reader.offset + 1] !== ']') {
      reader.offset += 1;
      const end = readClassMember(reader);
      if (typeof end !== 'number' || end < low) throw new PatternError('bad range in a character class');
      high = end;
    }
    sets.push(range(low, high));
  }
  reader.offset += 1;
  const set = flags.i ? foldCase(anyOf(sets)) : anyOf(sets);
  // Without the s flag a negated class still matches a line feed.
  return negated ? not(set) : set;
}

function readClassMember(reader: Reader): number | CharacterSet {
  if (peek(reader) !== '\\') return codePointOf(next(reader));
  return readEscape(reader);
}

function parseEscape(reader: Reader): CharacterSet {
  const value = readEscape(reader);
  return typeof value === 'number' ? range(value, value) : value;
}

const CONTROL_ESCAPES: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };

/** An escape as a code point or a set. */
function readEscape(reader: Reader): number | CharacterSet {
  reader.offset += 1;
  if (reader.offset >= reader.pattern.length) throw new PatternError('the pattern ends with a backslash');
  const unicode = take(reader, /[pP](\{\^?[A-Za-z_]+\}|[A-Z])/y);
  if (unicode !== undefined) {
    const name = unicode.replace(/[{}^]/g, '');
    const set = unicodeClass(name);
    if (set === undefined) throw new PatternError(`unknown character class \\p{${name}}`);
    const inverted = (reader.pattern[reader.offset - unicode.length - 1] === 'P') !== unicode.includes('^');
    return inverted ? not(set) : set;
  }
  const hexadecimal = take(reader, /x([0-9A-Fa-f]{2}|\{[0-9A-Fa-f]+\})/y);
  if (hexadecimal !== undefined) {
    const value = Number.parseInt(hexadecimal.replace(/[{}]/g, ''), 16);
    if (value > 0x10ffff) throw new PatternError('a code point is out of range');
    return value;
  }
  const octal = take(reader, /(0[0-7]{0,2}|[1-7][0-7]{1,2})/y);
  if (octal !== undefined) return Number.parseInt(octal, 8);
  const letter = next(reader);
  const perl = perlClass(letter);
  if (perl !== undefined) return perl;
  const control = Object.hasOwn(CONTROL_ESCAPES, letter) ? CONTROL_ESCAPES[letter] : undefined;
  if (control !== undefined) return control;
  const point = codePointOf(letter);
  if (point < 0x80 && !/[0-9A-Za-z]/.test(letter)) return point;
  throw new PatternError(`unknown escape \\${letter}`);
}

function setOf(set: CharacterSet, flags: Flags): Expression {
  return { kind: 'set', set: flags.i ? foldCase(set) : set };
}

function only(letter: string): CharacterSet {
  const point = codePointOf(letter);
  return (other) => other === point;
}

function codePointOf(letter: string): number {
  return letter.codePointAt(0) ?? 0;
}

function peek(reader: Reader): string {
  return reader.pattern[reader.offset] ?? '';
}

/** The next character, which may be two code units. */
function next(reader: Reader): string {
  const letter = String.fromCodePoint(reader.pattern.codePointAt(reader.offset) ?? 0);
  reader.offset += letter.length;
  return letter;
}

function accept(reader: Reader, token: string): boolean {
  if (!reader.pattern.startsWith(token, reader.offset)) return false;
  reader.offset += token.length;
  return true;
}

/** The first group of a sticky expression that matches here. */
function take(reader: Reader, expression: RegExp): string | undefined {
  expression.lastIndex = reader.offset;
  const match = expression.exec(reader.pattern);
  if (match === null) return undefined;
  reader.offset += match[0].length;
  return match[1] ?? '';
}
