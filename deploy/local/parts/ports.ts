/** Free ports on the loopback address, the same ones from run to run where that is possible. */
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';

/**
 * A port for each name. Ports of an earlier run are taken again unless somebody else has them by now, so that
 * addresses that ended up in build files and packages stay the same.
 */
export async function rememberedPorts<Name extends string>(
  file: string,
  names: readonly Name[],
): Promise<Readonly<Record<Name, number>>> {
  const before = await readPorts(file);
  const ports: Partial<Record<Name, number>> = {};
  const held: { close: () => Promise<void> }[] = [];
  try {
    for (const name of names) {
      const wanted = before[name];
      const taken = (wanted === undefined ? undefined : await hold(wanted)) ?? (await hold(0));
      if (taken === undefined) throw new Error('the machine has no free port');
      held.push(taken);
      ports[name] = taken.port;
    }
  } finally {
    await Promise.all(held.map((one) => one.close()));
  }
  await writeFile(file, `${JSON.stringify({ ...before, ...ports }, undefined, 2)}\n`);
  return ports as Readonly<Record<Name, number>>;
}

async function readPorts(file: string): Promise<Record<string, number>> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Record<string, number>;
  } catch {
    // Missing, or damaged by a crash: ports are chosen anew.
    return {};
  }
}

/** Listens on the port, so that it is not given out twice; undefined where somebody else has it. */
async function hold(port: number): Promise<{ port: number; close: () => Promise<void> } | undefined> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  server.once('error', () => resolve(false));
  server.listen(port, '127.0.0.1', () => resolve(true));
  if (!(await promise)) return undefined;
  const address = server.address();
  if (typeof address !== 'object' || address === null) return undefined;
  return {
    port: address.port,
    async close() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      await closed.promise;
    },
  };
}
