import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageUrl } from '../../../../runner/environment/storage-location.ts';

test('a place in a bucket lies on the endpoint, its path encoded part by part', () => {
  const local = 'http://127.0.0.1:4443/';
  assert.equal(storageUrl('gs://packages', ''), 'https://storage.googleapis.com/packages');
  assert.equal(storageUrl('gs://packages/', ''), 'https://storage.googleapis.com/packages');
  assert.equal(
    storageUrl('gs://my.packages_1/os/edge/', local),
    'http://127.0.0.1:4443/my.packages_1/os/edge',
  );
  assert.equal(storageUrl('gs://packages/a b+c%/d', local), 'http://127.0.0.1:4443/packages/a%20b%2Bc%25/d');
});

for (const location of [
  'gs://',
  'gs:///os',
  'gs://a',
  'gs://-packages/os',
  'gs://packages//os',
  'gs://packages/../other',
  'gs://packages/./os',
  'gs://packages/os?x=y',
  'gs://packages/os#x',
  'gs://user@packages/os',
  'gs://packages:80/os',
  'https://packages/os',
]) {
  test(`${location} is no place in a bucket`, () => {
    assert.throws(() => storageUrl(location, ''), { code: 'config-invalid', kind: 'user' });
  });
}
