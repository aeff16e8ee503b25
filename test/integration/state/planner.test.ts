/** Planning with the emulators and real objects in a real storage endpoint. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { FieldValue } from '@google-cloud/firestore';
import { claimJob } from '../../../runner/jobs/lease.ts';
import { gatherUpload, inputDocument, storeInputs } from '../../../runner/planner/inputs.ts';
import { planBuild } from '../../../runner/planner/plan-build.ts';
import { acceptRequest, type RequestContext } from '../../../runner/planner/requests.ts';
import { afterJobEnded } from '../../../runner/worker/release.ts';
import { generateSigningKey, loadSigningKey } from '../../../shared/apk/keys.ts';
import { PipelineError } from '../../../shared/errors.ts';
import { buildRef, newBuild } from '../../../shared/firestore/build-record.ts';
import { createDocument } from '../../../shared/firestore/documents.ts';
import { jobRef, jobs, newJob } from '../../../shared/firestore/job-record.ts';
import { type BuildId, buildIdOfUpload, jobId } from '../../../shared/identity.ts';
import { buildOptions, parseBuildRequest, type RequestMessage } from '../../../shared/messages.ts';
import type { JobState } from '../../../shared/states.ts';
import { silentLog } from './emulators-client.ts';
import {
  ARCH,
  BUILDS_BUCKET,
  eventually,
  hearDoorbells,
  SPECS_BUCKET,
  startEmulators,
  startStorage,
} from './emulators-fixture.ts';
import { keyOf, readBuild, readJob, setState } from './job-fixture.ts';

const emulators = await startEmulators();
const storage = await startStorage();
const project = await emulators.openProject();
const { firestore } = project;
const doorbells = await hearDoorbells(project);
const specs = storage.bucket(SPECS_BUCKET);

const made = await generateSigningKey({ name: 'a.rsa', bits: 2048 });
const signingKey = loadSigningKey(made.privatePem, 'a.rsa');

const planner: RequestContext = {
  ...project,
  storage,
  buildsBucket: BUILDS_BUCKET,
  specsBuckets: [SPECS_BUCKET],
  repositories: [],
  namedRepositories: {
    reach: { hosts: ['packages.example.org'] },
    keys: new Map([['packages.example.org', new Map([['a.rsa.pub', signingKey.publicKey]])]]),
  },
  architectures: () => [ARCH, 'aarch64'],
  serves: (arch, selector) => arch !== 'aarch64' && selector['size'] !== 'huge',
  log: silentLog,
};

function buildFile(name: string, sections = 'pipeline: [{runs: "true"}]'): string {
  return `package: {name: ${name}, version: "1.0", epoch: 0, target-architecture: [x86_64]}\n${sections}\n`;
}

/** Where a file lies that no other test uses. */
function place(): string {
  return `team-${randomUUID().slice(0, 8)}`;
}

async function put(object: string, text: string): Promise<string> {
  await specs.file(object).save(text, { resumable: false });
  const [metadata] = await specs.file(object).getMetadata();
  return String(metadata.generation);
}

/** Uploads a build file and records the build as the function does. */
async function upload(object: string, text: string): Promise<BuildId> {
  const generation = await put(object, text);
  const build = buildIdOfUpload({ bucket: SPECS_BUCKET, object, generation });
  const source = { kind: 'upload', bucket: SPECS_BUCKET, object, generation } as const;
  await createDocument(buildRef(firestore, build), newBuild({ source, options: buildOptions.parse({}) }));
  return build;
}

function request(fields: Readonly<Record<string, unknown>>): RequestMessage {
  const parsed = parseBuildRequest(Buffer.from(JSON.stringify(fields)));
  assert.ok(parsed.type === 'request');
  return parsed.message;
}

async function requested(fields: Readonly<Record<string, unknown>>): Promise<BuildId> {
  return acceptRequest(planner, randomUUID(), request({ arch: ARCH, ...fields }));
}

/** Package, state and dependencies of each job, by name. */
async function jobsOf(build: BuildId): Promise<[string, string, string[]][]> {
  const { docs } = await jobs(firestore, build).get();
  return docs.map((one) => [one.id, one.get('state'), one.get('dependencies')]);
}

/** A worker that claims a job and ends it. */
async function finish(build: BuildId, name: string, state: JobState): Promise<void> {
  const ref = jobRef(firestore, keyOf(build, name));
  assert.ok((await claimJob(ref, 'worker', 60_000)).claimed, `${name} can be claimed`);
  await afterJobEnded(project, await setState(ref, state));
}

