import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readConfig } from '../../../../deploy/local/gcs/config.ts';

test('flags name folder, port, buckets and listeners', async () => {
  const config = await readConfig([
    '--folder=/data',
    '--port=8080',
    '--bucket=specs',
    '--bucket=builds',
    '--notify=specs=http://127.0.0.1:8081/?a=b',
    '--max-retry-ms=50',
  ]);
  assert.equal(config.folder, '/data');
  assert.equal(config.port, 8080);
  assert.deepEqual(config.buckets, ['specs', 'builds']);
  assert.deepEqual(config.notify, [{ bucket: 'specs', url: 'http://127.0.0.1:8081/?a=b' }]);
  assert.equal(config.retry?.maxRetryMs, 50);
});

for (const flags of [
  [],
  ['--folder'],
  ['--folder=/data', '--port=x'],
  ['--folder=/data', '--notify=specs'],
  ['--folder=/data', '--unknown'],
]) {
  test(`${flags.join(' ') || 'no flag at all'} is refused`, async () => {
    await assert.rejects(readConfig(flags), { name: 'PipelineError', code: 'config-invalid' });
  });
}
