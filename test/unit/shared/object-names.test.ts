import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asBuildId } from '../../../shared/identity.ts';
import {
  attemptFolder,
  classifyUpload,
  inputsObject,
  lockObject,
  logChunkObject,
  logObject,
  pipelinesPrefix,
  publicKeyObject,
  repositoryObject,
  sourceOwners,
  sourcePrefix,
  type UploadedObject,
} from '../../../shared/object-names.ts';

const CLASSES: readonly (readonly [string, UploadedObject])[] = [
  ['hello.yaml', { kind: 'build-file', directory: '', stem: 'hello' }],
  ['team/a/hello.yaml', { kind: 'build-file', directory: 'team/a/', stem: 'hello' }],
  ['py3.12-pip.yaml', { kind: 'build-file', directory: '', stem: 'py3.12-pip' }],
  ['a.yaml.yaml', { kind: 'build-file', directory: '', stem: 'a.yaml' }],
  ['hello.yml', { kind: 'other' }],
  ['hello.yaml.orig', { kind: 'other' }],
  ['hello.YAML', { kind: 'other' }],
  ['.yaml', { kind: 'other' }],
  ['team/.yaml', { kind: 'other' }],
  ['hello', { kind: 'other' }],
  ['hello/fix.patch', { kind: 'other' }],
  // A candidate by name; whether `hello.yaml` owns it is another question.
  ['hello/values.yaml', { kind: 'build-file', directory: 'hello/', stem: 'values' }],
  ['pipelines/fetch.yaml', { kind: 'pipeline', directory: '' }],
  ['pipelines/go/build.yaml', { kind: 'pipeline', directory: '' }],
  ['pipelines/readme.txt', { kind: 'pipeline', directory: '' }],
  ['team/pipelines/x.yaml', { kind: 'pipeline', directory: 'team/' }],
  ['team/pipelines/pipelines/x.yaml', { kind: 'pipeline', directory: 'team/' }],
  ['pipelines.yaml', { kind: 'build-file', directory: '', stem: 'pipelines' }],
  ['my-pipelines/x.yaml', { kind: 'build-file', directory: 'my-pipelines/', stem: 'x' }],
  ['pipelines', { kind: 'other' }],
  ['gcloud/tmp/parallel_composite_uploads/part_0.yaml', { kind: 'temporary' }],
  ['gcloud/tmp/pipelines/x.yaml', { kind: 'temporary' }],
  ['gcloud/tmp.yaml', { kind: 'build-file', directory: 'gcloud/', stem: 'tmp' }],
  ['team/gcloud/tmp/x.yaml', { kind: 'build-file', directory: 'team/gcloud/tmp/', stem: 'x' }],
  ['hello/', { kind: 'temporary' }],
  ['hello.yaml/', { kind: 'temporary' }],
  ['pipelines/', { kind: 'temporary' }],
];

for (const [object, expected] of CLASSES) {
  test(`the object ${object} is classified as ${expected.kind}`, () => {
    assert.deepEqual(classifyUpload(object), expected);
  });
}

test('every name is classified', () => {
  fc.assert(
    fc.property(fc.string(), (object) => {
      const { kind } = classifyUpload(object);
      assert.ok(['build-file', 'pipeline', 'other', 'temporary'].includes(kind));
    }),
  );
});

test('an object may belong to each build file whose name is a folder above it, the nearest first', () => {
  assert.deepEqual(sourceOwners('a/b/c.txt'), ['a/b.yaml', 'a.yaml']);
  assert.deepEqual(sourceOwners('hello/fix.patch'), ['hello.yaml']);
  assert.deepEqual(sourceOwners('hello.yaml'), []);
});

const segment = fc.stringMatching(/^[a-z0-9.+-]{1,6}$/);
const folders = fc.array(segment, { minLength: 1, maxLength: 4 });

test('an object belongs to a build file exactly when it lies below the source prefix of it', () => {
  fc.assert(
    fc.property(folders, segment, folders, (path, name, owner) => {
      const object = [...path, name].join('/');
      const buildFile = `${owner.join('/')}.yaml`;
      assert.equal(sourceOwners(object).includes(buildFile), object.startsWith(sourcePrefix(buildFile)));
    }),
  );
});

test('a build file and its pipelines agree on the folder', () => {
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 3 }), segment, (path, name) => {
      fc.pre(!path.includes('pipelines') && path.join('/') !== 'gcloud/tmp');
      const buildFile = [...path, `${name}.yaml`].join('/');
      const uploaded = classifyUpload(`${pipelinesPrefix(buildFile)}x.yaml`);
      const own = classifyUpload(buildFile);
      assert.ok(own.kind === 'build-file' && uploaded.kind === 'pipeline');
      assert.equal(uploaded.directory, own.directory);
    }),
  );
});

test('the prefixes of a build file lie beside it', () => {
  assert.equal(sourcePrefix('team/hello.yaml'), 'team/hello/');
  assert.equal(sourcePrefix('a.yaml.yaml'), 'a.yaml/');
  assert.equal(pipelinesPrefix('team/hello.yaml'), 'team/pipelines/');
  assert.equal(pipelinesPrefix('hello.yaml'), 'pipelines/');
});

test('what an attempt writes lies in a folder that no other attempt has', () => {
  const attempt = { build: asBuildId('bld-1'), packageName: 'hello', arch: 'x86_64', epoch: 2 };
  assert.equal(attemptFolder(attempt), 'builds/bld-1/hello/x86_64/2/');
  assert.equal(logObject(attempt), 'builds/bld-1/hello/x86_64/2/build.log');
  assert.equal(logChunkObject(attempt, 7), 'builds/bld-1/hello/x86_64/2/log/000007');
  assert.equal(lockObject(attempt, 1), 'builds/bld-1/hello/x86_64/2/environment.lock.json');
  assert.equal(lockObject(attempt, 2), 'builds/bld-1/hello/x86_64/2/environment-2.lock.json');
  assert.ok(logChunkObject(attempt, 9) < logChunkObject(attempt, 10), 'chunks sort as they were written');
  assert.equal(inputsObject(attempt.build, 'ab', 'tar'), 'builds/bld-1/inputs/ab.tar');
  assert.equal(repositoryObject('x86_64', 'APKINDEX.tar.gz'), 'repo/x86_64/APKINDEX.tar.gz');
  assert.equal(publicKeyObject('local.rsa'), 'keys/local.rsa.pub');
});