async function jobState(build: BuildId, name: string): Promise<string> {
  return (await readJob(jobRef(firestore, keyOf(build, name)))).data.state;
}

test('an uploaded build file with its sources and pipelines becomes a queued job that keeps its inputs', async () => {
  const folder = place();
  await put(`${folder}/hello/src/main.c`, 'int main(void) { return 0; }');
  await put(`${folder}/pipelines/greet.yaml`, 'pipeline: [{runs: "echo hi"}]');
  const build = await upload(`${folder}/hello.yaml`, buildFile('hello', 'pipeline: [{uses: greet}]'));
  await planBuild(planner, build);
  const record = await readBuild(firestore, build);
  assert.deepEqual([record.state, record.packages, record.counts], ['running', ['hello'], { pending: 1 }]);
  assert.ok(record.plannedAt);
  const { data } = await readJob(jobRef(firestore, keyOf(build, 'hello')));
  assert.deepEqual([data.state, data.version, data.waitsFor], ['queued', '1.0-r0', []]);
  const [document] = await storage.bucket(BUILDS_BUCKET).file(data.inputs.document.object).download();
  const kept = JSON.parse(document.toString());
  assert.deepEqual(Object.keys(kept.pipelines), ['greet']);
  const [tar] = await storage
    .bucket(BUILDS_BUCKET)
    .file(data.inputs.source?.object ?? '')
    .download();
  assert.ok(tar.includes('src/main.c') && tar.includes('int main'));
  await doorbells.until((all) => all.some((one) => one.buildId === build));
});

test('planning again changes nothing and rings for nothing', async () => {
  const build = await upload(`${place()}/hello.yaml`, buildFile('hello'));
  await planBuild(planner, build);
  await project.events.idle();
  const ref = jobRef(firestore, keyOf(build, 'hello'));
  const job = await readJob(ref);
  const record = await readBuild(firestore, build);
  await planBuild(planner, build);
  await project.events.idle();
  assert.ok((await readJob(ref)).updateTime.isEqual(job.updateTime));
  assert.deepEqual(await readBuild(firestore, build), record);
});

test('a build that two runners plan at once is planned once', async () => {
  const build = await requested({ configs: [buildFile('a'), buildFile('b')], mode: 'flat' });
  const uploaded = await upload(`${place()}/hello.yaml`, buildFile('hello'));
  await Promise.all(Array.from({ length: 4 }, () => planBuild(planner, uploaded)));
  for (const one of [build, uploaded]) {
    const record = await readBuild(firestore, one);
    assert.deepEqual([record.state, record.eventSeq], ['running', 2]);
  }
  const { data } = await readJob(jobRef(firestore, keyOf(uploaded, 'hello')));
  assert.deepEqual([data.state, data.eventSeq, data.epoch], ['queued', 2, 0]);
});

test('planning that died after it had made a job is done again, with what is uploaded by then', async () => {
  const folder = place();
  const object = `${folder}/hello.yaml`;
  const text = buildFile('hello');
  const build = await upload(object, text);
  const gathered = await gatherUpload(specs, { object, text, createdMs: 0 });
  const inputs = await storeInputs(storage.bucket(BUILDS_BUCKET), build, gathered);
  const ref = jobRef(firestore, keyOf(build, 'hello'));
  const job = {
    package: 'hello',
    arch: ARCH,
    version: '1.0-r0',
    dependencies: [],
    inputs,
    fetchesSources: false,
    selector: {},
  } as const;
  await createDocument(ref, newJob(job));
  // Here the process dies, and a source file comes in.
  await put(`${folder}/hello/late.txt`, 'late');
  await planBuild(planner, build);
  const { data } = await readJob(ref);
  assert.equal(data.state, 'queued');
  assert.ok(data.inputs.source, 'the job is built with the file');
  assert.notEqual(data.inputs.listing, inputs.listing);
  assert.deepEqual([(await readBuild(firestore, build)).state, data.eventSeq], ['running', 2]);
});

