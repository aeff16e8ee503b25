/** The border between gRPC's errors and ours. Kinds come from status codes and typed details, never from texts. */
import { type ServiceError, status } from '@grpc/grpc-js';
import { type ErrorCode, type ErrorKind, PipelineError } from '../../shared/errors.ts';
import { Status } from './gen/status.ts';

/** What a failed solve says about the step that failed. */
export interface FailedVertex {
  /** Digests of the ops BuildKit blames; one of them is in the graph that was sent. */
  readonly digests: readonly string[];
  /** Exit code of the process, where one ran. */
  readonly exitCode: number | undefined;
}

/** Type URLs of the details BuildKit attaches; their value is JSON text. */
const VERTEX_DETAIL = 'github.com/moby/buildkit/errdefs.Vertex+json';
const EXIT_DETAIL = 'github.com/moby/buildkit/gatewayapi.ExitMessage+json';

/** Reads BuildKit's typed details from a failed Solve. */
export function failedVertex(error: ServiceError): FailedVertex {
  const digests: string[] = [];
  let exitCode: number | undefined;
  for (const value of error.metadata.get('grpc-status-details-bin')) {
    if (typeof value === 'string') continue;
    for (const detail of Status.decode(value).details) {
      const json = parseJson(detail.value.toString());
      if (detail.typeUrl === VERTEX_DETAIL && typeof json['digest'] === 'string')
        digests.push(json['digest']);
      if (detail.typeUrl === EXIT_DETAIL && typeof json['Code'] === 'number') exitCode = json['Code'];
    }
  }
  return { digests, exitCode };
}

const BY_STATUS: ReadonlyMap<number, readonly [ErrorCode, ErrorKind]> = new Map([
  [status.CANCELLED, ['cancelled', 'cancelled'] as const],
  [status.DEADLINE_EXCEEDED, ['backend-unreachable', 'infra'] as const],
  [status.UNAVAILABLE, ['backend-unreachable', 'infra'] as const],
  [status.RESOURCE_EXHAUSTED, ['buildkit-failed', 'infra'] as const],
  [status.UNIMPLEMENTED, ['backend-lacks-feature', 'infra'] as const],
]);

/** A gRPC failure as ours: infrastructure unless the caller knows better. */
export function fromGrpcError(error: ServiceError, what: string): PipelineError {
  const [code, kind] = BY_STATUS.get(error.code) ?? (['buildkit-failed', 'infra'] as const);
  return new PipelineError({
    code,
    kind,
    message: `${what}: ${error.details || error.message}`,
    cause: error,
  });
}

function parseJson(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
