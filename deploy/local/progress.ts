/** Lines for a person at a terminal. */
import type { PartLog } from './parts/part-log.ts';

/** Prints each message with its fields and the time since the start. */
export function progressLog(write: (line: string) => void): PartLog {
  const startedMs = performance.now();
  return (message, fields = {}) => {
    const at = ((performance.now() - startedMs) / 1000).toFixed(1).padStart(6);
    const details = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key}=${value instanceof Error ? value.message : String(value)}`);
    write(`${at} s  ${message}${details.length === 0 ? '' : `  (${details.join(', ')})`}`);
  };
}
