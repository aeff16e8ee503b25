/** Starts over folders as a death at a chosen line, or a power cut, leaves them. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  call,
  clientOf,
  eventually,
  startEndpoint,
  startListener,
  temporaryFolder,
} from './local-endpoint.ts';

test('a commit that stopped before its rename never happened, and tells nobody', async () => {
  const folder = await temporaryFolder();
  const listener = await startListener();
  const notify = [{ bucket: 'specs', url: listener.url }];
  const first = await startEndpoint({ folder, notify });
  const bucket = clientOf(first.url).bucket('specs');
  await bucket.file('kept').save('kept', { resumable: false });
  // Stopped earlier, the endpoint could not know that the event arrived, and would tell it again.
  await eventually(async () => (await readdir(join(folder, 'outbox'))).length === 0);
  await first.close();

  const record = { ...(await onlyRecord(folder)), generation: 1, content: 'abandoned' };
  await writeFile(join(folder, 'content', 'abandoned'), 'new!');
  await writeFile(join(folder, 'staging', '1.json'), JSON.stringify(record));
  await writeFile(join(folder, 'outbox', '1.json'), JSON.stringify(record));
  await writeFile(join(folder, 'staging', 'update-2'), '{"torn');
  await mkdir(join(folder, 'buckets', 'half-made'));

  const second = await startEndpoint({ folder, notify });
  assert.equal((await call(`${second.url}/specs/kept`)).body.toString(), 'kept');
  assert.deepEqual(await readdir(join(folder, 'staging')), []);
  assert.deepEqual(await readdir(join(folder, 'outbox')), []);
  assert.equal((await readdir(join(folder, 'content'))).length, 1);
  assert.deepEqual(await readdir(join(folder, 'buckets')), ['specs']);
  await clientOf(second.url).bucket('specs').file('after').save('x', { resumable: false });
  await listener.until((events) => events.length === 2);
  assert.deepEqual(
    listener.events.map((event) => event.name),
    ['kept', 'after'],
  );
});

test('an object whose bytes or record a power cut tore is left out, and may be written again', async () => {
  const folder = await temporaryFolder();
  const first = await startEndpoint({ folder });
  const bucket = clientOf(first.url).bucket('specs');
  await bucket.file('torn').save('content', { resumable: false });
  await first.close();
  await truncate(join(folder, 'content', String((await onlyRecord(folder)).content)), 3);
  await writeFile(join(folder, 'buckets', 'specs', `${'0'.repeat(64)}.json`), '{"bucket":"sp');

  const errors: string[] = [];
  const log = {
    info: () => undefined,
    warn: () => undefined,
    error: (_: object, text: string) => errors.push(text),
  };
  const second = await startEndpoint({ folder, log });
  assert.deepEqual(errors, ['a damaged object was left out', 'a damaged object was left out']);
  const again = clientOf(second.url).bucket('specs').file('torn');
  assert.deepEqual(await again.exists(), [false]);
  await again.save('content', { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } });
  assert.equal((await call(`${second.url}/specs/torn`)).body.toString(), 'content');
});

async function onlyRecord(folder: string): Promise<Record<string, unknown>> {
  const bucket = join(folder, 'buckets', 'specs');
  const files = (await readdir(bucket)).filter((file) => file !== 'bucket.json');
  assert.equal(files.length, 1);
  return JSON.parse(await readFile(join(bucket, files[0] ?? ''), 'utf8'));
}
