/** `var-transforms`: variables derived from others by a regular expression. */
import type { Reporter } from './diagnostic.ts';
import {
  compilePattern,
  createMatchWork,
  type Match,
  type MatchWork,
  type Pattern,
  replaceAll,
} from './regex-match.ts';
import { PatternError } from './regex-syntax.ts';
import type { Transform } from './schema.ts';
import { keyPlace } from './struct.ts';
import { createScope, type ExpansionBudget, substituteText, TOO_LARGE } from './variables.ts';

/** Applies the transforms top to bottom; each result is set as `vars.<to>` in `values`, where later ones see it. */
export function applyTransforms(
  transforms: readonly Transform[],
  values: Map<string, string>,
  context: { readonly reporter: Reporter; readonly budget: ExpansionBudget },
): void {
  const scope = createScope(values);
  const work = createMatchWork();
  for (const transform of transforms) {
    const { from, match, replace, to } = transform;
    if (to === undefined || to.value === '') {
      context.reporter.report(to?.place ?? transform.place, {
        code: 'missing-value',
        message: 'a var-transform needs the name of a variable in "to"',
      });
      continue;
    }
    const text = from === undefined ? '' : substituteText(from, { scope, ...context });
    try {
      const pattern = compilePattern(match?.value ?? '');
      const result = replaceMatches(pattern, text, { template: replace?.value ?? '', work });
      context.budget.remaining -= result.length;
      values.set(`vars.${to.value}`, result);
      if (context.budget.remaining < 0) context.reporter.report(transform.place, TOO_LARGE);
    } catch (thrown) {
      if (!(thrown instanceof PatternError)) throw thrown;
      context.reporter.report(match?.place ?? keyPlace(transform, 'match'), {
        code: 'invalid-value',
        message: `the regular expression does not work: ${thrown.message}`,
        hint: 'expressions have the syntax of RE2 (Go)',
      });
      // Later references to it are not the author's mistake.
      values.set(`vars.${to.value}`, '');
    }
  }
}

/**
 * `ReplaceAllString` of Go's regexp: in the template `$1`, `${1}`, `$name` and `${name}` stand for groups, an unbraced
 * name being as long as possible, `$$` for a dollar sign; a group that does not exist is empty.
 *
 * @throws PatternError when the matching takes too long.
 */
export function replaceMatches(
  pattern: Pattern,
  text: string,
  options: { readonly template: string; readonly work: MatchWork },
): string {
  const expand = (match: Match): string => expandTemplate(options.template, match, pattern.groupNames);
  return replaceAll(pattern, text, { expand, work: options.work });
}

function expandTemplate(template: string, match: Match, names: readonly string[]): string {
  return template.replace(
    /\$(?:(\$)|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu,
    (_, dollar?: string, braced?: string, plain?: string) => {
      if (dollar !== undefined) return '$';
      const name = braced ?? plain ?? '';
      const index = /^[0-9]+$/.test(name) ? Number(name) : names.indexOf(name);
      return match.groups[index] ?? '';
    },
  );
}