test('a request of three files becomes jobs that wait for each other', async () => {
  const needs = (name: string): string =>
    `environment: {contents: {packages: [busybox, "${name}"]}}\npipeline: [{runs: "true"}]`;
  const lib = buildFile(
    'lib',
    'pipeline: [{runs: "true"}]\nsubpackages: [{name: lib-dev, pipeline: [{runs: "true"}]}]',
  );
  const configs = [buildFile('tool', needs('app')), buildFile('app', needs('lib-dev>=1')), lib];
  const build = await requested({ configs });
  assert.deepEqual(await jobsOf(build), [
    [jobId('app', ARCH), 'pending', [jobId('lib', ARCH)]],
    [jobId('lib', ARCH), 'queued', []],
    [jobId('tool', ARCH), 'pending', [jobId('app', ARCH)]],
  ]);
  assert.deepEqual((await readBuild(firestore, build)).packages, ['lib', 'app', 'tool']);

  await finish(build, 'lib', 'success');
  assert.deepEqual([await jobState(build, 'app'), await jobState(build, 'tool')], ['queued', 'pending']);
  await doorbells.until((all) => all.some((one) => one.buildId === build && one.job === jobId('app', ARCH)));
  await finish(build, 'app', 'success');
  assert.equal(await jobState(build, 'tool'), 'queued');
  await finish(build, 'tool', 'success');
  const record = await readBuild(firestore, build);
  assert.deepEqual([record.state, record.counts, record.error], ['success', { success: 3 }, null]);
});

const CHAIN = ['a', 'b', 'c'].map((name, index, names) =>
  buildFile(
    name,
    `environment: {contents: {packages: [${index === 0 ? 'busybox' : names[index - 1]}]}}\npipeline: [{runs: "true"}]`,
  ),
);

test('when a job fails, everything behind it is skipped and the build is partial or failed', async () => {
  const partial = await requested({ configs: CHAIN });
  await finish(partial, 'a', 'success');
  await finish(partial, 'b', 'failed');
  const some = await readBuild(firestore, partial);
  assert.deepEqual([some.state, some.counts], ['partial', { success: 1, failed: 1, skipped: 1 }]);
  const failed = await requested({ configs: CHAIN });
  await finish(failed, 'a', 'failed');
  const all = await readBuild(firestore, failed);
  assert.deepEqual([all.state, all.counts], ['failed', { failed: 1, skipped: 2 }]);
});

test('a build file whose pipeline is not uploaded yet waits, says why, and goes on when it comes', async () => {
  const folder = place();
  const build = await upload(`${folder}/hello.yaml`, buildFile('hello', 'pipeline: [{uses: team/greet}]'));
  await planBuild(planner, build);
  const waiting = await readBuild(firestore, build);
  assert.deepEqual(
    [waiting.state, waiting.reason],
    ['pending', 'waits for the upload of pipelines/team/greet.yaml'],
  );
  assert.deepEqual(await jobsOf(build), []);
  await put(`${folder}/pipelines/team/greet.yaml`, 'pipeline: [{runs: "echo hi"}]');
  await planBuild(planner, build);
  const record = await readBuild(firestore, build);
  assert.deepEqual([record.state, record.reason], ['running', null]);
});

test('a build file whose patch is not uploaded yet waits for it, too', async () => {
  const folder = place();
  const patches = 'pipeline: [{uses: patch, with: {patches: fix.patch}}]';
  const build = await upload(`${folder}/hello.yaml`, buildFile('hello', patches));
  await planBuild(planner, build);
  const waiting = await readBuild(firestore, build);
  assert.deepEqual([waiting.state, waiting.reason], ['pending', 'waits for the upload of hello/fix.patch']);
  await put(`${folder}/hello/fix.patch`, '--- a\n+++ b\n');
  await planBuild(planner, build);
  assert.equal((await readBuild(firestore, build)).state, 'running');
});

test('the build of a file that was replaced before it was planned is superseded', async () => {
  const object = `${place()}/hello.yaml`;
  const old = await upload(object, buildFile('hello'));
  const next = await upload(object, buildFile('hello', 'pipeline: [{runs: "echo 2"}]'));
  await planBuild(planner, old);
  await planBuild(planner, next);
  assert.deepEqual(
    [(await readBuild(firestore, old)).state, (await readBuild(firestore, next)).state],
    ['superseded', 'running'],
  );
  assert.deepEqual(await jobsOf(old), []);
});

