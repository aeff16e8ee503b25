/**
 * What the tests of the built-in pipelines run in: a real BuildKit, and environments of Debian packages converted to
 * apks. Names that pipelines need and Debian spells differently are small packages of ours beside them, and so are
 * stand-ins for tools that Debian does not have.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { localSigningKey } from '../../deploy/local/bootstrap/local-key.ts';
import { prepareBootstrapRepository } from '../../deploy/local/bootstrap/repository.ts';
import { packageGraph } from '../../runner/buildkit/package-graph.ts';
import { solve } from '../../runner/buildkit/solve.ts';
import { composeEnvironment } from '../../runner/environment/compose.ts';
import { createKnownPackages, type KnownPackages } from '../../runner/environment/known-packages.ts';
import { lockEnvironment } from '../../runner/environment/lock.ts';
import { createIndexCache, type Repository } from '../../runner/environment/repository.ts';
import { createStepLog } from '../../runner/worker/step-log.ts';
import { publicKeyName, publicKeyPem, type SigningKey } from '../../shared/apk/keys.ts';
import { readTar } from '../../shared/apk/tar-read.ts';
import { TAR_END, tarHeader, tarPadding } from '../../shared/apk/tar-write.ts';
import {
  type BuildPlan,
  compileBuildFile,
  formatDiagnostic,
  parseBuildFile,
} from '../../shared/build-file/index.ts';
import { asPipelineError, type PipelineError } from '../../shared/errors.ts';
import { type RealBuildkit, startRealBuildkit } from '../integration/buildkit/real-buildkit.ts';
import { type LoopbackServer, startLoopbackServer } from './loopback.ts';
import { type OwnPackage, writeOwnPackages } from './own-packages.ts';

export { skipReason } from '../integration/buildkit/real-buildkit.ts';

const carryall = fileURLToPath(new URL('../../.carryall/', import.meta.url));

export interface ToolchainOptions {
  /** Names the repository's folder, which is kept between runs. */
  readonly name: string;
  /** Debian packages, offered with all they depend on. */
  readonly debian: readonly string[];
  readonly own?: readonly OwnPackage[];
}

export interface BuildOptions {
  /** Files of the source directory: path to content; a content that begins with `#!` makes it executable. */
  readonly source?: Readonly<Record<string, string | Buffer>>;
}

export interface BuiltFile {
  readonly type: string;
  /** Permission bits. */
  readonly mode: number;
  readonly content: Buffer;
  /** Target of a link. */
  readonly target: string;
}

export interface BuildResult {
  /** Files and links (no directories) of all packages as `package/path`. */
  readonly files: ReadonlyMap<string, BuiltFile>;
  /** What the steps printed. */
  readonly log: string;
  /** Set when the build failed. */
  readonly error?: PipelineError;
}

export interface Toolchain extends AsyncDisposable {
  /** Number of packages in the repository, and their bytes. */
  readonly size: { readonly packages: number; readonly bytes: number };
  /** Builds a build file for this machine's architecture, and asserts that it succeeds. */
  build(text: string, options?: BuildOptions): Promise<BuildResult>;
  /** The same for a build that must fail in a step; what it printed is in `log`. */
  fail(text: string, options?: BuildOptions): Promise<BuildResult>;
}

