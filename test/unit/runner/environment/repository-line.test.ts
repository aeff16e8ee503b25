import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { parseRepositoryLine } from '../../../../runner/environment/repository-line.ts';
import { PipelineError } from '../../../../shared/errors.ts';

test('a URL is its own location, without a slash at the end', () => {
  assert.deepEqual(parseRepositoryLine(' https://a.example/os/ '), {
    location: 'https://a.example/os',
    baseUrl: 'https://a.example/os',
    pin: undefined,
  });
});

test('a folder is found from the working directory', () => {
  const relative = parseRepositoryLine('./packages');
  assert.deepEqual(relative, {
    location: './packages',
    baseUrl: pathToFileURL('packages').href,
    pin: undefined,
  });
  assert.equal(parseRepositoryLine('/srv/a b').baseUrl, 'file:///srv/a%20b');
  assert.equal(parseRepositoryLine('/').baseUrl, 'file:///');
});

test('a tag stands before it', () => {
  const { pin, location } = parseRepositoryLine('@edge2 https://a.example/edge');
  assert.deepEqual([pin, location], ['edge2', 'https://a.example/edge']);
});

test('a place in Cloud Storage is one where an endpoint is known', () => {
  assert.deepEqual(parseRepositoryLine('@edge gs://bucket/os/', { storageEndpoint: '' }), {
    location: 'gs://bucket/os',
    baseUrl: 'https://storage.googleapis.com/bucket/os',
    pin: 'edge',
  });
  assert.throws(() => parseRepositoryLine('ftp://a.example', { storageEndpoint: '' }), {
    code: 'config-invalid',
    hint: /gs:\/\//,
  });
});

test('anything else is refused', () => {
  for (const line of [
    '',
    '  ',
    '@tag',
    '@ta-g https://a.example',
    'gs://bucket/x',
    'ftp://a.example',
    'https://',
  ]) {
    assert.throws(
      () => parseRepositoryLine(line),
      (thrown) =>
        thrown instanceof PipelineError && thrown.code === 'config-invalid' && thrown.kind === 'user',
      line,
    );
  }
});