test('an invalid file in a request is rejected with file, line and column', async () => {
  const bad = 'package:\n  name: bad\n  version: "1.0"\n  epohc: 3\npipeline: [{runs: "true"}]\n';
  const build = await requested({ configs: [buildFile('good'), bad] });
  const record = await readBuild(firestore, build);
  assert.equal(record.state, 'rejected');
  const [problem] = record.diagnostics;
  assert.deepEqual(
    [problem?.code, problem?.kind, problem?.position?.file, problem?.position?.line],
    ['unknown-key', 'user', 'request-2.yaml', 4],
  );
  assert.ok(record.error);
  assert.deepEqual(await jobsOf(build), []);
});

test('a cycle is rejected with its name and leaves no job behind, also where only one architecture has it', async () => {
  const conditional = (name: string, other: string): string =>
    `package: {name: ${name}, version: "1.0", epoch: 0}
pipeline:
  - {runs: "true"}
  - {if: "\${{build.arch}} == 'aarch64'", uses: with-${other}}
`;
  const withPackage = (name: string): string => `needs: {packages: [${name}]}\npipeline: [{runs: "true"}]\n`;
  const configs = [conditional('a', 'b'), conditional('b', 'a')];
  const pipelines = { 'with-a.yaml': withPackage('a'), 'with-b.yaml': withPackage('b') };
  const build = await requested({ configs, pipelines, arch: [ARCH, 'aarch64'] });
  const record = await readBuild(firestore, build);
  assert.deepEqual([record.state, record.error?.code], ['rejected', 'request-invalid']);
  assert.match(record.error?.message ?? '', /a → b → a/);
  assert.deepEqual(await jobsOf(build), []);
});

test('a source outside the buckets of this installation is refused, and nothing is recorded', async () => {
  for (const source of ['gs://other/a.yaml', `gs://${BUILDS_BUCKET}/a.yaml`, `gs://${SPECS_BUCKET}/a.txt`]) {
    const before = (await firestore.collection('builds').count().get()).data().count;
    await assert.rejects(
      requested({ source }),
      (error) => error instanceof PipelineError && error.code === 'source-refused' && error.kind === 'user',
    );
    assert.equal((await firestore.collection('builds').count().get()).data().count, before);
  }
});

test('a request may name an uploaded file, also by its generation', async () => {
  const object = `${place()}/hello.yaml`;
  const generation = await put(object, buildFile('hello'));
  for (const source of [`gs://${SPECS_BUCKET}/${object}`, `gs://${SPECS_BUCKET}/${object}#${generation}`]) {
    const build = await requested({ source });
    assert.equal((await readBuild(firestore, build)).state, 'running');
  }
  await assert.rejects(
    requested({ source: `gs://${SPECS_BUCKET}/${object}#1` }),
    (error) => error instanceof PipelineError && error.code === 'source-missing' && error.kind === 'user',
  );
});

test('the same request twice is one build; another request of the same id is refused', async () => {
  const id = randomUUID();
  const message = request({ config_yaml: buildFile('hello'), arch: ARCH });
  const [first, second] = await Promise.all([
    acceptRequest(planner, id, message),
    acceptRequest(planner, id, message),
  ]);
  assert.equal(first, second);
  assert.equal((await readBuild(firestore, first)).eventSeq, 2);
  await assert.rejects(
    acceptRequest(planner, id, request({ config_yaml: buildFile('other'), arch: ARCH })),
    (error) => error instanceof PipelineError && error.code === 'request-invalid' && error.kind === 'user',
  );
});

test('sources that come after planning are built: a queued job gets them, a running one starts anew', async () => {
  const folder = place();
  const build = await upload(`${folder}/hello.yaml`, buildFile('hello'));
  await planBuild(planner, build);
  const ref = jobRef(firestore, keyOf(build, 'hello'));
  await put(`${folder}/hello/one.txt`, '1');
  await planBuild(planner, build);
  const queued = await readJob(ref);
  assert.deepEqual([queued.data.state, queued.data.inputs.source === null], ['queued', false]);
  assert.ok((await claimJob(ref, 'worker', 60_000)).claimed);
  await put(`${folder}/hello/two.txt`, '2');
  await planBuild(planner, build);
  const again = await readJob(ref);
  assert.deepEqual([again.data.state, again.data.lease], ['queued', null]);
  assert.notEqual(again.data.inputs.source?.sha256, queued.data.inputs.source?.sha256);
});

