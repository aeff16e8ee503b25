/** Turns BuildKit's progress into the attempt's log, the name of the step that runs, and timings per step. */
import { createFusedReader } from '../buildkit/fused-steps.ts';
import type { GraphStep } from '../buildkit/package-graph.ts';
import type { ProgressEvent } from '../buildkit/progress.ts';

export interface StepTiming {
  readonly name: string;
  readonly package: string;
  readonly ms: number;
  readonly cached: boolean;
  readonly failed: boolean;
}

export interface StepLog {
  readonly read: (event: ProgressEvent) => void;
  /** Step that runs now. */
  readonly current: () => string | undefined;
  readonly timings: () => readonly StepTiming[];
}

interface ExecState {
  readonly steps: readonly GraphStep[];
  readonly output: (bytes: Buffer) => void;
  announced: boolean;
  ended: boolean;
  running: { readonly step: GraphStep; readonly startedMs: number } | undefined;
}

/** Made for one solve. `write` takes the log's text. */
export function createStepLog(
  execs: ReadonlyMap<string, readonly GraphStep[]>,
  write: (text: string | Uint8Array) => void,
): StepLog {
  const states = new Map<string, ExecState>();
  const timings: StepTiming[] = [];
  let current: string | undefined;
  let preparedMs = 0;

  const begin = (state: ExecState, step: GraphStep, atMs: number): void => {
    state.running = { step, startedMs: atMs };
    current = step.name;
    write(`==> ${step.packageName}: ${step.name}\n`);
  };

  const end = (
    state: ExecState,
    outcome: { readonly atMs: number; readonly failed: boolean; readonly cached: boolean },
  ): void => {
    if (state.running === undefined) return;
    const { step, startedMs } = state.running;
    state.running = undefined;
    current = undefined;
    const ms = Math.max(0, Math.round(outcome.atMs - startedMs));
    const { failed, cached } = outcome;
    timings.push({ name: step.name, package: step.packageName, ms, cached, failed });
    const how = failed ? 'FAILED' : cached ? 'cached' : 'done';
    write(`<== ${step.packageName}: ${step.name}: ${how} in ${(ms / 1000).toFixed(1)} s\n`);
  };

  const stateOf = (digest: string): ExecState | undefined => {
    const known = states.get(digest);
    const steps = execs.get(digest);
    if (known !== undefined || steps === undefined) return known;
    const reader = createFusedReader((event) => {
      const step = event.type === 'output' ? undefined : steps[event.step];
      if (event.type === 'output') write(event.bytes);
      else if (step !== undefined && event.type === 'start') begin(state, step, Date.now());
      else if (event.type === 'end')
        end(state, { atMs: Date.now(), failed: event.exitCode !== 0, cached: false });
    });
    const state: ExecState = {
      steps,
      output: steps.length > 1 ? reader : write,
      announced: false,
      ended: false,
      running: undefined,
    };
    states.set(digest, state);
    return state;
  };

  return {
    read(event) {
      const state = stateOf(event.digest);
      if (state === undefined) {
        readPreparation(event);
        return;
      }
      const [only, ...others] = state.steps;
      if (event.type === 'started' && others.length === 0 && only !== undefined && !state.announced) {
        state.announced = true;
        begin(state, only, event.atMs);
      } else if (event.type === 'log') {
        if (event.stream === 'stdout') state.output(event.bytes);
        else write(event.bytes);
      } else if (event.type === 'completed' && !state.ended) {
        state.ended = true;
        const outcome = { atMs: event.atMs, failed: event.error !== '', cached: event.cached };
        if (!event.cached || state.running !== undefined) {
          end(state, outcome);
          return;
        }
        for (const step of state.steps) {
          begin(state, step, event.atMs);
          end(state, outcome);
        }
      }
    },
    current: () => current,
    timings: () => timings,
  };

  /** Vertexes that are no steps: fetching and unpacking packages, merging, exporting. */
  function readPreparation(event: ProgressEvent): void {
    if (event.type === 'log') {
      write(event.bytes);
    } else if (event.type === 'completed' && event.error !== '') {
      write(`<== ${event.name}: ${event.error}\n`);
    } else if (event.type === 'started' && event.atMs - preparedMs > 1000) {
      preparedMs = event.atMs;
      write(`... ${event.name}\n`);
    }
  }
}
