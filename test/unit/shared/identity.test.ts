import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  buildIdOfRequest,
  buildIdOfUpload,
  jobId,
  packageFileId,
  uploadId,
} from '../../../shared/identity.ts';

const upload = fc.record({ bucket: fc.string(), object: fc.string(), generation: fc.string() });

test('the same upload is the same build, however often its event comes', () => {
  fc.assert(
    fc.property(upload, (one) => assert.equal(buildIdOfUpload({ ...one }), buildIdOfUpload({ ...one }))),
  );
});

test('different uploads are different builds, also where their parts read the same when joined', () => {
  fc.assert(
    fc.property(upload, upload, (a, b) => {
      const same = a.bucket === b.bucket && a.object === b.object && a.generation === b.generation;
      assert.equal(buildIdOfUpload(a) === buildIdOfUpload(b), same);
    }),
  );
  // The same text cut in different places.
  fc.assert(
    fc.property(fc.string({ minLength: 2 }), fc.nat(), fc.nat(), (text, first, second) => {
      const cut = (at: number): [string, string] => [text.slice(0, at), text.slice(at)];
      const [a, b] = [cut(first % text.length), cut(second % text.length)];
      assert.equal(uploadId(...a) === uploadId(...b), a[0] === b[0]);
      assert.equal(packageFileId(...a) === packageFileId(...b), a[0] === b[0]);
    }),
  );
});

test('a request is never taken for an upload', () => {
  const one = { bucket: 'specs', object: 'a.yaml', generation: '1' };
  assert.notEqual(buildIdOfRequest('specs'), buildIdOfUpload(one));
  assert.notEqual(buildIdOfRequest('specs5:a.yaml1:1'), buildIdOfUpload(one));
});

test('an id is safe as the name of a document and of an object', () => {
  fc.assert(
    fc.property(upload, fc.string(), (one, text) => {
      assert.match(buildIdOfUpload(one), /^bld-[0-9a-f]{26}$/);
      assert.match(buildIdOfRequest(text), /^bld-[0-9a-f]{26}$/);
      assert.match(uploadId(text, text), /^[0-9a-f]{40}$/);
      assert.match(packageFileId(text, `Q1${text}/+=`), /^[0-9a-f]{64}$/);
    }),
  );
});

test('ids stay what they are from version to version, or every upload would be built again', () => {
  assert.equal(
    buildIdOfUpload({ bucket: 'specs', object: 'hello.yaml', generation: '1700000000000001' }),
    'bld-1860c4ee877b903d952be9e2ff',
  );
  assert.equal(buildIdOfRequest('request-1'), 'bld-fb6899344b7bd09bc02c87d3aa');
  assert.equal(jobId('hello', 'x86_64'), 'hello@x86_64');
});
