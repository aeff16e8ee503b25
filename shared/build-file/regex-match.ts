/**
 * Matches RE2 expressions in time linear in the text, whatever the pattern: all possibilities are followed at once
 * (Thompson's construction, with captures as in R. Cox, "Regular Expression Matching: the Virtual Machine Approach").
 * The first alternative wins, as in Perl and Go.
 */
import {
  MAX_MATCH_WORK,
  MAX_PATTERN_CHARACTERS,
  MAX_PATTERN_INSTRUCTIONS,
  MAX_TEXT_CHARACTERS,
} from './limits.ts';
import { type CharacterSet, WORD } from './regex-class.ts';
import { type Assertion, type Expression, PatternError, parseExpression } from './regex-syntax.ts';

type Instruction =
  | { readonly kind: 'set'; readonly set: CharacterSet }
  | { readonly kind: 'assert'; readonly assertion: Assertion }
  | { readonly kind: 'save'; readonly slot: number }
  | { readonly kind: 'split'; first: number; second: number }
  | { readonly kind: 'jump'; target: number }
  | { readonly kind: 'match' };

export interface Pattern {
  readonly program: readonly Instruction[];
  readonly groupNames: readonly string[];
}

/** Groups of a match by index, 0 being the whole; undefined where a group took no part. */
export interface Match {
  readonly groups: readonly (string | undefined)[];
}

/** @throws PatternError for what RE2 refuses, and for patterns beyond the limits. */
export function compilePattern(pattern: string): Pattern {
  if (pattern.length > MAX_PATTERN_CHARACTERS) throw new PatternError('the pattern is too long');
  const { expression, groupNames } = parseExpression(pattern);
  const program: Instruction[] = [];
  emitGroup(program, 0, expression);
  push(program, { kind: 'match' });
  return { program, groupNames };
}

export interface ReplaceOptions {
  readonly expand: (match: Match) => string;
  readonly work: MatchWork;
}

/** Steps that matching may still take, over several calls. */
export interface MatchWork {
  remaining: number;
}

export function createMatchWork(): MatchWork {
  return { remaining: MAX_MATCH_WORK };
}

/**
 * Replaces all matches from left to right; an empty match right behind another match is skipped, as Go does.
 *
 * @throws PatternError when it takes more steps than are left, or the result is too long.
 */
export function replaceAll(pattern: Pattern, text: string, options: ReplaceOptions): string {
  charge(options.work, text.length + pattern.program.length);
  const letters = Array.from(text);
  const points = letters.map((letter) => letter.codePointAt(0) ?? 0);
  const state: SearchState = {
    points,
    lastVisit: new Uint32Array(pattern.program.length),
    generation: 0,
    work: options.work,
  };
  const slice = (start: number, end: number): string => letters.slice(start, end).join('');
  let result = '';
  let copied = 0;
  let previousEnd = -1;
  for (let from = 0; from <= points.length; ) {
    const slots = search(pattern, state, from);
    const start = slots?.[0];
    const end = slots?.[1];
    if (slots === undefined || start === undefined || end === undefined) break;
    if (end > start || start !== previousEnd) {
      const groups = pattern.groupNames.map((_, index) => {
        const low = slots[2 * index];
        const high = slots[2 * index + 1];
        return low === undefined || high === undefined ? undefined : slice(low, high);
      });
      result += slice(copied, start) + options.expand({ groups });
      if (result.length > MAX_TEXT_CHARACTERS) throw new PatternError('the result is too long');
      copied = end;
      previousEnd = end;
    }
    from = end > start ? end : end + 1;
  }
  return result + slice(copied, points.length);
}

type Slots = readonly (number | undefined)[];

interface Thread {
  readonly at: number;
  readonly slots: Slots;
}

interface SearchState {
  readonly points: readonly number[];
  /** The generation in which an instruction was last reached; one generation per position. */
  readonly lastVisit: Uint32Array;
  generation: number;
  readonly work: MatchWork;
}

/** The leftmost match at or behind `from`, as slots 2i and 2i + 1 for group i. */
function search(pattern: Pattern, state: SearchState, from: number): Slots | undefined {
  const { program } = pattern;
  const { points } = state;
  let threads: Thread[] = [];
  let found: Slots | undefined;
  for (let position = from; position <= points.length; position += 1) {
    const current: Thread[] = [];
    state.generation += 1;
    for (const thread of threads) addThread(program, thread, { state, position, into: current });
    if (found === undefined) addThread(program, { at: 0, slots: [] }, { state, position, into: current });
    if (current.length === 0 && found !== undefined) break;
    threads = [];
    for (const { at, slots } of current) {
      const instruction = program[at];
      if (instruction?.kind === 'match') {
        found = slots;
        break;
      }
      const point = points[position];
      if (instruction?.kind === 'set' && point !== undefined && instruction.set(point)) {
        threads.push({ at: at + 1, slots });
      }
    }
  }
  return found;
}

