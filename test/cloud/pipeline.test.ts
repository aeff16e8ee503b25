import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message, Subscription } from '@google-cloud/pubsub';
import { BUILDS_BUCKET, SPECS_BUCKET } from '../../deploy/local/local-cloud.ts';
import { runProcess } from '../../deploy/local/parts/run-process.ts';
import { loadPublicKey } from '../../shared/apk/keys.ts';
import { readIndexArchive } from '../../shared/apk/package-index.ts';
import { readPackage } from '../../shared/apk/package-read.ts';
import { builds } from '../../shared/firestore/build-record.ts';
import { jobs } from '../../shared/firestore/job-record.ts';
import { asBuildId, type BuildId, buildIdOfRequest, buildIdOfUpload } from '../../shared/identity.ts';
import { type BuildEvent, buildEvent } from '../../shared/messages.ts';
import { DEAD_LETTER_TOPIC, EVENTS_TOPIC, REQUESTS_TOPIC } from '../../shared/pubsub/topics.ts';
import { listObjects, readObject } from '../../shared/storage/objects.ts';
import { skipReason, sleepingPackage, startTestCloud, type TestCloud } from './test-cloud.ts';

const MAX = { maxBytes: Number.MAX_SAFE_INTEGER };

describe('the pipeline on one machine', { skip: skipReason, timeout: 600_000 }, () => {
  let t: TestCloud;
  let eventSubscription: Subscription;
  const events: BuildEvent[] = [];

  before(async () => {
    t = await startTestCloud({ name: 'pipeline' });
    const topic = t.pubsub.topic(EVENTS_TOPIC);
    [eventSubscription] = await topic.createSubscription('test-events');
    eventSubscription.on('message', (message: Message) => {
      events.push(buildEvent.parse(JSON.parse(message.data.toString())));
      message.ack();
    });
  });
  after(async () => {
    await eventSubscription?.close();
    await t?.[Symbol.asyncDispose]();
  });

  const greeting = (): Promise<string> =>
    readFile(new URL('../../examples/greeting.yaml', import.meta.url), 'utf8');
  const object = async (name: string): Promise<Buffer> => {
    const bytes = await readObject(t.storage.bucket(BUILDS_BUCKET), name, MAX);
    assert.ok(bytes !== undefined, `${name} exists`);
    return bytes;
  };
  const published = async (name: string): Promise<Buffer> => {
    const bucket = t.storage.bucket(BUILDS_BUCKET);
    for (let tries = 0; tries < 100; tries += 1) {
      const bytes = await readObject(bucket, `repo/x86_64/${name}`, MAX);
      if (bytes !== undefined) return bytes;
      await sleep(100);
    }
    throw new Error(`${name} was not published`);
  };
  /** Build files of one source: `cp -r` and repeated events must not make more than one. */
  const buildsOf = async (source: string): Promise<BuildId[]> =>
    (await builds(t.firestore).where('source.object', '==', source).get()).docs.map((one) =>
      asBuildId(one.id),
    );

  test('an upload goes through pending, queued and running to success, with log, artifacts and events', async () => {
    const seen: string[] = [];
    const id = buildIdOfUpload({ bucket: SPECS_BUCKET, object: 'none', generation: '1' });
    assert.match(id, /^bld-/);
    const build = await t.upload('greeting.yaml', await greeting());
    const unsubscribe = jobs(t.firestore, build).onSnapshot((snapshot) => {
      for (const change of snapshot.docChanges()) {
        const state: string = change.doc.get('state');
        if (seen.at(-1) !== state) seen.push(state);
      }
    });
    const ended = await t.ended(build);
    await sleep(500);
    unsubscribe();
    assert.equal(ended.state, 'success');
    assert.deepEqual(seen, ['pending', 'queued', 'running', 'success']);
    const [job] = await t.jobs(build);
    assert.ok(job !== undefined);
    assert.equal(job.epoch, 1);
    assert.deepEqual(
      job.steps.map((step) => step.name),
      ['write', 'compile', 'install', 'strip'],
    );
    const log = (await object(job.log ?? '')).toString();
    assert.match(log, /==> greeting: compile[\s\S]*<== greeting: compile: (done|cached)/);
    assert.deepEqual(
      await listObjects(t.storage.bucket(BUILDS_BUCKET), `${job.log?.replace(/build\.log$/, '')}log/`),
      [],
    );
    assert.deepEqual(
      job.artifacts.map((one) => one.file),
      ['greeting-1.0.0-r0.apk'],
    );

    await sleep(500);
    const mine = events.filter((event) => event.buildId === build);
    const of = (kind: string): string[] =>
      mine.filter((event) => event.kind === kind).map((event) => event.state);
    assert.deepEqual(of('job'), ['pending', 'queued', 'running', 'success']);
    assert.deepEqual(of('build'), ['pending', 'running', 'success']);
    assert.equal(new Set(mine.map((event) => event.id)).size, mine.length);
  });

  test('the apk passes openssl, sha256sum and tar', async () => {
    const apk = await published('greeting-1.0.0-r0.apk');
    const keyName = 'local.rsa.pub';
    const keyPem = await object(`keys/${keyName}`);
    const folder = await mkdtemp(join(tmpdir(), 'carryall-apk-'));
    try {
      const reading = await readPackage(chunks(apk));
      const [signature] = reading.signatures;
      assert.equal(signature?.keyName, keyName);
      await writeFile(join(folder, 'control'), reading.control);
      await writeFile(join(folder, 'signature'), signature?.bytes ?? '');
      await writeFile(join(folder, keyName), keyPem);
      await writeFile(join(folder, 'greeting.apk'), apk);
      const at = apk.indexOf(reading.control) + reading.control.length;
      await writeFile(join(folder, 'data'), apk.subarray(at));
      const verify = ['dgst', '-sha256', '-verify', keyName, '-signature', 'signature', 'control'];
      assert.match((await runProcess('openssl', verify, { cwd: folder })).stdout, /Verified OK/);
      const sum = (await runProcess('sha256sum', ['data'], { cwd: folder })).stdout.split(' ')[0];
      assert.equal(sum, reading.info.dataHash);
      const listing = (await runProcess('tar', ['-tzf', 'greeting.apk'], { cwd: folder })).stdout.split('\n');
      assert.ok(listing.includes('usr/bin/greeting') && listing.includes('.PKGINFO'), listing.join(' '));
      const index = await readIndexArchive(
        await published('APKINDEX.tar.gz'),
        new Map([[keyName, loadPublicKey(keyPem, keyName)]]),
      );
      assert.equal(index.entries.filter((entry) => entry.name === 'greeting').length, 1);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('a second environment solves and installs the package from the repository, and runs it', async () => {
    await published('greeting-1.0.0-r0.apk');
    const build = await t.upload(
      'reader.yaml',
      `package: {name: reader, version: "1", epoch: 0}
environment: {contents: {packages: [busybox, libc6, greeting]}}
pipeline:
  - runs: |
      mkdir -p \${{targets.destdir}}/usr/share
      # Run ${Date.now()}: BuildKit must not answer from the cache of an earlier run, which prints nothing.
      greeting > \${{targets.destdir}}/usr/share/greeting.txt
      cat \${{targets.destdir}}/usr/share/greeting.txt
`,
    );
    assert.equal((await t.ended(build)).state, 'success');
    const [job] = await t.jobs(build);
    assert.match((await object(job?.log ?? '')).toString(), /^a greeting from greeting 1\.0\.0-r0$/m);
  });

  test('the same upload event delivered three times is one build', async () => {
    const name = 'thrice.yaml';
    const build = await t.upload(name, sleepingPackage('thrice', 0.5));
    const generation = (await t.storage.bucket(SPECS_BUCKET).file(name).getMetadata())[0].generation;
    const event = (): Promise<Response> =>
      fetch(`http://127.0.0.1:${t.cloud.ports.function}/`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'ce-specversion': '1.0',
          'ce-id': `again-${Math.random()}`,
          'ce-type': 'google.cloud.storage.object.v1.finalized',
          'ce-source': `//storage.googleapis.com/projects/_/buckets/${SPECS_BUCKET}`,
        },
        body: JSON.stringify({ bucket: SPECS_BUCKET, name, generation: String(generation), size: '100' }),
      });
    assert.deepEqual(
      (await Promise.all([event(), event(), event()])).map((response) => response.status),
      [204, 204, 204],
    );
    assert.equal((await t.ended(build)).state, 'success');
    assert.equal((await event()).status, 204);
    await sleep(1000);
    assert.deepEqual(await buildsOf(name), [build]);
    const all = await t.jobs(build);
    assert.deepEqual(
      all.map((job) => [job.state, job.epoch, job.attempts, job.crashes]),
      [['success', 1, 0, 0]],
    );
  });

  for (const { what, text, line, column, message } of [
    {
      what: 'a wrong indent',
      text: 'package:\n  name: bad\n   version: 1\n',
      line: 3,
      column: 11,
      message: /indent/,
    },
    {
      what: 'an unknown key',
      text: 'package:\n  name: bad\n  version: "1"\npipelines:\n  - runs: "true"\n',
      line: 4,
      column: 1,
      message: /unknown key "pipelines"/,
    },
    { what: 'a missing version', text: 'package:\n  name: bad\n', line: 1, column: 1, message: /no version/ },
  ]) {
    test(`a build file with ${what} is rejected with file, line, column and hint`, async () => {
      const name = `bad-${what.replaceAll(' ', '-')}.yaml`;
      const ended = await t.ended(await t.upload(name, text));
      assert.equal(ended.state, 'rejected');
      assert.match(ended.error?.message ?? '', message);
      assert.deepEqual(ended.error?.position, { file: name, line, column });
      assert.ok((ended.error?.hint ?? '').length > 5);
      assert.equal(ended.diagnostics.length, 1);
    });
  }

  test('objects that are no build files are ignored', async () => {
    const before = (await builds(t.firestore).count().get()).data().count;
    await t.put('notes.txt', 'package: no');
    await t.put('values.yaml', 'replicas: 3\n');
    await t.put('gcloud/tmp/parallel_composite_uploads/x_1.yaml', await greeting());
    await t.put('pipelines/local/tool.yaml', 'pipeline: []\n');
    await sleep(1500);
    assert.equal((await builds(t.firestore).count().get()).data().count, before);
  });

  test('a source directory uploaded after its build file is built into it', async () => {
    const build = await t.upload(
      'late/late.yaml',
      `package: {name: late, version: "1", epoch: 0}
environment: {contents: {packages: [busybox]}}
pipeline:
  - runs: |
      mkdir -p \${{targets.destdir}}/usr/share/late
      cp data/text.txt \${{targets.destdir}}/usr/share/late/
`,
    );
    // The first attempt fails for want of the file, and waits.
    await t.until(build, (_, all) => all.some((job) => job.state === 'pending' && job.heldUntilMs !== null));
    await t.put('late/late/data/text.txt', 'it came late\n');
    assert.equal((await t.ended(build)).state, 'success');
    assert.deepEqual(await buildsOf('late/late.yaml'), [build]);
  });

  test('a local pipeline and a patch uploaded after their build file are waited for', async () => {
    const build = await t.upload(
      'waits/waits.yaml',
      `package: {name: waits, version: "1", epoch: 0}
environment: {contents: {packages: [busybox]}}
pipeline:
  - uses: ours/install
  - runs: echo old > file.txt
  - uses: patch
    with: {patches: fix.patch}
  - runs: cp file.txt \${{targets.destdir}}/usr/share/
`,
    );
    const waiting = await t.until(build, (record) => record.reason !== null);
    assert.match(waiting.reason ?? '', /pipelines\/ours\/install\.yaml/);
    await t.put(
      'waits/pipelines/ours/install.yaml',
      'pipeline:\n  - runs: mkdir -p ${{targets.contextdir}}/usr/share\n',
    );
    await t.until(build, (record) => /fix\.patch/.test(record.reason ?? ''));
    await t.put('waits/waits/fix.patch', '--- a/file.txt\n+++ b/file.txt\n@@ -1 +1 @@\n-old\n+new\n');
    assert.equal((await t.ended(build)).state, 'success');
  });

  test('gcloud storage cp -r of a build file and its source directory is one build', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'carryall-cp-'));
    try {
      await mkdir(join(folder, 'both', 'tree', 'src'), { recursive: true });
      await writeFile(
        join(folder, 'both', 'tree.yaml'),
        `package: {name: tree, version: "1", epoch: 0}
environment: {contents: {packages: [busybox]}}
pipeline:
  - runs: |
      mkdir -p \${{targets.destdir}}/usr/share/tree
      cat src/f1 src/f2 src/f3 src/f4 src/f5 src/f6 src/f7 src/f8 > \${{targets.destdir}}/usr/share/tree/all
`,
      );
      for (let index = 1; index <= 8; index += 1) {
        await writeFile(join(folder, 'both', 'tree', 'src', `f${index}`), `file ${index}\n`);
      }
      const env = { ...process.env, ...t.cloud.environment };
      await runProcess('gcloud', ['storage', 'cp', '-r', join(folder, 'both'), `gs://${SPECS_BUCKET}/`], {
        env,
      });
      for (let tries = 0; tries < 100 && (await buildsOf('both/tree.yaml')).length === 0; tries += 1)
        await sleep(50);
      const [build, ...others] = await buildsOf('both/tree.yaml');
      assert.deepEqual(others, []);
      assert.ok(build !== undefined);
      assert.equal((await t.ended(build)).state, 'success');
      assert.deepEqual(await buildsOf('both/tree.yaml'), [build]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('a failing step ends the build with the step, its exit code and where it is written', async () => {
    const ended = await t.ended(
      await t.upload(
        'fails.yaml',
        `package: {name: fails, version: "1", epoch: 0}
environment: {contents: {packages: [busybox]}}
pipeline:
  - uses: fetch
    with: {uri: "http://127.0.0.1:${t.cloud.ports.files}/files/nothing.tar.gz", expected-none: "yes", retry-limit: "1"}
`,
      ),
    );
    assert.equal(ended.state, 'failed');
    assert.equal(ended.error?.kind, 'user');
    assert.equal(ended.error?.code, 'build-step-failed');
    assert.equal(ended.error?.position?.line, 4);
  });

  test('requests of other systems are built: inline with dependencies, and by reference', async () => {
    const upper = `package: {name: upper, version: "1", epoch: 0}
environment: {contents: {packages: [busybox, lower]}}
pipeline: [{runs: "mkdir -p \${{targets.destdir}}/usr && cp /usr/share/lower/name \${{targets.destdir}}/usr/"}]
`;
    const topic = t.pubsub.topic(REQUESTS_TOPIC);
    const json = { configs: [upper, sleepingPackage('lower', 0.5)] };
    await topic.publishMessage({ json, attributes: { requestId: 'inline-1' } });
    await topic.publishMessage({ json, attributes: { requestId: 'inline-1' } });
    const inline = await t.ended(buildIdOfRequest('inline-1'));
    assert.equal(inline.state, 'success', JSON.stringify(inline.error));
    assert.deepEqual(inline.packages, ['lower', 'upper']);

    await t.ended(await t.upload('referred.yaml', sleepingPackage('referred', 0.5)));
    const reference = { source: `gs://${SPECS_BUCKET}/referred.yaml` };
    await topic.publishMessage({ json: reference, attributes: { requestId: 'reference-1' } });
    assert.equal((await t.ended(buildIdOfRequest('reference-1'))).state, 'success');
  });

  test('a malformed message goes to the dead letters with code and reason', async () => {
    const letters: Message[] = [];
    const subscription = t.pubsub.subscription(`${DEAD_LETTER_TOPIC}-inspect`);
    subscription.on('message', (message: Message) => {
      letters.push(message);
      message.ack();
    });
    try {
      await t.pubsub.topic(REQUESTS_TOPIC).publishMessage({ data: Buffer.from('{"configs": 7}') });
      for (let tries = 0; tries < 200 && letters.length === 0; tries += 1) await sleep(50);
      const [letter] = letters;
      assert.equal(letter?.attributes['carryall-code'], 'message-malformed');
      assert.match(letter?.attributes['carryall-reason'] ?? '', /configs/);
      assert.equal(letter?.data.toString(), '{"configs": 7}');
    } finally {
      await subscription.close();
    }
  });

  test('a published version is not replaced by other content', async () => {
    await t.ended(await t.upload('fixed.yaml', sleepingPackage('fixed', 0.5)));
    await published('fixed-1.0.0-r0.apk');
    const ended = await t.ended(
      await t.upload(
        'fixed.yaml',
        sleepingPackage('fixed', 0.5).replace('> ${{', '>> ${{').replace('echo fixed', 'echo other'),
      ),
    );
    assert.equal(ended.state, 'failed');
    assert.equal(ended.error?.code, 'version-exists');
    assert.match(ended.error?.hint ?? '', /epoch/);
  });
});

async function* chunks(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
