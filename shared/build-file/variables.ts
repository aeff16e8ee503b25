/** References to variables, `${{name}}`, and the two ways of replacing them. */
import type { ErrorCode } from '../errors.ts';
import type { Reporter } from './diagnostic.ts';
import { MAX_DIAGNOSTICS, MAX_EXPANDED_CHARACTERS, MAX_TEXT_CHARACTERS } from './limits.ts';
import { placeWithin, type Text } from './place.ts';
import { didYouMean } from './spelling.ts';

/** The values a reference may have; `names` are for suggestions. */
export interface Scope {
  get(name: string): string | undefined;
  names(): Iterable<string>;
}

/** What is wrong with a reference, and how it is written. */
export interface ReferenceProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: () => string | undefined;
  readonly snippet: string;
}

/** Bounds what replacing may produce over a whole parse or compilation. */
export interface ExpansionBudget {
  remaining: number;
}

export function createExpansionBudget(): ExpansionBudget {
  return { remaining: MAX_EXPANDED_CHARACTERS };
}

const REFERENCE = /\$\{\{[ \t\r\n]*([A-Za-z0-9._-]*)[ \t\r\n]*(\}\})?/g;

/** A text cut at its references. */
export type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'reference'; readonly name: string; readonly written: string };

/** Cuts a text at its references; what is not well formed goes to `problems`. */
export function splitReferences(text: string, problems: ReferenceProblem[]): Segment[] {
  if (!text.includes('${{')) return [{ kind: 'literal', text }];
  const segments: Segment[] = [];
  let end = 0;
  for (const match of text.matchAll(REFERENCE)) {
    const [written, name = '', closing] = match;
    const rest = text.slice(match.index, match.index + 60).split('\n', 1)[0] ?? written;
    if (closing === undefined) {
      const end = rest.indexOf('}}');
      const message =
        end < 0
          ? `the variable reference ${rest} is not closed`
          : `"${rest.slice('${{'.length, end).trim()}" cannot be the name of a variable`;
      problems.push({
        code: 'unknown-variable',
        message,
        hint: () => 'write it as ${{name}}; a name has letters, digits, dots, dashes and underscores',
        snippet: end < 0 ? written.trimEnd() : rest.slice(0, end + 2),
      });
    } else if (name === '') {
      problems.push({
        code: 'unknown-variable',
        message: 'the variable reference is empty',
        snippet: written,
      });
    } else {
      if (match.index > end) segments.push({ kind: 'literal', text: text.slice(end, match.index) });
      segments.push({ kind: 'reference', name, written });
      end = match.index + written.length;
    }
  }
  if (end < text.length) segments.push({ kind: 'literal', text: text.slice(end) });
  return segments;
}

/**
 * Replaces every reference, blanks inside the braces allowed. An unknown name or a malformed reference is a problem;
 * all those of one text are found.
 */
export function substitute(text: string, scope: Scope, problems: ReferenceProblem[]): string {
  if (!text.includes('${{')) return text;
  let result = '';
  for (const segment of splitReferences(text, problems)) {
    if (segment.kind === 'literal') {
      result += segment.text;
      continue;
    }
    const value = scope.get(segment.name);
    if (value === undefined) problems.push(unknownVariable(segment, scope));
    else result += value;
    if (result.length > MAX_TEXT_CHARACTERS) {
      problems.push({ ...TOO_LARGE, snippet: segment.written });
      return '';
    }
  }
  return result;
}

/** The problem of a text or a whole that variables make too large. */
export const TOO_LARGE = {
  code: 'build-file-too-large',
  message: 'the text becomes too large when its variables are replaced',
} as const;

function unknownVariable(
  reference: { readonly name: string; readonly written: string },
  scope: Scope,
): ReferenceProblem {
  return {
    code: 'unknown-variable',
    message: `unknown variable ${reference.name}`,
    hint: () => didYouMean(reference.name, scope.names()) ?? whereKnown(reference.name, scope),
    snippet: reference.written,
  };
}

/** Where variables exist that are not known everywhere (melange build file, section 5.1). */
const ELSEWHERE: readonly (readonly [RegExp, string])[] = [
  [/^inputs\./, 'inputs exist only in pipeline files, under the names declared there'],
  [/^range\./, 'range.* exists only in a subpackage that has a "range"'],
  [/^(?:subpkg\.|targets\.subpkgdir$)/, 'it exists only in the pipeline and the test of a subpackage'],
  [/^package\.description$/, 'pipeline files cannot refer to the description'],
];

function whereKnown(name: string, scope: Scope): string {
  const elsewhere = ELSEWHERE.find(([pattern]) => pattern.test(name));
  if (elsewhere !== undefined) return elsewhere[1];
  const groups = new Set([...scope.names()].map((one) => `${one.split('.', 1)[0]}.*`));
  return `variables that exist here: ${[...groups].sort().join(', ')}`;
}

export interface SubstituteOptions {
  readonly scope: Scope;
  readonly reporter: Reporter;
  readonly budget: ExpansionBudget;
  /** Added to the hint, for example where the pipeline was used. */
  readonly note?: string | undefined;
}

/** `substitute` for a text that has a place: problems are reported where the reference stands. */
export function substituteText(text: Text, options: SubstituteOptions): string {
  if (!text.value.includes('${{')) return text.value;
  const problems: ReferenceProblem[] = [];
  const value = substitute(text.value, options.scope, problems);
  options.budget.remaining -= value.length;
  if (options.budget.remaining < 0) problems.push({ ...TOO_LARGE, snippet: '' });
  reportReferences(text, problems, options);
  return value;
}

export function reportReferences(
  text: Text,
  problems: readonly ReferenceProblem[],
  options: { readonly reporter: Reporter; readonly note?: string | undefined },
): void {
  for (const { snippet, code, message, hint } of problems) {
    if (options.reporter.diagnostics.length >= MAX_DIAGNOSTICS) return;
    const notes = [hint?.(), options.note].filter((one) => one !== undefined);
    options.reporter.report(placeWithin(text.place, snippet), {
      code,
      message,
      hint: notes.length === 0 ? undefined : notes.join('; '),
    });
  }
}

/**
 * Replaces exactly `${{NAME}}` (no blanks inside) for the known names, in one pass. Anything else stays for later.
 */
export function replaceKnown(text: string, values: Pick<Scope, 'get'>): string {
  if (!text.includes('${{')) return text;
  return text.replace(/\$\{\{([^{}]*)\}\}/g, (written, name: string) => values.get(name) ?? written);
}

/** A scope over maps and other scopes, the first that has the name deciding. */
export function createScope(...parts: readonly (ReadonlyMap<string, string> | Scope)[]): Scope {
  return {
    get(name) {
      for (const one of parts) {
        const value = one.get(name);
        if (value !== undefined) return value;
      }
      return undefined;
    },
    *names() {
      for (const one of parts) yield* 'names' in one ? one.names() : one.keys();
    },
  };
}
