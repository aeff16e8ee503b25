/** A TCP proxy that can stop forwarding: connections stay open and nothing comes through, as when a network hangs. */
import { connect, createServer, type Socket } from 'node:net';

export interface StallingProxy extends AsyncDisposable {
  readonly address: string;
  /** From now on nothing is forwarded, on old and new connections. */
  stall(): void;
  /** Old connections are cut; new ones work again. */
  resume(): void;
}

export async function startStallingProxy(target: () => number): Promise<StallingProxy> {
  const open = new Set<Socket>();
  let stalled = false;
  const server = createServer((near) => {
    const far = connect(target(), '127.0.0.1');
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => open.delete(socket));
    }
    near.once('close', () => far.destroy());
    far.once('close', () => near.destroy());
    near.on('data', (chunk) => stalled || far.write(chunk));
    far.on('data', (chunk) => stalled || near.write(chunk));
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    address: `127.0.0.1:${port}`,
    stall() {
      stalled = true;
    },
    resume() {
      stalled = false;
      for (const socket of open) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      await closed.promise;
    },
  };
}
