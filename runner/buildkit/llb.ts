/**
 * Builds LLB, BuildKit's low-level build definition. Each function makes one op, encoded at once in canonical form
 * (ascending fields, sorted maps), so that equal work has equal bytes and hits BuildKit's cache.
 */
import { createHash } from 'node:crypto';
import { PipelineError } from '../../shared/errors.ts';
import {
  Definition,
  FileAction,
  Mount,
  MountType,
  NetMode,
  Op,
  type OpMetadata,
  type Platform,
  SecurityMode,
} from './gen/ops.ts';

/** One result of an op: what mounts, copies and merges take as input. */
export interface Output {
  readonly op: EncodedOp;
  readonly index: number;
}

interface EncodedOp {
  readonly digest: string;
  readonly bytes: Uint8Array;
  readonly inputs: readonly EncodedOp[];
  readonly name: string;
  readonly capability: string | undefined;
}

/** A file system to start from; `scratch` is the empty one. */
export type Base = Output | 'scratch';

export interface HttpSource {
  readonly url: string;
  /** `sha256:<hex>`; it alone decides the cache key, so equal bytes from two places are fetched once. */
  readonly checksum: string;
  /** Name of the one file in the result. */
  readonly filename: string;
  readonly name: string;
  /** Id of the session secret that holds the `Authorization` header. */
  readonly authHeaderSecret?: string;
}

/** A file fetched over HTTP by the daemon, pinned by its digest. */
export function httpSource(source: HttpSource): Output {
  return encode({
    name: source.name,
    inputs: [],
    op: {
      source: {
        identifier: source.url,
        attrs: sortedMap({
          'http.checksum': source.checksum,
          'http.filename': source.filename,
          ...(source.authHeaderSecret === undefined
            ? {}
            : { 'http.authheadersecret': source.authHeaderSecret }),
        }),
      },
    },
  });
}

/** One change of a file op. Paths are absolute; modes are the low nine bits; times are kept or set to 1970. */
export type FileStep =
  | { readonly mkdir: string; readonly mode?: number }
  | { readonly mkfile: string; readonly mode?: number; readonly data: Uint8Array }
  | { readonly symlink: string; readonly target: string }
  | { readonly remove: string; readonly wildcard?: boolean }
  | { readonly copy: Output; readonly from: string; readonly to: string; readonly content?: boolean }
  | { readonly unpack: Output; readonly from: string; readonly to: string };

/**
 * Applies the steps one after another to `base`. They work in one snapshot, so a step costs under a millisecond where
 * an op of its own costs ten.
 */
export function fileOp(base: Base, steps: readonly FileStep[], name: string): Output {
  const inputs: Output[] = [];
  const inputIndex = (output: Output): bigint => {
    const known = inputs.findIndex((one) => one.op === output.op && one.index === output.index);
    if (known >= 0) return BigInt(known);
    inputs.push(output);
    return BigInt(inputs.length - 1);
  };
  const first = base === 'scratch' ? -1n : inputIndex(base);
  const sources = steps.map((step) =>
    'copy' in step ? inputIndex(step.copy) : 'unpack' in step ? inputIndex(step.unpack) : -1n,
  );
  const actions = steps.map((step, index) =>
    FileAction.fromPartial({
      input: index === 0 ? first : BigInt(inputs.length + index - 1),
      secondaryInput: sources[index] ?? -1n,
      output: index === steps.length - 1 ? 0n : -1n,
      ...fileAction(step),
    }),
  );
  return encode({ name, inputs, op: { file: { actions } } });
}

/** Timestamps of made files and directories: 1970, so that they do not change the digest of what is built on them. */
const EPOCH = 0n;

function fileAction(step: FileStep): Partial<FileAction> {
  if ('mkdir' in step) {
    return {
      mkdir: {
        path: step.mkdir,
        mode: step.mode ?? 0o755,
        makeParents: true,
        owner: undefined,
        timestamp: EPOCH,
      },
    };
  }
  if ('mkfile' in step) {
    const data = Buffer.from(step.data);
    return {
      mkfile: { path: step.mkfile, mode: step.mode ?? 0o644, data, owner: undefined, timestamp: EPOCH },
    };
  }
  if ('symlink' in step) {
    return { symlink: { oldpath: step.target, newpath: step.symlink, owner: undefined, timestamp: EPOCH } };
  }
  if ('remove' in step) {
    return { rm: { path: step.remove, allowNotFound: true, allowWildcard: step.wildcard ?? false } };
  }
  return {
    copy: {
      src: step.from,
      dest: step.to,
      owner: undefined,
      mode: -1,
      followSymlink: false,
      dirCopyContents: 'copy' in step && step.content === true,
      attemptUnpack: 'unpack' in step,
      createDestPath: true,
      allowWildcard: false,
      allowEmptyWildcard: false,
      timestamp: -1n,
      includePatterns: [],
      excludePatterns: [],
    },
  };
}

/**
 * Joins file systems; where two hold the same path, the later one wins. One layer is returned as it is. The op declares
 * its capability, so that a daemon which lacks or has disabled it refuses the graph before anything runs.
 */
export function merge(layers: readonly Output[], name: string): Output {
  const [first, ...rest] = layers;
  if (first === undefined) throw bug('a merge needs at least one layer');
  if (rest.length === 0) return first;
  return encode({
    name,
    inputs: layers,
    capability: 'mergeop',
    op: { merge: { inputs: layers.map((_, index) => ({ input: BigInt(index) })) } },
  });
}

