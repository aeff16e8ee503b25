/** The `if*Match` and `if*NotMatch` conditions of the JSON API, on an object or on the source of a copy. */
import { Refusal } from './refusal.ts';

/** Conditions of one request; numbers are generations. 0 as a generation means "no object of this name". */
export interface Preconditions {
  readonly generationMatch?: number;
  readonly generationNotMatch?: number;
  readonly metagenerationMatch?: number;
  readonly metagenerationNotMatch?: number;
}

interface Versioned {
  readonly generation: number;
  readonly metageneration: number;
}

/**
 * Reads the conditions from a query; `prefix` is `if` or, for the source of a rewrite, `ifSource`.
 *
 * @throws Refusal 400 for a value that is no whole number.
 */
export function readPreconditions(query: URLSearchParams, prefix: 'if' | 'ifSource' = 'if'): Preconditions {
  return {
    ...numberFor('generationMatch', query.get(`${prefix}GenerationMatch`)),
    ...numberFor('generationNotMatch', query.get(`${prefix}GenerationNotMatch`)),
    ...numberFor('metagenerationMatch', query.get(`${prefix}MetagenerationMatch`)),
    ...numberFor('metagenerationNotMatch', query.get(`${prefix}MetagenerationNotMatch`)),
  };
}

/** @throws Refusal 400 where the text is no generation. */
export function parseGeneration(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new Refusal(400, `Invalid value for a generation: ${text}`);
  }
  return value;
}

/**
 * Checks the conditions against the object as it is now (`undefined`: there is none).
 *
 * @throws Refusal 412 when one does not hold.
 */
export function checkPreconditions(current: Versioned | undefined, conditions: Preconditions): void {
  const failed = failedConditions(current, conditions);
  if (failed.match || failed.notMatch) throw conditionNotMet();
}

/**
 * The same for a read, where a failed `NotMatch` means that the client's copy is still good.
 *
 * @throws Refusal 412 or 304.
 */
export function checkReadPreconditions(current: Versioned, conditions: Preconditions): void {
  const failed = failedConditions(current, conditions);
  if (failed.match) throw conditionNotMet();
  if (failed.notMatch) throw new Refusal(304, 'Not modified');
}

function failedConditions(
  current: Versioned | undefined,
  conditions: Preconditions,
): { readonly match: boolean; readonly notMatch: boolean } {
  const generation = current?.generation ?? 0;
  const metageneration = current?.metageneration ?? 0;
  const { generationMatch, generationNotMatch, metagenerationMatch, metagenerationNotMatch } = conditions;
  return {
    match:
      (generationMatch !== undefined && generationMatch !== generation) ||
      (metagenerationMatch !== undefined && metagenerationMatch !== metageneration),
    notMatch:
      (generationNotMatch !== undefined && generationNotMatch === generation) ||
      (metagenerationNotMatch !== undefined && metagenerationNotMatch === metageneration),
  };
}

function conditionNotMet(): Refusal {
  return new Refusal(412, 'At least one of the pre-conditions you specified did not hold.');
}

function numberFor(key: keyof Preconditions, text: string | null): Preconditions {
  return text === null ? {} : { [key]: parseGeneration(text) };
}
