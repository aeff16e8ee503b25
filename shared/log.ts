/** Structured logs as Cloud Logging reads them: one JSON line each, with `severity`, `time` and the fields. */
import { type Logger, pino, stdTimeFunctions } from 'pino';

export type Log = Logger;

/** Severities of Cloud Logging for pino's levels. */
const SEVERITIES: Readonly<Record<string, string>> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
};

/** Makes the log of a process. Messages are constant texts, data goes into fields. */
export function createLog(service: string, level: string): Log {
  return pino({
    level,
    base: { service },
    messageKey: 'message',
    errorKey: 'error',
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ severity: SEVERITIES[label] ?? 'DEFAULT' }) },
  });
}