interface FollowOptions {
  readonly state: SearchState;
  readonly position: number;
  readonly into: Thread[];
}

function charge(work: MatchWork, steps: number): void {
  work.remaining -= steps;
  if (work.remaining < 0) throw new PatternError('the patterns take too long on these texts');
}

/** Follows everything that consumes no character, in order of preference. */
function addThread(program: readonly Instruction[], start: Thread, options: FollowOptions): void {
  const { state, position, into } = options;
  const pending = [start];
  for (let thread = pending.pop(); thread !== undefined; thread = pending.pop()) {
    const { at, slots } = thread;
    if (state.lastVisit[at] === state.generation) continue;
    state.lastVisit[at] = state.generation;
    charge(state.work, 1);
    const instruction = program[at];
    switch (instruction?.kind) {
      case 'jump':
        pending.push({ at: instruction.target, slots });
        break;
      case 'split':
        pending.push({ at: instruction.second, slots }, { at: instruction.first, slots });
        break;
      case 'save': {
        const copy = [...slots];
        copy[instruction.slot] = position;
        pending.push({ at: at + 1, slots: copy });
        break;
      }
      case 'assert':
        if (holds(instruction.assertion, state.points, position)) pending.push({ at: at + 1, slots });
        break;
      default:
        into.push(thread);
    }
  }
}

function holds(assertion: Assertion, points: readonly number[], position: number): boolean {
  const before = points[position - 1];
  const after = points[position];
  const isWord = (point: number | undefined): boolean => point !== undefined && WORD(point);
  switch (assertion) {
    case 'text-start':
      return before === undefined;
    case 'text-end':
      return after === undefined;
    case 'line-start':
      return before === undefined || before === 10;
    case 'line-end':
      return after === undefined || after === 10;
    case 'word':
      return isWord(before) !== isWord(after);
    case 'no-word':
      return isWord(before) === isWord(after);
  }
}

function emit(program: Instruction[], expression: Expression): void {
  switch (expression.kind) {
    case 'set':
    case 'assert':
      push(program, expression);
      break;
    case 'sequence':
      for (const part of expression.parts) emit(program, part);
      break;
    case 'group':
      emitGroup(program, expression.index, expression.inner);
      break;
    case 'choice': {
      const ends: { target: number }[] = [];
      expression.parts.forEach((part, index) => {
        if (index === expression.parts.length - 1) {
          emit(program, part);
          return;
        }
        const split = push(program, { kind: 'split', first: program.length + 1, second: 0 });
        emit(program, part);
        ends.push(push(program, { kind: 'jump', target: 0 }));
        split.second = program.length;
      });
      for (const end of ends) end.target = program.length;
      break;
    }
    case 'repeat':
      emitRepeat(program, expression);
      break;
  }
}

function emitGroup(program: Instruction[], index: number, inner: Expression): void {
  push(program, { kind: 'save', slot: 2 * index });
  emit(program, inner);
  push(program, { kind: 'save', slot: 2 * index + 1 });
}

function emitRepeat(program: Instruction[], repeat: Expression & { readonly kind: 'repeat' }): void {
  const { inner, min, max, greedy } = repeat;
  for (let count = 0; count < min; count += 1) {
    const before = program.length;
    emit(program, inner);
    // Repeating nothing is nothing, and could be asked for a thousand times a thousand times.
    if (program.length === before) break;
  }
  if (max === undefined) {
    const start = program.length;
    const split = push(program, { kind: 'split', first: 0, second: 0 });
    emit(program, inner);
    push(program, { kind: 'jump', target: start });
    direct(split, { inside: start + 1, outside: program.length, greedy });
    return;
  }
  const splits: { readonly split: { first: number; second: number }; readonly inside: number }[] = [];
  for (let count = min; count < max; count += 1) {
    const split = push(program, { kind: 'split', first: 0, second: 0 });
    splits.push({ split, inside: program.length });
    emit(program, inner);
  }
  for (const { split, inside } of splits) direct(split, { inside, outside: program.length, greedy });
}

function direct(
  split: { first: number; second: number },
  to: { readonly inside: number; readonly outside: number; readonly greedy: boolean },
): void {
  split.first = to.greedy ? to.inside : to.outside;
  split.second = to.greedy ? to.outside : to.inside;
}

function push<I extends Instruction>(program: Instruction[], instruction: I): I {
  if (program.length >= MAX_PATTERN_INSTRUCTIONS) throw new PatternError('the pattern is too large');
  program.push(instruction);
  return instruction;
}
