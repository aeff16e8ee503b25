import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPassingFailure, retryAfterMs } from '../../../../runner/environment/transient-failures.ts';

test('Retry-After gives seconds or a date; anything else, and the past, gives nothing', () => {
  const nowMs = Date.parse('2026-01-01T00:00:00Z');
  const asked = (header: string): number => retryAfterMs(header, nowMs);
  assert.equal(asked('3'), 3_000);
  assert.equal(asked(' 0 '), 0);
  assert.equal(asked('Thu, 01 Jan 2026 00:00:07 GMT'), 7_000);
  assert.equal(asked('Thu, 01 Jan 2026 00:00:00 GMT'), 0);
  assert.equal(asked('Wed, 31 Dec 2025 23:59:59 GMT'), 0);
  for (const header of ['', '-1', '1.5', 'soon', '0x10']) assert.equal(asked(header), 0, header);
});

test('a broken connection may pass, wherever in the chain of causes it stands', () => {
  const broken = Object.assign(new Error('read'), { code: 'ECONNRESET' });
  assert.equal(isPassingFailure(broken), true);
  assert.equal(
    isPassingFailure(new Error('outer', { cause: new TypeError('inner', { cause: broken }) })),
    true,
  );
  for (const code of ['ENOTFOUND', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'HPE_INVALID_CONSTANT', 'EACCES']) {
    assert.equal(isPassingFailure(Object.assign(new Error('no'), { code })), false, code);
  }
  assert.equal(isPassingFailure('ECONNRESET'), false);
  assert.equal(isPassingFailure(undefined), false);
});
