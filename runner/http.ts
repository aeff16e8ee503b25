/** The runner's HTTP: health, readiness, metrics, and the state of its backends. */
import { fastify } from 'fastify';
import type { BackendPool } from './backends/backend-pool.ts';
import type { RunnerMetrics } from './metrics.ts';

export interface RunnerHttpOptions {
  readonly host: string;
  readonly port: number;
  readonly pool: BackendPool;
  readonly metrics: RunnerMetrics;
  /** Why the runner takes no work now; undefined when it does. */
  readonly unready: () => string | undefined;
}

export interface RunnerHttp extends AsyncDisposable {
  readonly port: number;
}

/** Starts listening. None of the answers waits for another service. */
export async function startHttp(options: RunnerHttpOptions): Promise<RunnerHttp> {
  const app = fastify({ forceCloseConnections: true });
  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/readyz', (_request, reply) => {
    const reason = options.unready();
    return reason === undefined ? { status: 'ready' } : reply.code(503).send({ status: 'unready', reason });
  });
  app.get('/metrics', async (_request, reply) => {
    const text = await options.metrics.registry.metrics();
    return reply.type(options.metrics.registry.contentType).send(text);
  });
  app.get('/api/v1/backends/status', () => ({ backends: options.pool.status() }));
  await app.listen({ host: options.host, port: options.port });
  const address = app.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    async [Symbol.asyncDispose]() {
      await app.close();
    },
  };
}