test('files that are uploaded again as they were disturb nothing, and settle a failure that waited for them', async () => {
  const folder = place();
  await put(`${folder}/hello/one.txt`, '1');
  const build = await upload(`${folder}/hello.yaml`, buildFile('hello'));
  await planBuild(planner, build);
  const ref = jobRef(firestore, keyOf(build, 'hello'));
  assert.ok((await claimJob(ref, 'worker', 60_000)).claimed);
  await put(`${folder}/hello/one.txt`, '1');
  await planBuild(planner, build);
  const running = await readJob(ref);
  assert.deepEqual([running.data.state, running.data.epoch], ['running', 1]);
  // The attempt fails, sees another listing than its own, and asks for planning.
  const error = { code: 'build-step-failed', kind: 'user', message: 'make failed' } as const;
  await setState(ref, 'pending', { error, heldUntilMs: Date.now() + 3600_000 });
  await planBuild(planner, build);
  const { data } = await readJob(ref);
  assert.deepEqual([data.state, data.error, data.heldUntilMs], ['failed', error, null]);
  assert.equal((await readBuild(firestore, build)).state, 'failed');
});

test('a job that failed without its sources is built again when they come', async () => {
  const folder = place();
  const build = await upload(`${folder}/hello.yaml`, buildFile('hello'));
  await planBuild(planner, build);
  const ref = jobRef(firestore, keyOf(build, 'hello'));
  assert.ok((await claimJob(ref, 'worker', 60_000)).claimed);
  await setState(ref, 'pending', { heldUntilMs: Date.now() + 3600_000 });
  await planBuild(planner, build);
  assert.equal((await readJob(ref)).data.heldUntilMs === null, false, 'it goes on waiting');
  await put(`${folder}/hello/one.txt`, '1');
  await planBuild(planner, build);
  const { data } = await readJob(ref);
  assert.deepEqual([data.state, data.heldUntilMs], ['queued', null]);
});

test('a build of 200 packages is planned and every one that can start is rung for', async (context) => {
  const configs = Array.from({ length: 200 }, (_, index) => buildFile(`p${index}`));
  const started = performance.now();
  const build = await requested({ configs });
  context.diagnostic(`200 packages planned in ${Math.round(performance.now() - started)} ms`);
  await eventually(
    () =>
      new Set(doorbells.messages.filter((one) => one.buildId === build).map((one) => one.job)).size === 200,
    'all doorbells',
  );
});

test('planning a build that nobody recorded is refused', async () => {
  await assert.rejects(
    planBuild(planner, buildIdOfUpload({ bucket: 'a', object: 'b', generation: '1' })),
    (error) => error instanceof PipelineError && error.code === 'record-missing' && error.kind === 'user',
  );
});

test('a job that no backend could run is blocked, and says which backend it waits for', async () => {
  const everywhere = buildFile('hello').replace(', target-architecture: [x86_64]', '');
  const build = await requested({ arch: ['aarch64', ARCH, ARCH], config_yaml: everywhere });
  const blocked = (await readJob(jobRef(firestore, { build, job: jobId('hello', 'aarch64') }))).data;
  assert.deepEqual([blocked.state, blocked.reason], ['blocked', 'waits for a backend of aarch64']);
  assert.equal(blocked.error?.code, 'no-backend');
  assert.equal(await jobState(build, 'hello'), 'queued');
  const picky = await requested({
    backend_selector: { size: 'huge' },
    configs: [],
    config_yaml: buildFile('hello'),
  });
  assert.equal(await jobState(picky, 'hello'), 'blocked');
});

const MAKE = 'environment: {contents: {packages: [make]}}\npipeline: [{runs: "true"}]';
const LOCK = {
  arch: ARCH,
  world: ['make'],
  packages: [
    {
      name: 'make',
      version: '4.4-r0',
      repository: 'https://packages.example.org',
      url: `https://packages.example.org/${ARCH}/make-4.4-r0.apk`,
      checksum: `Q1${'a'.repeat(27)}=`,
      sha256: '0'.repeat(64),
      bytes: 1,
    },
  ],
};

