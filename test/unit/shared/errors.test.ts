import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asPipelineError, PipelineError, scrub } from '../../../shared/errors.ts';

test('an unclassified error becomes a bug that keeps its cause', () => {
  const cause = new Error('boom');
  const error = asPipelineError(cause);
  assert.equal(error.kind, 'bug');
  assert.equal(error.cause, cause);
});

test('a pipeline error is found through any number of wrappers', () => {
  const inner = new PipelineError({ code: 'unsolvable', kind: 'user', message: 'no' });
  assert.equal(asPipelineError(new Error('a', { cause: new Error('b', { cause: inner }) })), inner);
});

test('tokens and signed URLs are taken out of messages', () => {
  assert.equal(
    scrub('GET https://h/o?X-Goog-Signature=abcdef&x=1 with Bearer ya29.abcdefghij'),
    'GET https://h/o?X-Goog-Signature=[redacted]&x=1 with Bearer [redacted]',
  );
  assert.equal(scrub('https://user:secret@host/x'), 'https://[redacted]@host/x');
});
