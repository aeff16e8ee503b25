/** Standard output and standard error: whole texts, in order, no faster than they are taken. */
import { once } from 'node:events';
import type { WriteStream } from 'node:tty';

/** The parts of `process.stdout` and `process.stderr` that are used, whatever they are connected to. */
export type OutputStream = NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY'>>;

export interface Output {
  /** Resolves when the stream takes more. */
  print(text: string): Promise<void>;
  /** To standard error. */
  complain(text: string): Promise<void>;
  /** Shows a line on the terminal, in place of the one before; an empty one clears it. Nothing without a terminal. */
  progress(line: string): void;
}

/** Clears the line the cursor is in (ECMA-48: CR, then EL). */
const CLEAR_LINE = '\r\u001B[K';

export function createOutput(stdout: OutputStream, stderr: OutputStream): Output {
  let shown = false;
  const write = async (stream: OutputStream, text: string): Promise<void> => {
    if (text === '') return;
    if (shown) stderr.write(CLEAR_LINE);
    shown = false;
    if (!stream.write(text)) await once(stream, 'drain');
  };
  return {
    print: (text) => write(stdout, text),
    complain: (text) => write(stderr, text),
    progress(line) {
      if (stderr.isTTY !== true || (line === '' && !shown)) return;
      shown = line !== '';
      stderr.write(`${CLEAR_LINE}${line}`);
    },
  };
}
