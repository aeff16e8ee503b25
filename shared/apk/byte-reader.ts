/** Takes exact amounts of bytes out of a stream of chunks, for the parsers of binary formats. */

const EMPTY = Buffer.alloc(0);

export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #pending: Buffer = EMPTY;
  #offset = 0;
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** Bytes given out so far: the position in the source of what comes next. */
  get offset(): number {
    return this.#offset;
  }

  /** The next piece, at least 1 and at most `maximum` bytes long; undefined at the end of the source. */
  async takeUpTo(maximum: number): Promise<Buffer | undefined> {
    while (this.#pending.length === 0) {
      if (this.#ended) return undefined;
      const next = await this.#chunks.next();
      if (next.done === true) {
        this.#ended = true;
        return undefined;
      }
      const chunk = next.value;
      this.#pending = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    }
    const piece = this.#pending.subarray(0, maximum);
    this.#pending = this.#pending.subarray(piece.length);
    this.#offset += piece.length;
    return piece;
  }

  /** The next `bytes` bytes in one buffer; fewer only where the source ends before. */
  async take(bytes: number): Promise<Buffer> {
    const first = bytes === 0 ? EMPTY : await this.takeUpTo(bytes);
    if (first === undefined) return EMPTY;
    if (first.length === bytes) return first;
    const pieces = [first];
    for (let left = bytes - first.length; left > 0; ) {
      const piece = await this.takeUpTo(left);
      if (piece === undefined) break;
      pieces.push(piece);
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  /** Passes over `bytes` bytes; gives how many there were. */
  async skip(bytes: number): Promise<number> {
    let skipped = 0;
    while (skipped < bytes) {
      const piece = await this.takeUpTo(bytes - skipped);
      if (piece === undefined) break;
      skipped += piece.length;
    }
    return skipped;
  }

  /** Gives back the end of the piece taken last, to be taken again. */
  putBack(rest: Buffer): void {
    this.#pending = this.#pending.length === 0 ? rest : Buffer.concat([rest, this.#pending]);
    this.#offset -= rest.length;
  }

  /** Tells the source that nothing more will be taken. */
  async close(): Promise<void> {
    this.#pending = EMPTY;
    if (!this.#ended) {
      this.#ended = true;
      await this.#chunks.return?.();
    }
  }
}