/** Makes the repository (at the first run) and starts a BuildKit with an empty cache. */
export async function startToolchain(options: ToolchainOptions): Promise<Toolchain> {
  const base = join(carryall, 'test-pipelines', options.name);
  const key = await localSigningKey(join(carryall, 'test-pipelines'), 'pipelines.rsa');
  await using starting = new AsyncDisposableStack();
  const made = await prepareBootstrapRepository({
    folder: join(base, 'debian'),
    debianFolder: join(carryall, 'debian', 'machine'),
    key,
    names: ['bash', 'busybox-static', 'coreutils', 'libc-bin', ...options.debian],
  });
  const ownFolder = await mkdtemp(join(base, 'own-'));
  starting.defer(() => rm(ownFolder, { recursive: true, force: true }));
  await writeOwnPackages(options.own ?? [], { folder: ownFolder, arch: made.arch, key });
  const served = starting.use(await serveFolders({ debian: made.folder, own: ownFolder }));
  const buildkit = starting.use(await startRealBuildkit());
  const keys = new Map([[publicKeyName(key), key.publicKey]]);
  const repositories = ['own', 'debian'].map(
    (mount): Repository => ({
      location: `${served.url}/${mount}`,
      baseUrl: `${served.url}/${mount}`,
      mayBeEmpty: false,
      keys,
    }),
  );
  const context: Context = {
    buildkit,
    repositories,
    key,
    indexes: createIndexCache(),
    packages: createKnownPackages(),
  };
  const run = (text: string, more: BuildOptions = {}): Promise<BuildResult> =>
    buildOne(context, { text, arch: made.arch, source: more.source ?? {} });
  const resources = starting.move();
  return {
    size: { packages: made.packages, bytes: made.apkBytes },
    async build(text, more) {
      const result = await run(text, more);
      assert.ok(result.error === undefined, `${result.error?.message}\n${result.log}`);
      return result;
    },
    async fail(text, more) {
      const result = await run(text, more);
      assert.equal(result.error?.code, 'build-step-failed', result.error?.message ?? 'it succeeded');
      return result;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

interface Context {
  readonly buildkit: RealBuildkit;
  readonly repositories: readonly Repository[];
  readonly key: SigningKey;
  readonly indexes: ReturnType<typeof createIndexCache>;
  readonly packages: KnownPackages;
}

async function buildOne(
  context: Context,
  what: {
    readonly text: string;
    readonly arch: string;
    readonly source: Readonly<Record<string, string | Buffer>>;
  },
): Promise<BuildResult> {
  const plan = planOf(what.text, what.arch);
  const world = plan.environment.packages;
  const { indexes, repositories, key } = context;
  const signal = AbortSignal.timeout(15 * 60_000);
  const packages = await lockEnvironment({
    world,
    arch: plan.arch,
    repositories,
    ahead: [],
    indexes,
    packages: context.packages,
    signal,
  });
  const environment = composeEnvironment({
    packages,
    world,
    base: new Set(),
    layout: 'merge',
    arch: plan.arch,
    repositories: [],
    configuration: {},
    accounts: plan.environment.accounts,
    paths: plan.environment.paths,
    keys: new Map([[publicKeyName(key), publicKeyPem(key)]]),
    authSecrets: new Map(),
  });
  const tar = tarOf(what.source);
  const graph = packageGraph({
    plan,
    environment: environment.root,
    // BuildKit does not take a tar without entries for an archive.
    source:
      Object.keys(what.source).length === 0
        ? undefined
        : { id: 'source', sha256: createHash('sha256').update(tar).digest('hex') },
    sourceDateEpoch: 0,
    network: 'host',
    debug: false,
  });
  const files = new Map<string, BuiltFile>();
  let log = '';
  const steps = createStepLog(graph.execs, (text) => {
    log += text.toString();
  });
  try {
    await solve({
      connection: context.buildkit.connection,
      output: graph.output,
      services: {
        uploads: new Map([...environment.uploads, ['source', () => chunksOf(tar)]]),
        receiveTar: async (chunks) => {
          for await (const entry of readTar(chunks)) {
            const content = Buffer.concat(await Array.fromAsync(entry.content));
            if (entry.type === 'directory') continue;
            const path = entry.name.replace(/^\.\//, '');
            files.set(path, { type: entry.type, mode: entry.mode, content, target: entry.linkName ?? '' });
          }
        },
      },
      entitlements: graph.entitlements,
      onProgress: steps.read,
      signal,
    });
    return { files, log };
  } catch (thrown) {
    return { files, log, error: asPipelineError(thrown) };
  }
}

function planOf(text: string, arch: string): BuildPlan {
  assert.ok(arch === 'x86_64' || arch === 'aarch64');
  const { buildFile, diagnostics } = parseBuildFile({ file: 'build.yaml', text });
  const compiled = buildFile && compileBuildFile(buildFile, { arch, lookup: () => undefined });
  const problems = [...diagnostics, ...(compiled?.diagnostics ?? [])];
  assert.ok(compiled?.plan, problems.map((one) => formatDiagnostic(one, text)).join('\n'));
  return compiled.plan;
}

function tarOf(source: Readonly<Record<string, string | Buffer>>): Buffer {
  const parents = new Set<string>();
  for (const path of Object.keys(source)) {
    const parts = path.split('/').slice(0, -1);
    for (let length = 1; length <= parts.length; length += 1) parents.add(parts.slice(0, length).join('/'));
  }
  const folders = [...parents].map((name) =>
    tarHeader({ name, type: 'directory', mode: 0o755, size: 0, mtime: 0 }),
  );
  const files = Object.entries(source).flatMap(([name, content]) => {
    const bytes = Buffer.from(content);
    const mode = bytes.subarray(0, 2).toString() === '#!' ? 0o755 : 0o644;
    const header = tarHeader({ name, type: 'file', mode, size: bytes.length, mtime: 0 });
    return [header, bytes, tarPadding(bytes.length)];
  });
  return Buffer.concat([...folders, ...files, TAR_END]);
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** Serves each folder below its name, on the loopback address. */
async function serveFolders(folders: Readonly<Record<string, string>>): Promise<LoopbackServer> {
  return startLoopbackServer((request, response) => {
    const [, mount = '', ...path] = decodeURIComponent(request.url ?? '').split('/');
    createReadStream(join(folders[mount] ?? '/nowhere', ...path))
      .on('error', () => response.writeHead(404).end())
      .pipe(response);
  });
}
