/** Arguments of a pipeline: `with` against the declared `inputs`. */
import type { Reporter } from './diagnostic.ts';
import { MAX_VARIABLE_DEPTH } from './limits.ts';
import type { Place, Text } from './place.ts';
import type { Step } from './schema.ts';
import type { KeyedText, TextMap } from './shape.ts';
import { didYouMean } from './spelling.ts';
import { type ExpansionBudget, type Scope, substituteText } from './variables.ts';

export interface InputsContext {
  readonly reporter: Reporter;
  readonly budget: ExpansionBudget;
  /** Everything but `inputs.*`. */
  readonly globals: Scope;
  /** `inputs.*` of the enclosing pipelines. */
  readonly enclosing: ReadonlyMap<string, string>;
  /** Where the pipeline is used, for what is missing. */
  readonly usedAt: Place;
  readonly note: string | undefined;
}

export interface ResolvedInputs {
  /** `inputs.*` as the pipeline sees them: its own over those of the enclosing pipelines. */
  readonly inputs: ReadonlyMap<string, string>;
  /** Arguments that differ from the default, for the recorded form. */
  readonly given: TextMap;
}

/** Inputs whose values are digests: hexadecimal digits, in either case. */
const DIGEST_DIGITS: ReadonlyMap<string, number> = new Map([
  ['expected-sha256', 64],
  ['expected-sha512', 128],
  ['expected-commit', 40],
]);

/**
 * Resolves the arguments that `caller` passes to the pipeline file `file`. An empty argument means the default. Values
 * may refer to other inputs of the pipeline, in any order; a reference to the input's own name means the enclosing
 * pipeline's. Reports `unknown-key`, `missing-value`, `invalid-value` and `unknown-variable`.
 */
export function resolveInputs(caller: Step, file: Step, context: InputsContext): ResolvedInputs {
  const { reporter, note } = context;
  const declared = file.inputs ?? new Map<string, never>();
  for (const [name, argument] of caller.with ?? []) {
    if (declared.has(name)) continue;
    reporter.report(argument.keyPlace, {
      code: 'unknown-key',
      message: `the pipeline ${caller.uses?.value ?? ''} has no input "${name}"`,
      hint: didYouMean(name, declared.keys()) ?? inputsHint([...declared.keys()]),
    });
  }

  const written = new Map<string, Text>();
  for (const [name, input] of declared) {
    const passed = caller.with?.get(name);
    const value = passed === undefined || passed.value === '' ? input.default : passed;
    if (input.required === true && (value === undefined || value.value === '')) {
      reporter.report(passed?.place ?? context.usedAt, {
        code: 'missing-value',
        message: `the pipeline ${caller.uses?.value ?? ''} needs the input "${name}"`,
        hint: note,
      });
    }
    written.set(name, value ?? { value: '', place: input.place });
  }

  const resolved = resolveSiblings(written, context);
  const given = new Map<string, KeyedText>();
  for (const [name, text] of written) {
    const value = resolved.get(name) ?? '';
    checkDigest({ name, value }, text, context);
    const passed = caller.with?.get(name);
    if (passed !== undefined && value !== (declared.get(name)?.default?.value ?? '')) {
      given.set(name, { ...passed, value });
    }
  }
  const own = [...resolved].map(([name, value]) => [`inputs.${name}`, value] as const);
  return { inputs: new Map([...context.enclosing, ...own]), given };
}

function resolveSiblings(
  written: ReadonlyMap<string, Text>,
  context: InputsContext,
): ReadonlyMap<string, string> {
  const resolved = new Map<string, string>();
  const path: string[] = [];

  const lookUp = (reference: string, from: string): string | undefined => {
    const name = reference.startsWith('inputs.') ? reference.slice('inputs.'.length) : undefined;
    const sibling = name === undefined || name === from ? undefined : written.get(name);
    if (name === undefined || sibling === undefined) {
      return context.enclosing.get(reference) ?? context.globals.get(reference);
    }
    return resolve(name, sibling);
  };

  const resolve = (name: string, text: Text): string => {
    const known = resolved.get(name);
    if (known !== undefined) return known;
    if (path.includes(name) || path.length >= MAX_VARIABLE_DEPTH) {
      context.reporter.report(text.place, {
        code: 'invalid-value',
        message: `inputs refer to each other: ${[...path.slice(Math.max(0, path.indexOf(name))), name].join(' → ')}`,
        hint: context.note,
      });
      return '';
    }
    path.push(name);
    const scope: Scope = {
      get: (reference) => lookUp(reference, name),
      *names() {
        for (const other of written.keys()) yield `inputs.${other}`;
        yield* context.enclosing.keys();
        yield* context.globals.names();
      },
    };
    const { reporter, budget, note } = context;
    const value = substituteText(text, { scope, reporter, budget, note });
    path.pop();
    resolved.set(name, value);
    return value;
  };

  for (const [name, text] of written) resolve(name, text);
  return resolved;
}

function checkDigest(
  input: { readonly name: string; readonly value: string },
  text: Text,
  context: InputsContext,
): void {
  const digits = DIGEST_DIGITS.get(input.name);
  if (digits === undefined || input.value === '') return;
  if (input.value.length === digits && /^[0-9A-Fa-f]+$/.test(input.value)) return;
  context.reporter.report(text.place, {
    code: 'invalid-value',
    message: `${input.name} has ${digits} hexadecimal digits; this value has ${describeDigits(input.value)}`,
    hint: context.note,
  });
}

function describeDigits(value: string): string {
  return /^[0-9A-Fa-f]+$/.test(value) ? `${value.length}` : 'other characters';
}

function inputsHint(names: readonly string[]): string {
  return names.length === 0 ? 'it has no inputs' : `its inputs are ${names.join(', ')}`;
}
