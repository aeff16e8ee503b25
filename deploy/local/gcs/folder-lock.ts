/**
 * One process per folder: two would sweep away each other's files. The lock is a Linux abstract socket (unix(7)), which
 * the kernel drops with the process however it ends, so nothing stale can be left behind.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { PipelineError } from '../../../shared/errors.ts';

export interface FolderLock {
  release(): Promise<void>;
}

/** @throws PipelineError `config-invalid` where another endpoint already serves the folder. */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const digest = createHash('sha256')
    .update(await realpath(folder))
    .digest('hex');
  const server = createServer((socket) => socket.destroy());
  server.listen(`\0carryall-storage-${digest}`);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new PipelineError({
      code: 'config-invalid',
      kind: 'user',
      message: `the storage folder ${folder} is served by another process`,
      hint: 'stop the other storage endpoint, or give this one its own folder',
      cause,
    });
  }
  server.unref();
  return {
    async release() {
      server.close();
      await once(server, 'close');
    },
  };
}
