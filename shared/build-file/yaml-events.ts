/**
 * The events of a YAML text. js-yaml keeps to YAML 1.2, where each line of a quoted text or of a collection in brackets
 * is indented more than what it belongs to. libyaml and go-yaml, for which build files are written, do not look at the
 * indentation there: a closing bracket below the key is common. Such lines are given more blanks, which mean nothing
 * in those places, and read again.
 */
import { type Event, parseEvents, YAMLException } from 'js-yaml';
import { MAX_YAML_DEPTH, MAX_YAML_REREAD_CHARACTERS } from './limits.ts';

export interface YamlEvents {
  readonly events: readonly Event[];
  /** What the offsets of the events count in: the text, with blanks added. */
  readonly text: string;
  /** The offset in the text that was given. */
  originalOffset(offset: number): number;
}

/** Where and why a text is no YAML; the offset counts in the text that was given. */
export interface YamlProblem {
  readonly reason: string;
  readonly offset: number;
}

export function readYaml(original: string): YamlEvents | YamlProblem {
  let text = original;
  /** Offsets in the given text of the lines that have been indented, ascending. */
  let indented: readonly number[] = [];
  let blanks = 0;
  let first: YamlProblem | undefined;
  let characters = 0;
  for (;;) {
    const originalOffset = (offset: number): number => withoutBlanks(offset, indented, blanks);
    const result = tryEvents(text);
    if (!('reason' in result)) return { events: result, text, originalOffset };
    const problem = { reason: result.reason, offset: originalOffset(result.offset) };
    characters += text.length;
    const line = original.lastIndexOf('\n', problem.offset - 1) + 1;
    const isAboutIndentation = problem.reason === 'deficient indentation' && !indented.includes(line);
    if (!isAboutIndentation || characters > MAX_YAML_REREAD_CHARACTERS) {
      const last = indented.at(-1) ?? 0;
      return first !== undefined && problem.offset <= endOfNextLine(original, last) ? first : problem;
    }
    // A closing bracket is a good sign. At anything else a quote may have been left open: then reading fails again, at
    // the next quote or at the end.
    if (!/[\]}]/.test(original.charAt(problem.offset))) first ??= problem;
    blanks ||= widestIndentation(original) + 1;
    indented = [...indented, line].sort((a, b) => a - b);
    text = withBlanks(original, indented, blanks);
  }
}

function tryEvents(text: string): readonly Event[] | YamlProblem {
  try {
    return parseEvents(text, { maxDepth: MAX_YAML_DEPTH });
  } catch (thrown) {
    if (!(thrown instanceof YAMLException)) throw thrown;
    return { reason: thrown.reason, offset: Math.min(thrown.mark?.position ?? 0, text.length) };
  }
}

function endOfNextLine(text: string, offset: number): number {
  const end = text.indexOf('\n', text.indexOf('\n', offset) + 1);
  return end < 0 || end < offset ? text.length : end;
}

function withBlanks(text: string, lines: readonly number[], blanks: number): string {
  const parts: string[] = [];
  let end = 0;
  for (const line of lines) {
    parts.push(text.slice(end, line), ' '.repeat(blanks));
    end = line;
  }
  parts.push(text.slice(end));
  return parts.join('');
}

function withoutBlanks(offset: number, lines: readonly number[], blanks: number): number {
  let added = 0;
  for (const line of lines) {
    if (offset <= line + added) break;
    added += Math.min(blanks, offset - line - added);
  }
  return offset - added;
}

/** Columns in front of the first word of any line; dashes count, since what follows one is further in. */
function widestIndentation(text: string): number {
  let widest = 0;
  for (const [before] of text.matchAll(/^[ ?-]+/gm)) widest = Math.max(widest, before.length);
  return widest;
}
