import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BUILDS_BUCKET } from '../../deploy/local/local-cloud.ts';
import { type LockDocument, parseLockDocument } from '../../runner/environment/lock-document.ts';
import type { BuildRecord } from '../../shared/firestore/build-record.ts';
import type { JobRecord } from '../../shared/firestore/job-record.ts';
import { buildIdOfRequest } from '../../shared/identity.ts';
import { REQUESTS_TOPIC } from '../../shared/pubsub/topics.ts';
import { readObject } from '../../shared/storage/objects.ts';
import { skipReason, sleepingPackage, startTestCloud, type TestCloud } from './test-cloud.ts';

/** Needs what a job of the same build makes, and packages the list of all that is installed. */
const UPPER = `package: {name: upper, version: "1", epoch: 0}
environment: {contents: {packages: [busybox, lower]}}
pipeline: [{runs: "mkdir -p \${{targets.destdir}}/usr && cp /usr/lib/apk/db/installed \${{targets.destdir}}/usr/"}]
`;

describe('the lock of a job', { skip: skipReason, timeout: 600_000 }, () => {
  let t: TestCloud;
  before(async () => {
    t = await startTestCloud({ name: 'locks' });
  });
  after(() => t?.[Symbol.asyncDispose]());

  const requested = async (id: string, json: object): Promise<[BuildRecord, JobRecord | undefined]> => {
    await t.pubsub.topic(REQUESTS_TOPIC).publishMessage({ json, attributes: { requestId: id } });
    const build = await t.ended(buildIdOfRequest(id));
    const jobs = await t.jobs(buildIdOfRequest(id));
    return [build, jobs.find((one) => one.package === 'upper')];
  };
  const lockOf = async (job: JobRecord | undefined): Promise<LockDocument> => {
    assert.ok(job?.lock);
    const content = await readObject(t.storage.bucket(BUILDS_BUCKET), job.lock.object, {
      maxBytes: job.lock.bytes,
    });
    assert.ok(content);
    return parseLockDocument(JSON.parse(content.toString()), job.lock.object);
  };

  test('makes the same package again, byte for byte, from what its build made beside it', async () => {
    const [first, upper] = await requested('together', { configs: [UPPER, sleepingPackage('lower', 0.1)] });
    assert.equal(first.state, 'success', JSON.stringify(first.error));
    const lock = await lockOf(upper);
    const lower = lock.packages.find((one) => one.name === 'lower');
    assert.equal(lower?.repository, `gs://${BUILDS_BUCKET}/repo#${buildIdOfRequest('together')}`);
    const arch = upper?.arch ?? '';
    const locks = { [`upper@${arch}`]: lock };
    const [second, again] = await requested('locked', { config_yaml: UPPER, arch, locks });
    assert.equal(second.state, 'success', JSON.stringify(second.error));
    assert.deepEqual(
      again?.artifacts.map((one) => [one.file, one.sha256]),
      upper?.artifacts.map((one) => [one.file, one.sha256]),
    );
  });

  test('is there for one that failed, too', async () => {
    const failing = UPPER.replace('mkdir -p', 'exit 3; mkdir -p');
    const [build, upper] = await requested('failing', { config_yaml: failing });
    assert.deepEqual([build.state, upper?.error?.code], ['failed', 'build-step-failed']);
    const { world, packages } = await lockOf(upper);
    assert.deepEqual(world, ['busybox', 'lower']);
    assert.ok(packages.some((one) => one.name === 'lower'));
  });
});