/** A mount of an exec beside its root. */
export type ExecMount =
  | {
      readonly dest: string;
      readonly input: Base;
      /** `output` yields the directory's new content, `discard` throws changes away, `readonly` allows none. */
      readonly keep: 'output' | 'discard' | 'readonly';
    }
  | { readonly dest: string; readonly cache: string }
  | { readonly dest: string; readonly tmpfs: true }
  | { readonly dest: string; readonly secret: string };

export type Network = 'sandbox' | 'host' | 'none';

const NETWORKS: Readonly<Record<Network, NetMode>> = {
  sandbox: NetMode.NET_SANDBOX,
  host: NetMode.NET_HOST,
  none: NetMode.NET_NONE,
};

export interface Exec {
  readonly root: Output;
  readonly mounts?: readonly ExecMount[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** `uid:gid`; default root. */
  readonly user?: string;
  readonly network: Network;
  readonly security?: 'sandbox' | 'insecure';
  readonly name: string;
  readonly platform?: Platform;
}

export interface ExecResult {
  readonly root: Output;
  /** The new content of a mount that is kept. */
  output(dest: string): Output;
}

/** Runs one process. Mounts are ordered by destination, environment variables by name. */
export function exec(options: Exec): ExecResult {
  const inputs: Output[] = [options.root];
  const outputs = new Map<string, number>();
  const root = Mount.fromPartial({ input: 0n, dest: '/', output: 0n });
  const mounts = [...(options.mounts ?? [])]
    .sort((a, b) => compareText(a.dest, b.dest))
    .map((mount) => {
      if ('cache' in mount) {
        const cacheOpt = { id: mount.cache, sharing: 0 as const };
        return Mount.fromPartial({
          input: -1n,
          dest: mount.dest,
          output: -1n,
          mountType: MountType.MOUNT_CACHE,
          cacheOpt,
        });
      }
      if ('tmpfs' in mount) {
        return Mount.fromPartial({
          input: -1n,
          dest: mount.dest,
          output: -1n,
          mountType: MountType.MOUNT_TMPFS,
          tmpfsOpt: {},
        });
      }
      if ('secret' in mount) {
        return Mount.fromPartial({
          input: -1n,
          dest: mount.dest,
          output: -1n,
          mountType: MountType.MOUNT_SECRET,
          secretOpt: { id: mount.secret, mode: 0o400 },
        });
      }
      let input = -1n;
      if (mount.input !== 'scratch') {
        inputs.push(mount.input);
        input = BigInt(inputs.length - 1);
      }
      let output = -1n;
      if (mount.keep === 'output') {
        outputs.set(mount.dest, outputs.size + 1);
        output = BigInt(outputs.size);
      }
      return Mount.fromPartial({ input, dest: mount.dest, output, readonly: mount.keep === 'readonly' });
    });
  const encoded = encode({
    name: options.name,
    inputs,
    op: {
      exec: {
        meta: {
          args: [...options.args],
          env: Object.entries(options.env)
            .sort(([a], [b]) => compareText(a, b))
            .map(([key, value]) => `${key}=${value}`),
          cwd: options.cwd,
          // By number: the tree may have no passwd file.
          user: options.user ?? '0:0',
          hostname: '',
          removeMountStubsRecursive: true,
        },
        mounts: [root, ...mounts],
        network: NETWORKS[options.network],
        security:
          options.security === 'insecure' ? SecurityMode.SECURITY_INSECURE : SecurityMode.SECURITY_SANDBOX,
      },
      ...(options.platform === undefined ? {} : { platform: options.platform }),
    },
  });
  return {
    root: encoded,
    output(dest) {
      const index = outputs.get(dest);
      if (index === undefined) throw bug(`the exec "${options.name}" keeps no mount at ${dest}`);
      return { op: encoded.op, index };
    },
  };
}

/** The definition whose result is `output`: all ops it needs, inputs first, and the terminal op. */
export function definition(output: Output): Definition {
  const ordered = new Map<string, EncodedOp>();
  const visit = (op: EncodedOp): void => {
    if (ordered.has(op.digest)) return;
    for (const input of op.inputs) visit(input);
    ordered.set(op.digest, op);
  };
  visit(output.op);
  const terminal = Op.encode(
    Op.fromPartial({ inputs: [{ digest: output.op.digest, index: BigInt(output.index) }] }),
  ).finish();
  const metadata: Record<string, OpMetadata> = {};
  for (const op of [...ordered.values()].sort((a, b) => compareText(a.digest, b.digest))) {
    metadata[op.digest] = {
      ignoreCache: false,
      description: { 'llb.customname': op.name },
      caps: op.capability === undefined ? {} : { [op.capability]: true },
    };
  }
  metadata[digestOf(terminal)] = { ignoreCache: false, description: {}, caps: {} };
  return Definition.fromPartial({
    def: [...[...ordered.values()].map((op) => Buffer.from(op.bytes)), Buffer.from(terminal)],
    metadata,
  });
}

interface Encodable {
  readonly name: string;
  readonly inputs: readonly Output[];
  /** Id of the feature that a daemon may lack; stands in the metadata, so it does not change the digest. */
  readonly capability?: string;
  readonly op: Parameters<typeof Op.fromPartial>[0];
}

function encode(options: Encodable): Output {
  const op = Op.fromPartial({
    ...options.op,
    inputs: options.inputs.map((input) => ({ digest: input.op.digest, index: BigInt(input.index) })),
  });
  const bytes = Op.encode(op).finish();
  return {
    op: {
      digest: digestOf(bytes),
      bytes,
      inputs: [...new Set(options.inputs.map((input) => input.op))],
      name: options.name,
      capability: options.capability,
    },
    index: 0,
  };
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function sortedMap(map: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => compareText(a, b)));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function bug(message: string): PipelineError {
  return new PipelineError({ code: 'internal', kind: 'bug', message });
}
