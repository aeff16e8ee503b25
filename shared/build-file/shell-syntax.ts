/**
 * Checks shell fragments before anything runs: a quote that is not closed is better told at once than after an
 * environment has been made. The grammar is bash as mvdan/sh parses it (the parser melange uses), compiled to
 * WebAssembly by the package sh-syntax.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { getProcessor, ParseError } from 'sh-syntax';
import { createReporter, type Diagnostic, type Reporter } from './diagnostic.ts';
import { MAX_CHECKED_SHELL_CHARACTERS } from './limits.ts';
import type { Place, Text } from './place.ts';
import type { ShellFragment } from './shell-fragments.ts';

/** The part of the JavaScript API used here; neither TypeScript's ESNext library nor Node's types have it. */
declare const WebAssembly: {
  compile(bytes: Uint8Array): Promise<object>;
  instantiate(module: object, imports: object): Promise<object>;
  readonly RuntimeError: new () => Error;
};

/**
 * Between fragments that are checked together: valid by itself, but a syntax error inside a quoted text that the
 * fragment before has left open.
 */
const SEPARATOR = `\n: ')' ")"\n`;

/** Starting the parser takes as long as parsing 10 kB, so that much is checked at once. */
const BATCH_CHARACTERS = 64 * 1024;

/** Fragments whose templates were found valid; they are used again and again. */
const valid = new WeakSet<Text>();

/**
 * The syntax errors (`shell-syntax`) of each group of fragments, for example those of one build file. A group that is
 * larger than `MAX_CHECKED_SHELL_CHARACTERS` is checked as far as that.
 */
export async function checkShell(
  groups: readonly (readonly ShellFragment[])[],
): Promise<readonly (readonly Diagnostic[])[]> {
  const reporters = groups.map(() => createReporter());
  const batch: Checked[] = [];
  let characters = 0;
  for (const [index, group] of groups.entries()) {
    const reporter = reporters[index];
    if (reporter === undefined) continue;
    for (const fragment of distinct(group)) {
      batch.push({ fragment, reporter });
      characters += textOf(fragment).length;
      if (characters < BATCH_CHARACTERS) continue;
      await checkBatch(batch.splice(0));
      characters = 0;
    }
  }
  await checkBatch(batch);
  return reporters.map((one) => one.diagnostics);
}

interface Checked {
  readonly fragment: ShellFragment;
  readonly reporter: Reporter;
}

function distinct(group: readonly ShellFragment[]): ShellFragment[] {
  const seen = new Set<string>();
  let characters = 0;
  return group.filter(({ script, template = script, written }) => {
    if (template.trim() === '' || seen.has(template) || valid.has(written)) return false;
    seen.add(template);
    characters += template.length;
    return characters <= MAX_CHECKED_SHELL_CHARACTERS;
  });
}

/** Halves what has an error until the fragment is found that has it. */
async function checkBatch(batch: readonly Checked[]): Promise<void> {
  const [first] = batch;
  if (first === undefined) return;
  const problem = await parse(batch.map((one) => textOf(one.fragment)).join(SEPARATOR));
  if (problem === undefined) {
    for (const { fragment } of batch) if (fragment.template !== undefined) valid.add(fragment.written);
    return;
  }
  if (batch.length === 1) {
    // A template may be odd where what comes of it is not: what runs decides.
    const { script, template } = first.fragment;
    const found = template === undefined || template === script ? problem : await parse(script);
    if (found !== undefined) report(first, found);
    return;
  }
  const middle = batch.length >> 1;
  await checkBatch(batch.slice(0, middle));
  await checkBatch(batch.slice(middle));
}

function textOf({ script, template = script }: ShellFragment): string {
  return template;
}

type ShellProblem =
  | { readonly message: string; readonly line: number; readonly column: number }
  /** The parser gave up: nested too deep for its stack. */
  | 'unparsable';

let processor: Promise<ReturnType<typeof getProcessor>> | undefined;

async function parse(script: string): Promise<ShellProblem | undefined> {
  processor ??= loadProcessor();
  const check = await processor;
  try {
    // Printing is quicker than the tree, which would have to be put into JSON and read again.
    await check(script, { print: true });
    return undefined;
  } catch (thrown) {
    if (thrown instanceof WebAssembly.RuntimeError || thrown instanceof RangeError) return 'unparsable';
    if (thrown instanceof ParseError) {
      const { Line: line = 1, Col: column = 1 } = thrown.Pos ?? {};
      return { message: thrown.message, line, column };
    }
    // What another shell would take comes as a text with the place in front.
    const [, line, column, message] =
      (thrown instanceof SyntaxError && /^(\d+):(\d+): (.*)/s.exec(thrown.message)) || [];
    if (message === undefined) throw thrown;
    return { message, line: Number(line), column: Number(column) };
  }
}

/** Compiles the parser once; an instance is used for one text only, since its memory is never freed. */
async function loadProcessor(): Promise<ReturnType<typeof getProcessor>> {
  const path = createRequire(import.meta.url).resolve('sh-syntax/main.wasm');
  const compiled = await WebAssembly.compile(await readFile(path));
  return getProcessor(async (imports: object) => WebAssembly.instantiate(compiled, imports));
}

function report({ fragment, reporter }: Checked, problem: ShellProblem): void {
  const { written, note } = fragment;
  if (problem === 'unparsable') {
    reporter.report(written.place, {
      code: 'shell-syntax',
      severity: 'warning',
      message: 'the shell fragment is nested too deeply to be checked',
      hint: note,
    });
    return;
  }
  const { line, column, message } = problem;
  const hints = [written.value === '' ? undefined : hintFor(message), note].filter(
    (one) => one !== undefined,
  );
  reporter.report(placeOfLine(fragment, { line, column }), {
    code: 'shell-syntax',
    message: `shell syntax: ${message}`,
    hint: hints.length === 0 ? undefined : hints.join('; '),
  });
}

function hintFor(message: string): string | undefined {
  if (message.includes('without closing quote')) return 'a quote opened here is not closed';
  if (message.includes('here-document')) return 'the word that ends it must stand alone in a line';
  return undefined;
}

/** Where a line of the script stands in its file; the first line where replacing variables has moved the lines. */
function placeOfLine(
  { script, written }: ShellFragment,
  at: { readonly line: number; readonly column: number },
): Place {
  const { source, start, end } = written.place;
  const lines = written.value.split('\n');
  const sourceLines = source.text.slice(start, end).split('\n');
  const wanted = lines[at.line - 1]?.trim();
  const found = sourceLines[at.line - 1];
  const hasVariables = found?.includes('${{') === true;
  const isSame = found?.trim() === wanted || hasVariables;
  if (found === undefined || !isSame || lines.length !== script.split('\n').length) {
    return firstLine(written.place);
  }
  const before = sourceLines.slice(0, at.line - 1).reduce((sum, line) => sum + line.length + 1, start);
  const indent = found.length - found.trimStart().length;
  const cut = (lines[at.line - 1]?.length ?? 0) - (lines[at.line - 1]?.trimStart().length ?? 0);
  const column = hasVariables ? 0 : Math.max(0, at.column - 1 - cut);
  const lineEnd = before + found.trimEnd().length;
  return { source, start: Math.min(before + indent + column, lineEnd), end: lineEnd };
}

function firstLine({ source, start, end }: Place): Place {
  const line = source.text.indexOf('\n', start);
  return { source, start, end: line < 0 ? end : Math.min(end, line) };
}
