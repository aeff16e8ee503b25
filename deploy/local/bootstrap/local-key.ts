/** The key that signs what is built on this machine: made once, kept in a folder of the checkout. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateSigningKey, loadSigningKey, type SigningKey } from '../../../shared/apk/keys.ts';

/**
 * The key `name` of the folder; where there is none it is made, readable for its owner only. Of several processes
 * that make it at the same time all get the same one.
 *
 * @throws PipelineError `key-unusable`.
 */
export async function localSigningKey(folder: string, name: string): Promise<SigningKey> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, name);
  const present = await readKey(path);
  if (present !== undefined) return loadSigningKey(present, name);
  const made = await generateSigningKey({ name });
  const part = `${path}.${randomUUID()}.part`;
  try {
    await writeFile(part, made.privatePem, { mode: 0o600, flush: true });
    // Unlike a rename, a link never replaces the key that another process was quicker to make.
    await link(part, path).catch((thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== 'EEXIST') throw thrown;
    });
  } finally {
    await rm(part, { force: true });
  }
  return loadSigningKey((await readKey(path)) ?? made.privatePem, name);
}

async function readKey(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined;
    throw thrown;
  }
}
