/**
 * Reads BuildKit's progress stream into few events: a step starts, prints, and ends. A vertex may start and complete
 * several times (cache key, run, lazy pull), so its end is only known when the next state of the solve is.
 */
import type { StatusResponse, Vertex } from './gen/control.ts';
import type { Timestamp } from './gen/google/protobuf/timestamp.ts';

export type ProgressEvent =
  | { readonly type: 'started'; readonly digest: string; readonly name: string; readonly atMs: number }
  | {
      readonly type: 'completed';
      readonly digest: string;
      readonly name: string;
      readonly startedMs: number;
      readonly atMs: number;
      readonly cached: boolean;
      /** BuildKit's text, empty on success. */
      readonly error: string;
    }
  | {
      readonly type: 'log';
      readonly digest: string;
      readonly name: string;
      readonly stream: 'stdout' | 'stderr';
      readonly bytes: Buffer;
    };

export interface ProgressReader {
  readonly read: (response: StatusResponse) => void;
  /** Name of the op with this digest, once announced. */
  readonly nameOf: (digest: string) => string | undefined;
  /** Ends what is still open; call when the stream has ended. */
  readonly finish: () => void;
}

interface VertexState {
  readonly name: string;
  startedMs: number | undefined;
  cached: boolean;
  completed: boolean;
}

/** Makes a reader for one solve. Times are the daemon's clock, in milliseconds since 1970. */
export function createProgressReader(emit: (event: ProgressEvent) => void): ProgressReader {
  const vertexes = new Map<string, VertexState>();

  const readVertex = (vertex: Vertex): void => {
    const state = vertexes.get(vertex.digest) ?? {
      name: vertex.name,
      startedMs: undefined,
      cached: false,
      completed: false,
    };
    vertexes.set(vertex.digest, state);
    state.cached ||= vertex.cached;
    if (vertex.started !== undefined && state.startedMs === undefined) {
      state.startedMs = milliseconds(vertex.started);
      emit({ type: 'started', digest: vertex.digest, name: state.name, atMs: state.startedMs });
    }
    if (vertex.completed !== undefined && state.startedMs !== undefined) {
      state.completed = true;
      emit({
        type: 'completed',
        digest: vertex.digest,
        name: state.name,
        startedMs: state.startedMs,
        atMs: milliseconds(vertex.completed),
        cached: state.cached,
        error: vertex.error,
      });
    }
  };

  return {
    read(response) {
      for (const vertex of response.vertexes) readVertex(vertex);
      for (const log of response.logs) {
        emit({
          type: 'log',
          digest: log.vertex,
          name: vertexes.get(log.vertex)?.name ?? '',
          stream: log.stream === 2n ? 'stderr' : 'stdout',
          bytes: log.msg,
        });
      }
    },
    nameOf: (digest) => vertexes.get(digest)?.name,
    finish() {
      for (const [digest, state] of vertexes) {
        if (state.startedMs === undefined || state.completed) continue;
        const atMs = state.startedMs;
        const error = 'ended with the build';
        emit({
          type: 'completed',
          digest,
          name: state.name,
          startedMs: atMs,
          atMs,
          cached: state.cached,
          error,
        });
      }
    },
  };
}

function milliseconds(time: Timestamp): number {
  return Number(time.seconds) * 1000 + time.nanos / 1e6;
}
