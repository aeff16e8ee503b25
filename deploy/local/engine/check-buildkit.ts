/** Checks that a BuildKit can do what builds on one machine need, before the first build finds out. */
import { connectBuildkit } from '../../../runner/buildkit/connection.ts';
import { fileOp } from '../../../runner/buildkit/llb.ts';
import { supportsMerge } from '../../../runner/buildkit/merge-support.ts';
import { solve } from '../../../runner/buildkit/solve.ts';
import { asPipelineError, PipelineError } from '../../../shared/errors.ts';

const LIMIT_MS = 30_000;

/**
 * Makes a small layer with leave to use the host's network, and sees whether layers merge: without that, environments
 * are composed the slow way.
 *
 * @throws PipelineError `backend-lacks-feature` (`infra`) with what BuildKit said.
 */
export async function checkBuildkit(address: string): Promise<{ readonly merges: boolean }> {
  await using connection = await connectBuildkit(address);
  const signal = AbortSignal.timeout(LIMIT_MS);
  try {
    await solve({
      connection,
      output: fileOp('scratch', [{ mkfile: '/checked', data: Buffer.from('checked') }], 'check'),
      services: {},
      entitlements: ['network.host'],
      onProgress: () => undefined,
      signal,
    });
    return { merges: await supportsMerge(connection, signal) };
  } catch (cause) {
    throw new PipelineError({
      code: 'backend-lacks-feature',
      kind: 'infra',
      message: `the BuildKit at ${address} cannot build here: ${asPipelineError(cause).message}`,
      hint: 'it needs the entitlement network.host; MergeOp makes it faster (BuildKit 0.10 or newer; Docker with the containerd image store)',
      cause,
    });
  }
}
