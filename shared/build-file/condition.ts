/**
 * The language of `if:`. Comparisons of texts joined by `&&` and `||`, which have equal precedence and associate to
 * the left. Unlike upstream, which pastes values into the text before parsing it, a bare `${{name}}` is a value here and a
 * reference inside quotes is interpolated; every expression that upstream accepts means the same.
 */
import { MAX_CONDITION_CHARACTERS, MAX_EXPRESSION_DEPTH, MAX_OPERAND_CHARACTERS } from './limits.ts';
import {
  type ReferenceProblem,
  type Scope,
  type Segment,
  splitReferences,
  substitute,
  TOO_LARGE,
} from './variables.ts';

export type Condition =
  | {
      readonly kind: 'compare';
      readonly operator: '==' | '!=';
      readonly left: Operand;
      readonly right: Operand;
    }
  | {
      readonly kind: 'join';
      readonly operator: '&&' | '||';
      readonly left: Condition;
      readonly right: Condition;
    };

export interface Operand {
  /** Text that may hold references. */
  readonly segments: readonly Segment[];
}

/** Where an expression stops making sense; `offset` counts in its text. */
export interface ConditionProblem {
  readonly message: string;
  readonly offset: number;
}

export type ParsedCondition =
  | { readonly condition: Condition; readonly problem?: undefined }
  | { readonly condition?: undefined; readonly problem: ConditionProblem };

/** Thrown inside the parser only. */
class Unparsable extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

export function parseCondition(text: string): ParsedCondition {
  if (text.length > MAX_CONDITION_CHARACTERS)
    return { problem: { message: 'the condition is too long', offset: 0 } };
  const cursor = { text, offset: 0 };
  try {
    const condition = parseExpression(cursor, 0);
    if (cursor.offset < text.length) fail(cursor, 'expected && or ||');
    return { condition };
  } catch (thrown) {
    if (!(thrown instanceof Unparsable)) throw thrown;
    return { problem: { message: thrown.message, offset: thrown.offset } };
  }
}

/** True or false; unknown variables go to `problems` and make the result meaningless. */
export function evaluateCondition(condition: Condition, scope: Scope, problems: ReferenceProblem[]): boolean {
  if (condition.kind === 'compare') {
    const equal =
      operandValue(condition.left, scope, problems) === operandValue(condition.right, scope, problems);
    return condition.operator === '==' ? equal : !equal;
  }
  // Both sides are evaluated, so that an unknown variable is found whatever the other side is.
  const left = evaluateCondition(condition.left, scope, problems);
  const right = evaluateCondition(condition.right, scope, problems);
  return condition.operator === '&&' ? left && right : left || right;
}

/** The expression with every value written out as a quoted string, which parses to the same result anywhere. */
export function renderCondition(condition: Condition, scope: Scope): string {
  if (condition.kind === 'compare') {
    const left = quote(operandValue(condition.left, scope, []));
    return `${left} ${condition.operator} ${quote(operandValue(condition.right, scope, []))}`;
  }
  const right = renderCondition(condition.right, scope);
  const grouped = condition.right.kind === 'join' ? `(${right})` : right;
  return `${renderCondition(condition.left, scope)} ${condition.operator} ${grouped}`;
}

function operandValue(operand: Operand, scope: Scope, problems: ReferenceProblem[]): string {
  let value = '';
  for (const one of operand.segments) {
    value += one.kind === 'literal' ? one.text : substitute(one.written, scope, problems);
    if (value.length > MAX_OPERAND_CHARACTERS) {
      problems.push({ ...TOO_LARGE, snippet: one.kind === 'literal' ? '' : one.written });
      return '';
    }
  }
  return value;
}

function quote(value: string): string {
  const escapes: Record<string, string> = { '\n': '\\n', '\t': '\\t' };
  return `"${value.replace(/[\\"\n\t]/g, (one) => escapes[one] ?? `\\${one}`)}"`;
}

interface Cursor {
  readonly text: string;
  offset: number;
}

function parseExpression(cursor: Cursor, depth: number): Condition {
  let left = parseAtom(cursor, depth);
  for (;;) {
    const operator = take(cursor, '&&') ?? take(cursor, '||');
    if (operator === undefined) return left;
    left = { kind: 'join', operator, left, right: parseAtom(cursor, depth) };
  }
}

function parseAtom(cursor: Cursor, depth: number): Condition {
  if (take(cursor, '(') !== undefined) {
    if (depth >= MAX_EXPRESSION_DEPTH) fail(cursor, 'too many parentheses');
    const inner = parseExpression(cursor, depth + 1);
    if (take(cursor, ')') === undefined) fail(cursor, 'expected )');
    return inner;
  }
  const left = parseOperand(cursor);
  const operator = take(cursor, '==') ?? take(cursor, '!=');
  if (operator === undefined) return fail(cursor, 'expected == or !=');
  return { kind: 'compare', operator, left, right: parseOperand(cursor) };
}

const REFERENCE = /\$\{\{[ \t\r\n]*([A-Za-z0-9._-]+)[ \t\r\n]*\}\}/y;

function parseOperand(cursor: Cursor): Operand {
  skipBlanks(cursor);
  const first = cursor.text[cursor.offset];
  if (first === '"' || first === "'") return parseString(cursor, first);
  REFERENCE.lastIndex = cursor.offset;
  const match = REFERENCE.exec(cursor.text);
  if (match?.[1] !== undefined) {
    cursor.offset += match[0].length;
    skipBlanks(cursor);
    return { segments: [{ kind: 'reference', name: match[1], written: match[0] }] };
  }
  if (first === undefined) return fail(cursor, 'the condition ends where a value is expected');
  if (first === '$') return fail(cursor, 'the variable reference is not closed');
  return fail(cursor, 'expected a quoted text or a variable');
}

const ESCAPES: Record<string, string> = { '\\': '\\', "'": "'", '"': '"', n: '\n', t: '\t' };

function parseString(cursor: Cursor, delimiter: string): Operand {
  const start = cursor.offset;
  const { text } = cursor;
  let value = '';
  for (let index = start + 1; index < text.length; index += 1) {
    const letter = text[index] ?? '';
    if (letter === delimiter) {
      const problems: ReferenceProblem[] = [];
      const segments = splitReferences(value, problems);
      const [problem] = problems;
      if (problem !== undefined) throw new Unparsable(problem.message, start);
      cursor.offset = index + 1;
      skipBlanks(cursor);
      return { segments };
    }
    if (letter === '\\' && index + 1 < text.length) {
      index += 1;
      const escaped = text[index] ?? '';
      value += ESCAPES[escaped] ?? `\\${escaped}`;
    } else {
      value += letter;
    }
  }
  throw new Unparsable('the quoted text is not closed', start);
}

/** Takes the token if it is next, with the blanks around it. */
function take<const T extends string>(cursor: Cursor, token: T): T | undefined {
  skipBlanks(cursor);
  if (!cursor.text.startsWith(token, cursor.offset)) return undefined;
  cursor.offset += token.length;
  skipBlanks(cursor);
  return token;
}

function skipBlanks(cursor: Cursor): void {
  while (/[ \t\r\n]/.test(cursor.text[cursor.offset] ?? '')) cursor.offset += 1;
}

function fail(cursor: Cursor, message: string): never {
  throw new Unparsable(message, cursor.offset);
}
