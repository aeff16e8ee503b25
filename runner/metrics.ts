/** The runner's metrics, all named here. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorKind } from '../shared/errors.ts';

export interface RunnerMetrics {
  readonly registry: Registry;
  /** `outcome` is `success` or the kind of the error. */
  jobEnded(outcome: 'success' | ErrorKind, seconds: number): void;
  /** Something a dead process had left undone was taken up again. */
  reaped(what: string): void;
  /** Reads a value whenever the metrics are read. */
  gauge(name: string, help: string, read: () => number): void;
}

export function createMetrics(): RunnerMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'carryall_runner_' });
  const attempts = new Histogram({
    name: 'carryall_attempt_seconds',
    help: 'Duration of attempts by how they ended',
    labelNames: ['outcome'],
    buckets: [0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600],
    registers: [registry],
  });
  const reaped = new Counter({
    name: 'carryall_reaped_total',
    help: 'Things that a dead process left undone and the reaper took up',
    labelNames: ['what'],
    registers: [registry],
  });
  return {
    registry,
    jobEnded: (outcome, seconds) => attempts.observe({ outcome }, seconds),
    reaped: (what) => reaped.inc({ what }),
    gauge(name, help, read) {
      new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      });
    },
  };
}
