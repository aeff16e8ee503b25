import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { checkBuildkit } from '../../../deploy/local/engine/check-buildkit.ts';
import { asPipelineError } from '../../../shared/errors.ts';
import { skipOwnEngine, skipReason, startBuildkitWithoutMerge, startRealBuildkit } from './real-buildkit.ts';

describe('checking a BuildKit before it is used', { skip: skipReason }, () => {
  test('one that merges and grants the host network passes', async () => {
    await using buildkit = await startRealBuildkit();
    assert.deepEqual(await checkBuildkit(buildkit.address), { merges: true });
  });

  test('one that does not merge passes, and is told from one that does', {
    skip: skipOwnEngine,
  }, async () => {
    await using buildkit = await startBuildkitWithoutMerge();
    assert.deepEqual(await checkBuildkit(buildkit.address), { merges: false });
  });

  test('something else that listens is told from a BuildKit', async () => {
    const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, '127.0.0.1', resolve);
    await promise;
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await assert.rejects(checkBuildkit(`tcp://127.0.0.1:${port}`), (thrown) => {
      const error = asPipelineError(thrown);
      return error.code === 'backend-lacks-feature' && /network\.host/.test(error.hint ?? '');
    });
    server.close();
  });
});
