/** Variables whose values hold variables. */
import type { Reporter } from './diagnostic.ts';
import { MAX_VARIABLE_DEPTH } from './limits.ts';
import type { Text } from './place.ts';
import {
  createScope,
  type ExpansionBudget,
  type ReferenceProblem,
  type Scope,
  splitReferences,
  substituteText,
} from './variables.ts';

export interface ResolveOptions {
  /** Where names that are not among the variables are looked up. */
  readonly outer: Scope;
  /** What becomes of a name found nowhere: it stays as written for a later pass, or it is reported. */
  readonly unknown: 'keep' | 'report';
  readonly reporter: Reporter;
  readonly budget: ExpansionBudget;
}

/**
 * Replaces references between the variables (keys are full names such as `vars.x`) in the order of their dependencies.
 * A circle is reported as `invalid-value` where it was met.
 */
export function resolveVariables(
  variables: ReadonlyMap<string, Text>,
  options: ResolveOptions,
): Map<string, string> {
  const resolved = new Map<string, string>();
  const path: string[] = [];

  const resolve = (name: string, text: Text): string => {
    const known = resolved.get(name);
    if (known !== undefined) return known;
    if (path.includes(name) || path.length >= MAX_VARIABLE_DEPTH) {
      const circle = [...path.slice(Math.max(0, path.indexOf(name))), name].slice(0, 10);
      options.reporter.report(text.place, {
        code: 'invalid-value',
        message: `variables refer to each other: ${circle.join(' → ')}`,
      });
      return '';
    }
    path.push(name);
    const scope: Scope = {
      get(wanted) {
        const other = variables.get(wanted);
        return other === undefined ? options.outer.get(wanted) : resolve(wanted, other);
      },
      *names() {
        yield* variables.keys();
        yield* options.outer.names();
      },
    };
    const kept = options.unknown === 'keep' ? keepUnknown(text, scope) : scope;
    const value = kept === undefined ? text.value : substituteText(text, { ...options, scope: kept });
    path.pop();
    resolved.set(name, value);
    return value;
  };

  for (const [name, text] of variables) resolve(name, text);
  return resolved;
}

/** A scope in which unknown names stand for themselves; undefined for a text with malformed references. */
function keepUnknown(text: Text, scope: Scope): Scope | undefined {
  if (!text.value.includes('${{')) return scope;
  const problems: ReferenceProblem[] = [];
  const unknown = new Map<string, string>();
  for (const segment of splitReferences(text.value, problems)) {
    if (segment.kind === 'reference') unknown.set(segment.name, segment.written);
  }
  if (problems.length > 0) return undefined;
  return { get: (name) => scope.get(name) ?? createScope(unknown).get(name), names: () => scope.names() };
}
