/** The endpoint as a process of its own, to be killed or measured. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../../deploy/local/gcs/main.ts', import.meta.url));

export interface EndpointProcess {
  readonly url: string;
  readonly pid: number;
  /** Ends it and gives its exit code, null after a signal. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
}

/** Starts `main.ts` with these flags and waits until it is ready. Killed after the tests of the file. */
export async function startProcess(flags: readonly string[]): Promise<EndpointProcess> {
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  after(() => child.kill('SIGKILL'));
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  void exited.then(() => reject(new Error('the endpoint ended before it was ready')));
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry = JSON.parse(line);
      if (entry.message === 'the storage endpoint is ready') resolve(entry.url);
    });
  }
  const url = await promise;
  return {
    url,
    pid: child.pid ?? 0,
    async end(signal) {
      child.kill(signal);
      const [code] = await exited;
      return code;
    },
  };
}
