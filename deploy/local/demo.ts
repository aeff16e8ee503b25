/**
 * The demo: GNU hello from its release tarball, through the whole pipeline, into three signed packages whose
 * signatures are checked with openssl.
 */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadPublicKey } from '../../shared/apk/keys.ts';
import { readPackage, verifyPackage } from '../../shared/apk/package-read.ts';
import { formatPosition, PipelineError } from '../../shared/errors.ts';
import { repositoryObject } from '../../shared/object-names.ts';
import { readObject } from '../../shared/storage/objects.ts';
import { openLocalClients } from './clients.ts';
import type { LocalConfig } from './config.ts';
import { openDebianArchive } from './debian.ts';
import { buildOfUpload, followBuild } from './follow-build.ts';
import { BUILDS_BUCKET, type LocalCloud, SPECS_BUCKET } from './local-cloud.ts';
import type { PartLog } from './parts/part-log.ts';
import { runProcess } from './parts/run-process.ts';

export interface DemoOptions {
  readonly cloud: LocalCloud;
  readonly config: LocalConfig;
  readonly log: PartLog;
  readonly signal: AbortSignal;
}

const TARBALL = 'hello_2.10.orig.tar.gz';
const TARBALL_SHA256 = '31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b';

/** @throws PipelineError the error of the build, or `apk-mismatch` where a package does not verify. */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { cloud, config, log, signal } = options;
  await prepareTarball(options);
  await using clients = openLocalClients(cloud);
  const template = await readFile(join(config.root, 'examples', 'hello.yaml'), 'utf8');
  const text = template.replace(/uri: .*/, `uri: http://127.0.0.1:${cloud.ports.files}/files/${TARBALL}`);
  const specs = clients.storage.bucket(SPECS_BUCKET);
  const builds = clients.storage.bucket(BUILDS_BUCKET);
  log('uploading the build file', { to: `gs://${SPECS_BUCKET}/demo/hello.yaml` });
  const startedMs = performance.now();
  const file = specs.file('demo/hello.yaml');
  await file.save(text, { resumable: false });
  const upload = { bucket: SPECS_BUCKET, object: file.name, generation: String(file.metadata.generation) };
  const build = await buildOfUpload(clients.firestore, upload, signal);
  const followed = await followBuild({
    firestore: clients.firestore,
    bucket: builds,
    build,
    onState: (line) => log(line),
    onLog: (chunk) => process.stdout.write(chunk),
    signal,
  });
  if (followed.build.state !== 'success') {
    const { error } = followed.build;
    const where = error?.position === undefined ? '' : `${formatPosition(error.position)}: `;
    throw new PipelineError({
      code: error?.code ?? 'internal',
      kind: error?.kind ?? 'bug',
      message: `the build ended as ${followed.build.state}: ${where}${error?.message}`,
      hint: error?.hint,
    });
  }
  log('the build succeeded', { seconds: ((performance.now() - startedMs) / 1000).toFixed(1) });

  const out = join(config.root, 'out', 'demo');
  const [job] = followed.jobs;
  const arch = job?.arch ?? 'x86_64';
  await mkdir(join(out, arch), { recursive: true });
  const keyPath = join(out, basename(cloud.publicKeyPath));
  await copyFile(cloud.publicKeyPath, keyPath);
  const files = [...(job?.artifacts ?? []).map((one) => one.file), 'APKINDEX.tar.gz'];
  for (const name of files) {
    await writeFile(join(out, arch, name), await published(builds, repositoryObject(arch, name), signal));
  }
  for (const artifact of job?.artifacts ?? []) {
    await verify(join(out, arch, artifact.file), keyPath);
    log('signature and contents verified', { package: artifact.file, bytes: artifact.bytes });
  }
  log('memory of the runner at its peak', { mebibytes: await peakMebibytes(cloud.part('runner').pids()[0]) });
  log('where to look', {
    packages: join('out', 'demo', arch),
    key: join('out', 'demo', basename(keyPath)),
    repository: `gs://${BUILDS_BUCKET}/repo/${arch}/`,
    record: `builds/${build}`,
  });
}

/** VmHWM of proc_pid_status(5), children left out. */
async function peakMebibytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Math.round(Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024);
}

/** The release tarball as Debian's source package has it, put where the local file server offers it. */
async function prepareTarball(options: DemoOptions): Promise<void> {
  const { cloud, config, log, signal } = options;
  const target = join(cloud.filesFolder, TARBALL);
  if ((await sha256Of(target)) === TARBALL_SHA256) return;
  log('fetching the source of GNU hello from Debian');
  const archive = await openDebianArchive({ folder: join(config.home, 'debian', 'machine'), signal });
  const files = await archive.downloadSource('hello', join(config.home, 'source'));
  const tarball = files.find((one) => basename(one) === TARBALL);
  if (tarball === undefined || (await sha256Of(tarball)) !== TARBALL_SHA256) {
    throw new PipelineError({
      code: 'prerequisite-missing',
      kind: 'infra',
      message: `Debian's source package "hello" has no ${TARBALL} with the expected digest`,
    });
  }
  await copyFile(tarball, target);
}

async function sha256Of(path: string): Promise<string | undefined> {
  const bytes = await readFile(path).catch(() => undefined);
  return bytes === undefined ? undefined : createHash('sha256').update(bytes).digest('hex');
}

/** The repository is written a moment after the build has succeeded. */
async function published(
  bucket: Parameters<typeof readObject>[0],
  object: string,
  signal: AbortSignal,
): Promise<Buffer> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const bytes = await readObject(bucket, object, { maxBytes: Number.MAX_SAFE_INTEGER });
    if (bytes !== undefined) return bytes;
    signal.throwIfAborted();
    if (performance.now() > deadline) {
      throw new PipelineError({
        code: 'storage-failed',
        kind: 'infra',
        message: `${object} was not published`,
      });
    }
    await sleep(100);
  }
}

/** Checks every digest with our reader, and the signature with openssl. */
async function verify(path: string, keyPath: string): Promise<void> {
  const bytes = await readFile(path);
  const keyName = basename(keyPath);
  const keys = new Map([[keyName, loadPublicKey(await readFile(keyPath), keyName)]]);
  const verified = await verifyPackage({ source: chunksOf(bytes), keys });
  if (verified.signedBy !== keyName) {
    throw new PipelineError({
      code: 'apk-mismatch',
      kind: 'bug',
      message: `${path} is not signed with ${keyName}`,
    });
  }
  const { signatures, control } = await readPackage(chunksOf(bytes));
  const folder = await mkdtemp(join(tmpdir(), 'carryall-verify-'));
  try {
    await writeFile(join(folder, 'control'), control);
    await writeFile(join(folder, 'signature'), signatures[0]?.bytes ?? Buffer.alloc(0));
    const files = ['-signature', join(folder, 'signature'), join(folder, 'control')];
    await runProcess('openssl', ['dgst', '-sha256', '-verify', keyPath, ...files]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
