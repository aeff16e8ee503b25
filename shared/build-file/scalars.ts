/** Typed scalars as go-yaml v3 accepts them for a field of that type (build files are written against it). */

const INTEGER = /^[+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)$/;
const FLOAT = /^[+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$/;

/**
 * An unsigned integer: decimal, `0x`, `0b`, `0o` or octal with a leading zero, with `_` between digits; or a float
 * without a fraction. Undefined for anything else. Beyond 2^53 − 1 numbers are refused.
 */
export function parseUnsigned(text: string): number | undefined {
  let value: number;
  if (INTEGER.test(text)) {
    const digits = text.replace(/^\+/, '').replaceAll('_', '');
    value = Number(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
  } else if (FLOAT.test(text)) {
    value = Number(text.replaceAll('_', ''));
  } else {
    return undefined;
  }
  return Number.isSafeInteger(value) ? value : undefined;
}

/** A decimal integer with an optional sign, as Go's `strconv.Atoi` reads it. */
export function parseDecimal(text: string): number | undefined {
  const value = /^[+-]?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}

const BOOLEANS = new Map<string, boolean>([
  ...['true', 'True', 'TRUE'].map((word) => [word, true] as const),
  ...['false', 'False', 'FALSE'].map((word) => [word, false] as const),
]);

/** The words of YAML 1.1; unlike `true` and `false` they count also when quoted. */
const OLD_BOOLEANS = new Map<string, boolean>([
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'on', 'On', 'ON'].map((word) => [word, true] as const),
  ...['n', 'N', 'no', 'No', 'NO', 'off', 'Off', 'OFF'].map((word) => [word, false] as const),
]);

export function parseBoolean(scalar: {
  readonly value: string;
  readonly plain: boolean;
}): boolean | undefined {
  return OLD_BOOLEANS.get(scalar.value) ?? (scalar.plain ? BOOLEANS.get(scalar.value) : undefined);
}

const UNIT_MS = new Map([
  ['ns', 1e-6],
  ['us', 1e-3],
  ['µs', 1e-3],
  ['μs', 1e-3],
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
]);

/** Milliseconds of a Go duration such as `1h30m` or `1.5s`; undefined for a bare number and anything else. */
export function parseDuration(text: string): number | undefined {
  if (!/^\+?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)([a-zµμ]+)/g)) {
    total += Number(amount) * (UNIT_MS.get(unit ?? '') ?? Number.NaN);
  }
  return Number.isFinite(total) && total <= Number.MAX_SAFE_INTEGER ? total : undefined;
}
