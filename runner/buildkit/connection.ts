/** A gRPC connection to one BuildKit daemon, also to the one inside a Docker Engine. */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, Metadata } from '@grpc/grpc-js';
import pLimit, { type LimitFunction } from 'p-limit';
import { PipelineError } from '../../shared/errors.ts';
import { ControlClient, type WorkerRecord } from './gen/control.ts';
import { fromGrpcError } from './grpc-error.ts';

/** Message size limit for both directions; BuildKit's own is 16 MiB from 0.14 on. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;
/** HTTP/2 window: the default of 64 KiB halves the throughput of a tar export. */
const FLOW_CONTROL_WINDOW_BYTES = 8 * 1024 * 1024;

/** Uploads at the same time: each is copied several times on its way, and builds that begin together all upload. */
const UPLOADS = 8;

export interface BuildkitConnection extends AsyncDisposable {
  readonly address: string;
  readonly control: ControlClient;
  /** Does what sends an upload, when it is its turn. */
  readonly upload: LimitFunction;
  /** Workers of the daemon; also the health probe. `timeoutMs` bounds the wait, default 10 s. */
  workers(timeoutMs?: number): Promise<WorkerRecord[]>;
}

/**
 * Connects to `tcp://host:port`, `unix:///path`, or `docker+unix:///path` (the BuildKit inside a Docker Engine).
 * Nothing is sent before the first call.
 *
 * @throws PipelineError `config-invalid` for another form of address.
 */
export async function connectBuildkit(address: string): Promise<BuildkitConnection> {
  const [, scheme, rest] = /^(tcp|unix|docker\+unix):\/\/(.+)$/.exec(address) ?? [];
  if (scheme === undefined || rest === undefined) {
    throw new PipelineError({
      code: 'config-invalid',
      kind: 'infra',
      message: `"${address}" is no BuildKit address`,
      hint: 'use tcp://host:port, unix:///path/to/socket or docker+unix:///path/to/docker.sock',
    });
  }
  const bridge = scheme === 'docker+unix' ? await bridgeDockerSocket(rest) : undefined;
  const target = scheme === 'tcp' ? rest : `unix:${bridge?.path ?? rest}`;
  const control = new ControlClient(target, credentials.createInsecure(), {
    'grpc.default_authority': 'localhost',
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc-node.flow_control_window': FLOW_CONTROL_WINDOW_BYTES,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2000,
    // One channel per connection: a pooled subchannel would outlive close().
    'grpc.use_local_subchannel_pool': 1,
  });
  return {
    address,
    control,
    upload: pLimit(UPLOADS),
    async workers(timeoutMs = 10_000) {
      const { promise, resolve, reject } = Promise.withResolvers<WorkerRecord[]>();
      control.listWorkers(
        { filter: [] },
        new Metadata(),
        { deadline: Date.now() + timeoutMs },
        (error, response) => {
          if (error !== null) reject(fromGrpcError(error, `BuildKit at ${address}`));
          else resolve(response.record);
        },
      );
      return promise;
    },
    async [Symbol.asyncDispose]() {
      control.close();
      await bridge?.close();
    },
  };
}

interface Bridge {
  readonly path: string;
  close(): Promise<void>;
}

/**
 * A private socket whose connections are upgraded to gRPC on the Docker socket: `POST /grpc` with `Upgrade: h2c`
 * answers 101, after which the daemon starts a plain HTTP/2 connection (Docker Engine's hijacked endpoint). grpc-js has
 * no public way to dial through such an upgrade, so it dials this socket.
 */
async function bridgeDockerSocket(dockerSocket: string): Promise<Bridge> {
  const path = join(tmpdir(), `carryall-${randomUUID().slice(0, 13)}.sock`);
  const open = new Set<Socket>();
  const server: Server = createServer((local) => {
    open.add(local);
    local.once('close', () => open.delete(local));
    local.on('error', () => local.destroy());
    const upgrade = request({
      socketPath: dockerSocket,
      method: 'POST',
      path: '/grpc',
      headers: { Host: 'localhost', Connection: 'Upgrade', Upgrade: 'h2c' },
    });
    upgrade.once('upgrade', (_response, remote, head) => {
      // The daemon's first HTTP/2 frame may come in the packet of the 101 answer.
      if (head.length > 0) remote.unshift(head);
      remote.on('error', () => local.destroy());
      remote.once('close', () => local.destroy());
      local.once('close', () => remote.destroy());
      local.pipe(remote);
      remote.pipe(local);
    });
    upgrade.once('response', () => local.destroy());
    upgrade.once('error', () => local.destroy());
    upgrade.end();
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(path, resolve);
  await promise;
  server.unref();
  return {
    path,
    async close() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      for (const socket of open) socket.destroy();
      await closed.promise;
      await rm(path, { force: true });
    },
  };
}
