/** Conditions of steps and subpackages, decided when compiling. */
import { evaluateCondition, parseCondition, renderCondition } from './condition.ts';
import type { Reporter } from './diagnostic.ts';
import type { Place, Text } from './place.ts';
import { type ExpansionBudget, type ReferenceProblem, reportReferences, type Scope } from './variables.ts';

export interface CompiledCondition {
  readonly holds: boolean;
  /** The condition with its values written out; undefined where there is none. */
  readonly rendered?: string;
}

/** Evaluates an `if`; an absent or empty one holds. Problems are reported as `invalid-condition`. */
export function compileCondition(
  text: Text | undefined,
  scope: Scope,
  context: {
    readonly reporter: Reporter;
    readonly budget: ExpansionBudget;
    readonly note?: string | undefined;
  },
): CompiledCondition {
  if (text === undefined || text.value.trim() === '') return { holds: true };
  const { condition, problem } = parseCondition(text.value);
  if (condition === undefined) {
    context.reporter.report(offsetPlace(text, problem.offset), {
      code: 'invalid-condition',
      message: `the condition cannot be read: ${problem.message}`,
      hint: context.note ?? "write it as ${{variable}} == 'text', joined by && and ||",
    });
    return { holds: false };
  }
  const problems: ReferenceProblem[] = [];
  const holds = evaluateCondition(condition, scope, problems);
  reportReferences(text, problems, context);
  if (problems.length > 0) return { holds: false };
  const rendered = renderCondition(condition, scope);
  context.budget.remaining -= rendered.length;
  return { holds, rendered };
}

/** The place of a character of a text that stands in its source as it is, else that of the whole. */
function offsetPlace(text: Text, offset: number): Place {
  const { source, start, end } = text.place;
  const written = source.text.slice(start, end);
  if (written !== text.value) return text.place;
  return { source, start: start + offset, end: Math.max(start + offset + 1, end) };
}
