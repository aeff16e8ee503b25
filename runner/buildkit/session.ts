/**
 * A BuildKit session: services of ours that the daemon calls while it solves. The daemon opens HTTP/2 inside a byte
 * stream that we open (`Control.Session`), with the roles reversed: there we are the server.
 */
import { randomUUID } from 'node:crypto';
import { Duplex } from 'node:stream';
import {
  type ClientDuplexStream,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { asPipelineError, type PipelineError } from '../../shared/errors.ts';
import type { BuildkitConnection } from './connection.ts';
import type { BytesMessage } from './gen/control.ts';
import { HealthService, ServingStatus } from './gen/health.ts';
import { SecretsService } from './gen/secrets.ts';
import { FileSendService } from './gen/session.ts';
import { UploadService } from './gen/upload.ts';

export interface SessionServices {
  /** Takes the exported tar. Its promise settles before the export counts as done. */
  readonly receiveTar?: (chunks: AsyncIterable<Buffer>) => Promise<void>;
  /** Bodies of `http://buildkit-session/<id>` sources, by id. */
  readonly uploads?: ReadonlyMap<string, () => AsyncIterable<Uint8Array>>;
  /** Values of secrets, by id; asked when a step or a source needs them. */
  readonly secret?: (id: string) => Promise<Uint8Array | undefined>;
  /** Told when a service fails: there is no use in going on with the solve. */
  readonly onFailure?: (error: PipelineError) => void;
}

export interface Session extends AsyncDisposable {
  readonly id: string;
  /** What went wrong inside a service, which BuildKit reports only as a failed export or source. */
  failure(): PipelineError | undefined;
}

/** Chunks sent to the daemon stay below its 4 MiB message limit. */
const MAX_CHUNK_BYTES = 1024 * 1024;

/** Opens a session on the daemon. It ends when disposed, or with the connection. */
export function openSession(connection: BuildkitConnection, services: SessionServices): Session {
  const id = randomUUID();
  let failed: PipelineError | undefined;
  const fail = (error: unknown): PipelineError => {
    failed ??= asPipelineError(error);
    services.onFailure?.(failed);
    return failed;
  };

  const server = new Server({
    'grpc.max_receive_message_length': 32 * 1024 * 1024,
    'grpc-node.flow_control_window': 8 * 1024 * 1024,
  });
  server.addService(HealthService, {
    check: (
      _call: ServerUnaryCall<unknown, unknown>,
      answer: sendUnaryData<{ status: ServingStatus }>,
    ): void => {
      answer(null, { status: ServingStatus.SERVING });
    },
  });
  server.addService(FileSendService, {
    diffCopy: (call: ServerDuplexStream<{ data: Buffer }, { data: Buffer }>): void => {
      const receive = services.receiveTar ?? drain;
      receive(messageData(call)).then(
        () => call.end(),
        (error: unknown) => call.emit('error', statusError(status.ABORTED, fail(error).message)),
      );
    },
  });
  server.addService(UploadService, {
    pull: (call: ServerDuplexStream<{ data: Buffer }, { data: Buffer }>): void => {
      const path = String(call.metadata.get('urlpath')[0] ?? '').replace(/^\//, '');
      const open = services.uploads?.get(path);
      if (open === undefined) {
        call.emit('error', statusError(status.NOT_FOUND, `no upload ${path}`));
        return;
      }
      call.resume();
      const sent = connection.upload(async () => {
        if (!call.cancelled) await send(call, open());
      });
      sent.then(
        () => call.end(),
        (error: unknown) => call.emit('error', statusError(status.ABORTED, fail(error).message)),
      );
    },
  });
  server.addService(SecretsService, {
    getSecret: (
      call: ServerUnaryCall<{ id: string }, unknown>,
      answer: sendUnaryData<{ data: Buffer }>,
    ): void => {
      const found = services.secret?.(call.request.id) ?? Promise.resolve(undefined);
      found.then(
        (value) => {
          if (value === undefined) answer({ code: status.NOT_FOUND, details: 'no such secret' });
          else answer(null, { data: Buffer.from(value) });
        },
        (error: unknown) => answer({ code: status.ABORTED, details: fail(error).message }),
      );
    },
  });

  const metadata = new Metadata();
  metadata.set('x-docker-expose-session-uuid', id);
  metadata.set('x-docker-expose-session-name', 'carryall');
  metadata.set('x-docker-expose-session-sharedkey', '');
  for (const method of [
    '/grpc.health.v1.Health/Check',
    '/moby.filesync.v1.FileSend/DiffCopy',
    '/moby.upload.v1.Upload/Pull',
    '/moby.buildkit.secrets.v1.Secrets/GetSecret',
  ]) {
    metadata.add('x-docker-expose-session-grpc-method', method);
  }
  const call = connection.control.session(metadata);
  const tunnel = tunnelOf(call);
  server.createConnectionInjector(ServerCredentials.createInsecure()).injectConnection(tunnel);

  return {
    id,
    failure: () => failed,
    async [Symbol.asyncDispose]() {
      call.end();
      server.forceShutdown();
      tunnel.destroy();
    },
  };
}

/** The session's bytes as a socket for the inner HTTP/2 server. */
function tunnelOf(call: ClientDuplexStream<BytesMessage, BytesMessage>): Duplex {
  const tunnel = new Duplex({
    read: () => {
      call.resume();
    },
    write: (chunk: Buffer, _encoding, done) => {
      call.write({ data: chunk }, done);
    },
    final: (done) => {
      call.end();
      done();
    },
    destroy: (error, done) => {
      call.cancel();
      done(error);
    },
  });
  call.on('data', (message: BytesMessage) => {
    if (!tunnel.push(message.data)) call.pause();
  });
  call.on('end', () => tunnel.push(null));
  // A lost connection also fails the Solve call, where it is reported.
  call.on('error', () => tunnel.destroy());
  tunnel.on('error', () => undefined);
  const socketMethods = {
    setTimeout: () => tunnel,
    setNoDelay: () => tunnel,
    setKeepAlive: () => tunnel,
    ref: () => tunnel,
    unref: () => tunnel,
  };
  return Object.assign(tunnel, socketMethods);
}

async function* messageData(call: AsyncIterable<{ data: Buffer }>): AsyncGenerator<Buffer> {
  for await (const message of call) yield message.data;
}

async function drain(chunks: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of chunks) {
    // Not asked for: thrown away.
  }
}

async function send(
  call: ServerDuplexStream<{ data: Buffer }, { data: Buffer }>,
  source: AsyncIterable<Uint8Array>,
): Promise<void> {
  for await (const piece of source) {
    for (let start = 0; start < piece.length; start += MAX_CHUNK_BYTES) {
      const part = piece.subarray(start, start + MAX_CHUNK_BYTES);
      const data = Buffer.from(part.buffer, part.byteOffset, part.length);
      if (call.write({ data })) continue;
      const { promise, resolve } = Promise.withResolvers<void>();
      call.once('drain', resolve);
      call.once('close', resolve);
      await promise;
      if (call.cancelled) return;
    }
  }
}

function statusError(code: status, details: string): Error {
  return Object.assign(new Error(details), { code, details });
}
