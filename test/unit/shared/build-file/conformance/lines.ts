/**
 * Tests of conformance: each line of the list of what upstream's tests pin down (spec/conformance.md) is, word for word
 * and without its bullet, the name of a group of tests. Files here register tests only through these functions, so that
 * the coverage test can load them all and count.
 */
import { describe, type TestContext, test } from 'node:test';

export interface ConformanceCase {
  readonly name: string;
  readonly check: (context: TestContext) => void | Promise<void>;
}

let collected: Map<string, number> | undefined;

/** One test for each case, in a group named by the line. */
export function conforms(line: string, cases: readonly ConformanceCase[]): void {
  if (cases.length === 0) throw new Error(`a line without a case: ${line}`);
  if (collected === undefined) describeCases(line, cases);
  else collected.set(line, (collected.get(line) ?? 0) + cases.length);
}

/** The same for a passage of the specification of the build file itself, which the coverage does not count. */
export function specified(passage: string, cases: readonly ConformanceCase[]): void {
  if (collected === undefined) describeCases(passage, cases);
}

/** The lines that files register when `load` imports them, with the number of their tests, which are not run. */
export async function collectLines(load: () => Promise<unknown>): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  collected = found;
  try {
    await load();
  } finally {
    collected = undefined;
  }
  return found;
}

function describeCases(name: string, cases: readonly ConformanceCase[]): void {
  describe(name, () => {
    for (const one of cases) test(one.name, one.check);
  });
}
