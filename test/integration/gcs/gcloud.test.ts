/** The real `gcloud storage`; each call costs a second or two of Python, so few calls do much. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runProcess } from '../../../deploy/local/parts/run-process.ts';
import { asPipelineError } from '../../../shared/errors.ts';
import { startProcess } from './endpoint-process.ts';
import { clientOf, startListener, temporaryFolder } from './local-endpoint.ts';

const MB = 1_000_000;
const missing = await gcloudMissing();
const folder = await temporaryFolder();
const listener = await startListener();
const endpoint = await startProcess([
  `--folder=${join(folder, 'data')}`,
  '--bucket=specs',
  `--notify=specs=${listener.url}`,
]);
const bucket = clientOf(endpoint.url).bucket('specs');

test('files and folders are copied, shown, moved and removed', { skip: missing }, async () => {
  const source = join(folder, 'hello');
  await mkdir(join(source, 'sub'), { recursive: true });
  const files = {
    'a.txt': 'ends in CRLF\r\n',
    'b.txt': 'ends in CR\r',
    'sub/c+ü.txt': 'c\n',
    'sub/empty': '',
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(source, name), text);
  await writeFile(join(folder, 'hello.yaml'), 'package:\n  name: hello\n');

  await gcloud('cp', join(folder, 'hello.yaml'), 'gs://specs/in/hello.yaml', '--custom-metadata=arch=x86_64');
  const [metadata] = await bucket.file('in/hello.yaml').getMetadata();
  assert.deepEqual(metadata.metadata, { arch: 'x86_64' });
  await gcloud('cp', '-r', source, 'gs://specs/in');
  for (const [name, text] of Object.entries(files)) {
    const [content] = await bucket.file(`in/hello/${name}`).download();
    assert.equal(content.toString(), text, name);
  }
  assert.equal(await gcloud('cat', 'gs://specs/in/hello/a.txt'), files['a.txt']);
  await gcloud('mv', 'gs://specs/in/hello.yaml', 'gs://specs/in/moved.yaml');
  const [moved] = await bucket.file('in/moved.yaml').getMetadata();
  assert.deepEqual(moved.metadata, { arch: 'x86_64' });
  const listed = await gcloud('ls', '-r', 'gs://specs/in');
  assert.deepEqual(
    listed.split('\n').filter((line) => line.startsWith('gs://') && !line.endsWith(':')),
    ['gs://specs/in/moved.yaml', ...Object.keys(files).map((name) => `gs://specs/in/hello/${name}`)],
  );
  await assert.rejects(
    gcloud('cp', join(folder, 'hello.yaml'), 'gs://specs/in/moved.yaml', '--if-generation-match=0'),
    { code: 'process-failed' },
  );
  await gcloud('rm', '-r', 'gs://specs/in');
  assert.deepEqual((await bucket.getFiles({ prefix: 'in/' }))[0], []);
  await listener.until((events) => events.some((event) => event.name === 'in/moved.yaml'));
});

test('20 MB go up resumably and come down whole', { skip: missing }, async () => {
  const file = join(folder, 'medium');
  const content = randomBytes(20 * MB);
  await writeFile(file, content);
  await gcloud('cp', file, 'gs://specs/medium');
  await gcloud('cp', 'gs://specs/medium', `${file}.back`);
  assert.ok(content.equals(await readFile(`${file}.back`)));
});

test('200 MB go up in parallel parts that are composed, and come down in ranges', {
  skip: missing,
}, async () => {
  const file = join(folder, 'large');
  const content = randomBytes(200 * MB);
  await writeFile(file, content);
  await gcloud('cp', file, 'gs://specs/large');
  const [metadata] = await bucket.file('large').getMetadata();
  assert.equal(metadata.size, String(content.length));
  assert.ok(Number(metadata.componentCount) > 1);
  await gcloud('cp', 'gs://specs/large', `${file}.back`);
  assert.ok(content.equals(await readFile(`${file}.back`)));
  const [left] = await bucket.getFiles({ prefix: 'gcloud/tmp/' });
  assert.deepEqual(left, []);
});

async function gcloud(...args: string[]): Promise<string> {
  const { stdout } = await runProcess('gcloud', ['storage', ...args, '--quiet'], {
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      CLOUDSDK_CONFIG: join(folder, 'gcloud'),
      CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE: `${endpoint.url}/storage/v1/`,
      CLOUDSDK_AUTH_DISABLE_CREDENTIALS: 'true',
      CLOUDSDK_CORE_PROJECT: 'local',
      CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true',
    },
  });
  return stdout;
}

async function gcloudMissing(): Promise<string | false> {
  try {
    await runProcess('gcloud', ['storage', '--help'], {
      env: { PATH: process.env['PATH'], HOME: '/nonexistent', CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true' },
    });
    return false;
  } catch (error) {
    if (asPipelineError(error).code === 'prerequisite-missing') return 'gcloud is not on this machine';
    throw error;
  }
}
