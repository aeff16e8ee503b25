/** A lock that the kernel gives back when its holder dies, however it dies: nothing stale, no pid to compare. */
import { createServer } from 'node:net';
import { waitFor } from './wait-for.ts';

export interface MachineLock {
  release(): Promise<void>;
}

/**
 * Takes the lock `name`, or gives undefined where another holder (of this process or another one) has it. The lock is
 * a listening socket in Linux' abstract name space (unix(7)), one per network namespace.
 */
export async function tryLock(name: string): Promise<MachineLock | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<MachineLock | undefined>();
  const server = createServer((socket) => socket.destroy());
  server.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') resolve(undefined);
    else reject(error);
  });
  server.listen(`\0${name}`, () => {
    server.unref();
    resolve({
      async release() {
        if (!server.listening) return;
        await new Promise<void>((done) => server.close(() => done()));
      },
    });
  });
  return promise;
}

/**
 * Takes the lock `name`, waiting for its holder to give it back or die.
 *
 * @throws PipelineError `cancelled` when the signal fires.
 */
export async function waitForLock(name: string, signal?: AbortSignal): Promise<MachineLock> {
  return waitFor(() => tryLock(name), { intervalMs: 100, ...(signal ? { signal } : {}) });
}
