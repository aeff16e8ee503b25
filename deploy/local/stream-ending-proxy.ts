/**
 * Stands before the Pub/Sub emulator and tells it when a client has died. A killed client's kernel closes its
 * connection without a word of HTTP/2, and the emulator then goes on handing messages to the dead client's streams,
 * each of which comes back only after its acknowledgement deadline. This proxy ends those streams.
 */
import { connect, createServer, type Socket } from 'node:net';

export interface StreamEndingProxy {
  close(): Promise<void>;
}

/** Bytes of the client's connection preface, and of a frame's header (RFC 9113, sections 3.4 and 4.1). */
const PREFACE_BYTES = 24;
const HEADER_BYTES = 9;
const TYPE_DATA = 0;
const TYPE_HEADERS = 1;
const TYPE_RST_STREAM = 3;
const FLAG_END_STREAM = 1;
/** What the emulator gets to read before its connection is closed. */
const LINGER_MS = 200;

/** Forwards connections to `port` on the loopback address to `target`. */
export async function startStreamEndingProxy(port: number, target: number): Promise<StreamEndingProxy> {
  const open = new Set<Socket>();
  const server = createServer((near) => forward(near, connect(target, '127.0.0.1'), open));
  const listening = Promise.withResolvers<void>();
  server.once('error', listening.reject);
  server.listen(port, '127.0.0.1', () => listening.resolve());
  await listening.promise;
  return {
    async close() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      for (const socket of open) socket.destroy();
      await closed.promise;
    },
  };
}

function forward(near: Socket, far: Socket, open: Set<Socket>): void {
  const streams = new Set<number>();
  const sent = createFrameReader(PREFACE_BYTES, (frame) => {
    if (frame.type === TYPE_HEADERS) streams.add(frame.stream);
    if (frame.type === TYPE_RST_STREAM) streams.delete(frame.stream);
  });
  const received = createFrameReader(0, (frame) => {
    const carriesEnd = frame.type === TYPE_DATA || frame.type === TYPE_HEADERS;
    const ends = carriesEnd && (frame.flags & FLAG_END_STREAM) !== 0;
    if (ends || frame.type === TYPE_RST_STREAM) streams.delete(frame.stream);
  });
  for (const socket of [near, far]) {
    open.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => open.delete(socket));
  }
  // The emulator speaks HTTP/1 on the same port, where a close says all there is to say.
  let http2: boolean | undefined;
  near.on('data', (chunk) => {
    http2 ??= chunk.subarray(0, 3).toString('latin1') === 'PRI';
    if (http2) sent.read(chunk);
  });
  far.on('data', (chunk) => received.read(chunk));
  near.pipe(far, { end: false });
  far.pipe(near);
  far.once('close', () => near.destroy());
  near.once('close', () => {
    if (far.destroyed) return;
    if (http2 !== true) {
      far.destroy();
      return;
    }
    // A frame that the client did not finish is filled up, so that the ones after it are understood.
    far.write(Buffer.alloc(sent.missing()));
    for (const stream of streams) far.write(halfClose(stream));
    const timer = setTimeout(() => far.destroy(), LINGER_MS);
    timer.unref();
  });
}

interface FrameHeader {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

interface FrameReader {
  read(chunk: Buffer): void;
  /** Bytes until the frame that has begun is complete. */
  missing(): number;
}

/** Reads the headers of the frames in one direction; their content passes by. */
function createFrameReader(prefaceBytes: number, onFrame: (frame: FrameHeader) => void): FrameReader {
  let skip = prefaceBytes;
  let header: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  return {
    read(chunk) {
      for (let at = 0; at < chunk.length; ) {
        const passing = Math.min(skip, chunk.length - at);
        skip -= passing;
        at += passing;
        const wanted = chunk.subarray(at, at + HEADER_BYTES - header.length);
        header = Buffer.concat([header, wanted]);
        at += wanted.length;
        if (header.length < HEADER_BYTES) continue;
        skip = header.readUIntBE(0, 3);
        onFrame({
          type: header.readUInt8(3),
          flags: header.readUInt8(4),
          stream: header.readUInt32BE(5) & 0x7fffffff,
        });
        header = Buffer.alloc(0);
      }
    },
    missing() {
      if (header.length === 0) return skip;
      const filled = Buffer.concat([header, Buffer.alloc(HEADER_BYTES - header.length)]);
      return HEADER_BYTES - header.length + filled.readUIntBE(0, 3);
    },
  };
}

/** An empty DATA frame that ends the client's side of a stream; the emulator pays no heed to RST_STREAM. */
function halfClose(stream: number): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES);
  frame.writeUInt8(TYPE_DATA, 3);
  frame.writeUInt8(FLAG_END_STREAM, 4);
  frame.writeUInt32BE(stream, 5);
  return frame;
}
