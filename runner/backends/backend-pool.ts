/** The BuildKit daemons this runner may use: which one a job gets, and which ones are left alone for a while. */

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ARCHITECTURE_NAMES, type Architecture } from '../../shared/build-file/architecture.ts';
import { type BuildkitConnection, connectBuildkit } from '../buildkit/connection.ts';

export interface BackendConfig {
  readonly addr: string;
  readonly arch: Architecture;
  readonly labels: Readonly<Record<string, string>>;
  /** Jobs at the same time. */
  readonly maxJobs: number;
}

export interface BackendStatus extends BackendConfig {
  readonly activeJobs: number;
  readonly failures: number;
  readonly circuitOpen: boolean;
  /** RFC 3339, or null. */
  readonly lastFailure: string | null;
}

export interface SlotRequest {
  readonly arch: Architecture;
  readonly selector: Readonly<Record<string, string>>;
  /** Address of the backend that failed this job last: taken only if no other is in order. */
  readonly avoid: string | null;
  /** Jobs of one package go to one backend, whose cache knows them. */
  readonly affinity: string;
  /** How long to wait for a free slot. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

export interface Slot {
  readonly address: string;
  readonly connection: BuildkitConnection;
  /** Gives the slot back. Only infrastructure failures count against the backend. */
  release(outcome: 'ok' | 'infrastructure-failure'): void;
}

export interface BackendPool extends AsyncDisposable {
  /** A slot, or undefined where none is free within the time, or before the signal. */
  acquire(request: SlotRequest): Promise<Slot | undefined>;
  /** Whether any backend could ever take such a job. */
  serves(arch: Architecture, selector: Readonly<Record<string, string>>): boolean;
  architectures(): readonly Architecture[];
  status(): readonly BackendStatus[];
  /** Calls back whenever a slot becomes free. */
  onFree(listener: () => void): void;
}

interface Backend {
  readonly config: BackendConfig;
  readonly connection: BuildkitConnection;
  active: number;
  /** Infrastructure failures since the last success. */
  failures: number;
  lastFailureMs: number | undefined;
  /** A backend that failed is asked for its health before it gets a job. */
  suspect: boolean;
  probing: boolean;
}

/** Failures in a row after which a backend is left alone, and for how long. */
const CIRCUIT_FAILURES = 3;
const CIRCUIT_OPEN_MS = 15_000;
const PROBE_TIMEOUT_MS = 2_000;
/** How often a waiting job looks for a backend that has come back. */
const POLL_MS = 250;

export async function createBackendPool(configs: readonly BackendConfig[]): Promise<BackendPool> {
  const backends: Backend[] = [];
  for (const config of configs) {
    const connection = await connectBuildkit(config.addr);
    backends.push({
      config,
      connection,
      active: 0,
      failures: 0,
      lastFailureMs: undefined,
      suspect: false,
      probing: false,
    });
  }
  const listeners: (() => void)[] = [];

  const circuitOpen = (backend: Backend): boolean =>
    backend.failures >= CIRCUIT_FAILURES &&
    backend.lastFailureMs !== undefined &&
    Date.now() - backend.lastFailureMs < CIRCUIT_OPEN_MS;

  const candidates = (request: SlotRequest): Backend[] => {
    const fitting = backends.filter((one) => fits(one.config, request));
    const isOther = (one: Backend): boolean => one.config.addr !== request.avoid;
    // Another one that is only busy is waited for; one that is away itself may never come.
    const wait = fitting.some((one) => isOther(one) && !one.suspect && !circuitOpen(one));
    return fitting
      .filter(
        (one) =>
          (isOther(one) || !wait) &&
          !one.probing &&
          !circuitOpen(one) &&
          // Half open: the first job after the pause goes alone.
          one.active < (one.failures >= CIRCUIT_FAILURES ? 1 : one.config.maxJobs),
      )
      .sort((a, b) => weight(b.config.addr, request.affinity) - weight(a.config.addr, request.affinity))
      .sort((a, b) => Number(isOther(b)) - Number(isOther(a)));
  };

  const take = async (request: SlotRequest): Promise<Slot | undefined> => {
    for (const backend of candidates(request)) {
      if (backend.suspect && !(await probe(backend))) continue;
      if (backend.active >= backend.config.maxJobs) continue;
      backend.active += 1;
      return slotOf(backend);
    }
    return undefined;
  };

  const probe = async (backend: Backend): Promise<boolean> => {
    backend.probing = true;
    try {
      await backend.connection.workers(PROBE_TIMEOUT_MS);
      backend.suspect = false;
      return true;
    } catch {
      // The daemon is still away: its own error was reported when it failed a job.
      return false;
    } finally {
      backend.probing = false;
    }
  };

  const slotOf = (backend: Backend): Slot => {
    let held = true;
    return {
      address: backend.config.addr,
      connection: backend.connection,
      release(outcome) {
        if (!held) return;
        held = false;
        backend.active -= 1;
        if (outcome === 'ok') backend.failures = 0;
        else {
          backend.failures += 1;
          backend.lastFailureMs = Date.now();
          backend.suspect = true;
        }
        for (const listener of listeners) listener();
      },
    };
  };

  return {
    async acquire(request) {
      const deadline = Date.now() + request.waitMs;
      for (;;) {
        const slot = request.signal.aborted ? undefined : await take(request);
        if (slot !== undefined || request.signal.aborted || Date.now() >= deadline) return slot;
        await sleep(Math.max(1, Math.min(POLL_MS, deadline - Date.now())));
      }
    },
    serves: (arch, selector) => backends.some((one) => fits(one.config, { arch, selector })),
    architectures: () =>
      ARCHITECTURE_NAMES.filter((arch) => backends.some((one) => one.config.arch === arch)),
    status: () =>
      backends.map((one) => ({
        ...one.config,
        activeJobs: one.active,
        failures: one.failures,
        circuitOpen: circuitOpen(one),
        lastFailure: one.lastFailureMs === undefined ? null : new Date(one.lastFailureMs).toISOString(),
      })),
    onFree: (listener) => void listeners.push(listener),
    async [Symbol.asyncDispose]() {
      for (const backend of backends) await backend.connection[Symbol.asyncDispose]();
    },
  };
}

function fits(config: BackendConfig, request: Pick<SlotRequest, 'arch' | 'selector'>): boolean {
  return (
    config.arch === request.arch &&
    Object.entries(request.selector).every(([label, value]) => config.labels[label] === value)
  );
}

/** Rendezvous hashing: each package has its own order of backends, which changes little when one comes or goes. */
function weight(address: string, affinity: string): number {
  return createHash('sha256').update(`${address}\n${affinity}`).digest().readUInt32BE(0);
}