test('the lock of a request is kept with the inputs of its job, and of no other', async () => {
  const configs = [buildFile('hello', MAKE), buildFile('other', MAKE)];
  const locks = { [jobId('hello', ARCH)]: { file: 'hello.yaml', ...LOCK } };
  const build = await requested({ configs, locks });
  const kept = async (name: string): Promise<unknown> => {
    const { inputs } = (await readJob(jobRef(firestore, keyOf(build, name)))).data;
    const [document] = await storage.bucket(BUILDS_BUCKET).file(inputs.document.object).download();
    return inputDocument.parse(JSON.parse(document.toString())).locks;
  };
  assert.deepEqual(await kept('hello'), { [ARCH]: LOCK });
  assert.equal(await kept('other'), undefined);
  assert.equal(await jobState(build, 'hello'), 'queued');
});

const WRONG_LOCKS: readonly (readonly [string, Readonly<Record<string, unknown>>, RegExp])[] = [
  ['is no lock', { [jobId('hello', ARCH)]: 7 }, /locks\.hello@x86_64: .*object/],
  [
    'has a wrong digest',
    { [jobId('hello', ARCH)]: { ...LOCK, packages: [{ ...LOCK.packages[0], sha256: 'no' }] } },
    /locks\.hello@x86_64: packages\.0\.sha256: must be a SHA-256/,
  ],
  [
    'is for another architecture',
    { 'hello@x86_64': { ...LOCK, arch: 'aarch64' } },
    /for aarch64, not for x86_64/,
  ],
  ['is for other packages', { 'hello@x86_64': { ...LOCK, world: ['gcc'] } }, /lacks make, .*not ask for gcc/],
  ['is for another package', { 'nobody@x86_64': LOCK }, /locks\.nobody@x86_64: the build has no such job/],
  [
    'is for an architecture that is not built',
    { 'hello@aarch64': { ...LOCK, arch: 'aarch64' } },
    /locks\.hello@aarch64: the build has no such job/,
  ],
];

for (const [what, locks, expected] of WRONG_LOCKS) {
  test(`a request whose lock ${what} is rejected with the reason`, async () => {
    const build = await requested({ config_yaml: buildFile('hello', MAKE), locks });
    const { state, error } = await readBuild(firestore, build);
    assert.deepEqual([state, error?.code, error?.kind], ['rejected', 'request-invalid', 'user']);
    assert.match(error?.message ?? '', expected);
    assert.deepEqual(await jobsOf(build), []);
  });
}

test('a request with locks for an uploaded file is refused', async () => {
  const object = `${place()}/hello.yaml`;
  await put(object, buildFile('hello', MAKE));
  await assert.rejects(
    requested({ source: `gs://${SPECS_BUCKET}/${object}`, locks: { 'hello@x86_64': LOCK } }),
    (error) => error instanceof PipelineError && error.code === 'request-invalid' && error.kind === 'user',
  );
});

test('a build file with repositories that it may not name is rejected with the place of each', async () => {
  const contents = `environment:
  contents:
    repositories:
      - https://packages.example.org
      - https://elsewhere.example.org
      - "@tag http://packages.example.org"
`;
  const build = await upload(
    `${place()}/hello.yaml`,
    buildFile('hello', `${contents}pipeline: [{runs: "true"}]`),
  );
  await planBuild(planner, build);
  const { state, error, diagnostics } = await readBuild(firestore, build);
  assert.deepEqual([state, error?.code, error?.kind], ['rejected', 'repository-refused', 'user']);
  assert.deepEqual(
    diagnostics.map((one) => [one.code, one.position?.line, one.position?.column]),
    [
      ['repository-refused', 6, 9],
      ['repository-refused', 7, 10],
    ],
  );
  assert.match(diagnostics[0]?.message ?? '', /elsewhere\.example\.org is not on the operator's list/);
  assert.ok(diagnostics[0]?.hint);
  assert.deepEqual(await jobsOf(build), []);
});

test('a build file that names an allowed repository, or runs nothing in an environment, is planned', async () => {
  const naming = (host: string): string => `environment: {contents: {repositories: ["https://${host}"]}}`;
  const allowed = `${naming('packages.example.org')}\npipeline: [{runs: "true"}]`;
  for (const sections of [allowed, naming('elsewhere.example.org')]) {
    const build = await requested({ config_yaml: buildFile('hello', sections) });
    assert.equal(await jobState(build, 'hello'), 'queued');
  }
});

test('a job that was recorded before locks were kept is one without', async () => {
  const build = await requested({ config_yaml: buildFile('hello') });
  const ref = jobRef(firestore, keyOf(build, 'hello'));
  await ref.update({ lock: FieldValue.delete() });
  assert.equal((await readJob(ref)).data.lock, null);
});
