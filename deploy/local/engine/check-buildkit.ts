/** Checks that a BuildKit can do what builds on one machine need, before the first build finds out. */
import { connectBuildkit } from '../../../runner/buildkit/connection.ts';
import { fileOp, merge } from '../../../runner/buildkit/llb.ts';
import { solve } from '../../../runner/buildkit/solve.ts';
import { asPipelineError, PipelineError } from '../../../shared/errors.ts';

const LIMIT_MS = 30_000;

/**
 * Merges two small layers, with leave to use the host's network.
 *
 * @throws PipelineError `backend-lacks-feature` (`infra`) with what BuildKit said.
 */
export async function checkBuildkit(address: string): Promise<void> {
  await using connection = await connectBuildkit(address);
  const layer = (name: string) => fileOp('scratch', [{ mkfile: `/${name}`, data: Buffer.from(name) }], name);
  try {
    await solve({
      connection,
      output: merge([layer('a'), layer('b')], 'check that layers merge'),
      services: {},
      entitlements: ['network.host'],
      onProgress: () => undefined,
      signal: AbortSignal.timeout(LIMIT_MS),
    });
  } catch (cause) {
    throw new PipelineError({
      code: 'backend-lacks-feature',
      kind: 'infra',
      message: `the BuildKit at ${address} cannot build here: ${asPipelineError(cause).message}`,
      hint: 'it needs MergeOp (BuildKit 0.10 or newer; Docker with the containerd image store) and the entitlement network.host',
      cause,
    });
  }
}
