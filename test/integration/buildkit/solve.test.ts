import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { fusedScript } from '../../../runner/buildkit/fused-steps.ts';
import { exec, fileOp, httpSource, merge, type Output } from '../../../runner/buildkit/llb.ts';
import type { ProgressEvent } from '../../../runner/buildkit/progress.ts';
import type { SessionServices } from '../../../runner/buildkit/session.ts';
import { solve } from '../../../runner/buildkit/solve.ts';
import { readTar } from '../../../shared/apk/tar-read.ts';
import { TAR_END, tarHeader, tarPadding } from '../../../shared/apk/tar-write.ts';
import { asPipelineError } from '../../../shared/errors.ts';
import { busyboxRoot, type RealBuildkit, skipReason, startRealBuildkit } from './real-buildkit.ts';

const PATH = '/bin';

describe('solving on a real BuildKit', { skip: skipReason }, () => {
  let buildkit: RealBuildkit;
  let root: Output;

  before(async () => {
    [buildkit, root] = await Promise.all([startRealBuildkit(), busyboxRoot()]);
  });
  after(() => buildkit[Symbol.asyncDispose]());

  const run = async (
    output: Output,
    more: Partial<SessionServices> & { signal?: AbortSignal; entitlements?: string[] } = {},
  ): Promise<{ files: Map<string, string>; events: ProgressEvent[] }> => {
    const files = new Map<string, string>();
    const events: ProgressEvent[] = [];
    const { signal = new AbortController().signal, entitlements = [], ...services } = more;
    await solve({
      connection: buildkit.connection,
      output,
      services: {
        receiveTar: async (chunks) => {
          for await (const entry of readTar(chunks)) {
            const pieces: Buffer[] = [];
            for await (const piece of entry.content) pieces.push(piece);
            files.set(entry.name, Buffer.concat(pieces).toString());
          }
        },
        ...services,
      },
      entitlements,
      onProgress: (event) => events.push(event),
      signal,
    });
    return { files, events };
  };

  const shell = (script: string, more: { network?: 'none' | 'host' } = {}): Output =>
    exec({
      root,
      mounts: [{ dest: '/out', input: 'scratch', keep: 'output' }],
      args: ['/bin/sh', '-c', script],
      env: { PATH },
      cwd: '/',
      network: more.network ?? 'none',
      name: `run ${script.slice(0, 20)}`,
    }).output('/out');

  test('the daemon is known by its worker, which can merge', async () => {
    const [worker] = await buildkit.connection.workers();
    assert.ok(worker !== undefined);
    assert.match(worker.labels['org.mobyproject.buildkit.worker.snapshotter'] ?? '', /overlayfs|native|fuse/);
  });

  test('a step writes into its output mount, which leaves as a tar', async () => {
    const { files, events } = await run(shell('echo hello > /out/greeting; mkdir /out/empty; echo printed'));
    assert.equal(files.get('greeting'), 'hello\n');
    assert.ok(files.has('empty/') || files.has('empty'));
    const printed = events.flatMap((event) => (event.type === 'log' ? [event.bytes.toString()] : []));
    assert.equal(printed.join(''), 'printed\n');
  });

  test('the same work is cached the second time', async () => {
    const output = shell('echo once > /out/f');
    await run(output);
    const { events } = await run(output);
    assert.ok(
      events.some((event) => event.type === 'completed' && event.name.startsWith('run') && event.cached),
    );
  });

  test('a failing step is a user error that names the step and its exit code', async () => {
    await assert.rejects(run(shell('echo why >&2; exit 7')), (thrown) => {
      const error = asPipelineError(thrown);
      assert.equal(error.code, 'build-step-failed');
      assert.equal(error.kind, 'user');
      assert.match(error.message, /run echo why.*exit code 7/);
      return true;
    });
  });

  test('layers merge, and the later one wins', async () => {
    const a = fileOp(
      'scratch',
      [
        { mkfile: '/x', data: Buffer.from('a') },
        { mkfile: '/a', data: Buffer.from('a') },
      ],
      'a',
    );
    const b = fileOp('scratch', [{ mkfile: '/x', data: Buffer.from('b') }], 'b');
    const { files } = await run(merge([a, b], 'a and b'));
    assert.deepEqual([files.get('x'), files.get('a')], ['b', 'a']);
  });

  test('an uploaded tar is unpacked where it is wanted', async () => {
    const content = Buffer.from('source\n');
    const tar = Buffer.concat([
      tarHeader({ name: 'dir', type: 'directory', mode: 0o755, size: 0, mtime: 0 }),
      tarHeader({ name: 'dir/file', type: 'file', mode: 0o644, size: content.length, mtime: 0 }),
      content,
      tarPadding(content.length),
      TAR_END,
    ]);
    const checksum = `sha256:${createHash('sha256').update(tar).digest('hex')}`;
    const source = httpSource({
      url: 'http://buildkit-session/s',
      checksum,
      filename: 's.tar',
      name: 'source',
    });
    const output = fileOp('scratch', [{ unpack: source, from: '/s.tar', to: '/home/' }], 'unpack');
    const uploads = new Map([
      [
        's',
        async function* () {
          yield tar;
        },
      ],
    ]);
    const { files } = await run(output, { uploads });
    assert.equal(files.get('home/dir/file'), 'source\n');
  });

  test('cancelling kills the step that runs, at once', async () => {
    const abort = new AbortController();
    const started = performance.now();
    const running = run(shell('echo started; sleep 300'), { signal: abort.signal });
    setTimeout(() => abort.abort(new Error('enough')), 1500);
    await assert.rejects(running, (thrown) => asPipelineError(thrown).kind === 'cancelled');
    assert.ok(performance.now() - started < 8000);
  });

  test('a tar receiver that fails is the error of the solve', async () => {
    const receiveTar = async (): Promise<void> => {
      throw new Error('disk full');
    };
    await assert.rejects(run(shell('echo x > /out/f'), { receiveTar }), /disk full/);
  });

  test('64 MiB leave the daemon intact', async () => {
    const script = 'head -c 67108864 /dev/zero > /out/big';
    let bytes = 0;
    await run(shell(script), {
      receiveTar: async (chunks) => {
        for await (const chunk of chunks) bytes += chunk.length;
      },
    });
    assert.ok(bytes > 67108864);
  });

  test('host networking needs its entitlement', async () => {
    await assert.rejects(run(shell('echo h > /out/f', { network: 'host' })), /network.host/);
    const { files } = await run(shell('echo h > /out/f', { network: 'host' }), {
      entitlements: ['network.host'],
    });
    assert.equal(files.get('f'), 'h\n');
  });

  test('fused steps run apart and end with the first failure', async () => {
    const step = (
      script: string,
    ): { script: string; workingDirectory: string; environment: Record<string, string> } => ({
      script,
      workingDirectory: '/tmp',
      environment: { NAME: "it's" },
    });
    const script = fusedScript([step('x=1; echo "$NAME" > /out/a'), step('echo "[$x]" > /out/b')], false);
    const { files } = await run(shell(script));
    assert.deepEqual([files.get('a'), files.get('b')], ["it's\n", '[]\n']);
    await assert.rejects(run(shell(fusedScript([step('exit 3'), step('true')], false))), /exit code 3/);
  });

  test('a daemon that is not there is an infrastructure error', async () => {
    const { connectBuildkit } = await import('../../../runner/buildkit/connection.ts');
    await using gone = await connectBuildkit('tcp://127.0.0.1:9');
    await assert.rejects(gone.workers(1000), (thrown) => asPipelineError(thrown).kind === 'infra');
  });
});
