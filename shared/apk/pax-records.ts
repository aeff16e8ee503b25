/** The records of a pax extended header: `LENGTH KEY=VALUE\n`, LENGTH in bytes and counting itself. */
import { compareBytes } from './byte-order.ts';

/**
 * Reads the body of an extended header; a later record replaces an earlier one of the same key. Values are raw bytes
 * (a file capability is binary and may hold newlines and NULs).
 *
 * @param fail makes the error for a problem, knowing where in the archive the body stands.
 */
export function parsePaxRecords(body: Buffer, fail: (problem: string) => Error): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  let at = 0;
  while (at < body.length) {
    const blank = body.indexOf(0x20, at);
    const digits = blank === -1 ? '' : body.toString('latin1', at, Math.min(blank, at + 12));
    if (!/^[1-9]\d{0,8}$/.test(digits)) throw fail('a pax record has no length');
    const end = at + Number(digits);
    if (end > body.length || end <= blank + 1 || body[end - 1] !== 0x0a) {
      throw fail(`a pax record of ${digits} bytes does not end where it says`);
    }
    const equals = body.indexOf(0x3d, blank + 1);
    if (equals === -1 || equals >= end || equals === blank + 1) throw fail('a pax record has no key');
    records.set(body.toString('utf8', blank + 1, equals), body.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** The body of an extended header, records sorted by the bytes of their keys. */
export function formatPaxRecords(records: ReadonlyMap<string, Uint8Array>): Buffer {
  const sorted = [...records].sort(([left], [right]) => compareBytes(left, right));
  return Buffer.concat(sorted.map(([key, value]) => formatRecord(key, value)));
}

function formatRecord(key: string, value: Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  // The digits count too, and may need one more digit for that.
  let length = rest.length + String(rest.length).length;
  length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}
