/**
 * Environment files in dotenv syntax, as godotenv reads them (https://github.com/joho/godotenv, README), which the
 * format of build files names for `--env-file`.
 */
import type { Reporter } from './diagnostic.ts';
import { MAX_SOURCE_CHARACTERS, MAX_TEXT_CHARACTERS } from './limits.ts';
import { createSource, type SourceFile } from './place.ts';
import type { KeyedText, TextMap } from './shape.ts';
import type { SourceText } from './source.ts';

/** `KEY=` or `export KEY:`, with the blanks around it; a key has letters, digits, `_` and `.`. */
const ASSIGNMENT = /[ \t]*(?:export[ \t]+)?([A-Za-z0-9_.]+)[ \t]*[=:][ \t]*/y;

/** An empty line or one with only a comment. */
const NOTHING = /[ \t]*(?:#[^\r\n]*)?(?=[\r\n]|$)/y;

/** A reference in an unquoted or double-quoted value. Only upper-case names count, as in godotenv. */
const REFERENCE = /(\\)?\$(?:\{([A-Z0-9_]+)\}|([A-Z0-9_]+))?/g;

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);

/**
 * The variables of an environment file. A line that assigns nothing, a quote that is not closed and text behind a
 * closing quote are reported as `invalid-value`, and the other lines still read. `$NAME` and `${NAME}` mean an earlier
 * variable of the same file, or nothing, except in single quotes. Of two lines with one name the later counts.
 */
export function parseEnvironmentFile(input: SourceText, reporter: Reporter): TextMap {
  const { file, text } = input;
  const variables = new Map<string, KeyedText>();
  if (text.length > MAX_SOURCE_CHARACTERS) {
    reporter.report(
      { source: createSource(file, ''), start: 0, end: 1 },
      {
        code: 'build-file-too-large',
        message: `the file has ${text.length} characters, more than the ${MAX_SOURCE_CHARACTERS} allowed`,
      },
    );
    return variables;
  }
  const source = createSource(file, text);
  let at = text.startsWith('\uFEFF') ? 1 : 0;
  while (at < text.length) {
    const empty = matchAt(NOTHING, text, at);
    at = empty === undefined ? readAssignment(source, at, { variables, reporter }) : at + empty[0].length;
    // Whatever was read or refused, the next assignment starts on a new line.
    at = nextLine(text, at);
  }
  return variables;
}

interface ReadContext {
  readonly variables: Map<string, KeyedText>;
  readonly reporter: Reporter;
}

interface Value {
  readonly value: string;
  /** Where it was written, quotes included. */
  readonly start: number;
  readonly end: number;
}

/** Reads the assignment that begins at `start`; gives the offset up to which it goes. */
function readAssignment(source: SourceFile, start: number, { variables, reporter }: ReadContext): number {
  const { text } = source;
  const match = matchAt(ASSIGNMENT, text, start);
  const key = match?.[1];
  if (match === undefined || key === undefined) {
    reporter.report(firstWord(source, start), {
      code: 'invalid-value',
      message: 'a line of an environment file is NAME=value, a comment or empty',
    });
    return start;
  }
  const keyStart = start + match[0].indexOf(key);
  const keyPlace = { source, start: keyStart, end: keyStart + key.length };
  const found = readValue(source, start + match[0].length, { variables, reporter });
  if (found === undefined) return lineEnd(text, start);
  if (found.value.length > MAX_TEXT_CHARACTERS) {
    reporter.report(keyPlace, {
      code: 'build-file-too-large',
      message: `the value of ${key} becomes too large when its variables are replaced`,
    });
    return found.end;
  }
  variables.set(key, { value: found.value, place: { source, start: found.start, end: found.end }, keyPlace });
  return found.end;
}

function readValue(source: SourceFile, start: number, context: ReadContext): Value | undefined {
  const { text } = source;
  const quote = text[start];
  if (quote !== '"' && quote !== "'") return readUnquoted(text, start, context);
  const close = closingQuote(text, start, quote);
  if (close === undefined) {
    context.reporter.report(
      { source, start, end: start + 1 },
      {
        code: 'invalid-value',
        message: `the value begins with ${quote}, but there is no ${quote} at its end`,
      },
    );
    return undefined;
  }
  const end = close + 1;
  if (matchAt(NOTHING, text, end) === undefined) {
    context.reporter.report(firstWord(source, end), {
      code: 'invalid-value',
      message: 'only a comment may follow a quoted value on its line',
    });
  }
  const written = text.slice(start + 1, close).replaceAll('\r\n', '\n');
  return { value: quote === "'" ? written : replaceEscapes(written, context.variables), start, end };
}

/** Up to the end of the line, or to a `#` behind a blank. */
function readUnquoted(text: string, start: number, { variables }: ReadContext): Value {
  const line = text.slice(start, lineEnd(text, start));
  // The blanks behind the equals sign belong to the assignment, so a comment may begin right here.
  const comment = /[ \t]/.test(text[start - 1] ?? '') && line.startsWith('#') ? 0 : line.search(/[ \t]#/);
  const value = (comment < 0 ? line : line.slice(0, comment)).trimEnd();
  return { value: replaceReferences(value, variables), start, end: start + value.length };
}

/** Offset of the quote that ends a value; a backslash hides the one behind it, but not in single quotes. */
function closingQuote(text: string, start: number, quote: string): number | undefined {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === quote) return at;
    if (text[at] === '\\' && quote === '"') at += 1;
  }
  return undefined;
}

/** Escapes and references in one pass, so that the result of one is never taken for the other. */
function replaceEscapes(written: string, variables: TextMap): string {
  return written
    .split(/(\\[^$])/s)
    .map((part, index) =>
      index % 2 === 0 ? replaceReferences(part, variables) : (ESCAPES.get(part.slice(1)) ?? part.slice(1)),
    )
    .join('');
}

/** A backslash keeps its dollar sign from being one. */
function replaceReferences(text: string, variables: TextMap): string {
  return text.replace(REFERENCE, (written: string, escaped?: string, braced?: string, bare?: string) => {
    if (escaped !== undefined) return written.slice(1);
    const name = braced ?? bare;
    return name === undefined ? written : (variables.get(name)?.value ?? '');
  });
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

function firstWord(source: SourceFile, start: number): { source: SourceFile; start: number; end: number } {
  const rest = source.text.slice(start, lineEnd(source.text, start));
  const blanks = rest.length - rest.trimStart().length;
  const word = /^\S+/.exec(rest.slice(blanks))?.[0] ?? ' ';
  return { source, start: start + blanks, end: start + blanks + word.length };
}

function lineEnd(text: string, start: number): number {
  const end = text.slice(start).search(/[\r\n]/);
  return end < 0 ? text.length : start + end;
}

function nextLine(text: string, at: number): number {
  const end = lineEnd(text, at);
  return end + (text.startsWith('\r\n', end) ? 2 : 1);
}
