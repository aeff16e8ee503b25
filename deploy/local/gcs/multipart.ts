/**
 * Reads the two parts of a `multipart/related` upload as they arrive: JSON metadata, then the object's bytes.
 *
 * Works on bytes, because clients differ: `gcloud` quotes the boundary in single quotes and separates lines with a
 * bare LF, the Node client uses CRLF. The line end of the first boundary line decides for the whole body, so that
 * content ending in CR keeps it where lines end in LF.
 */
import { Refusal } from './refusal.ts';

export interface MultipartUpload {
  /** Text of the first part. */
  readonly metadata: string;
  /** `Content-Type` header of the second part. */
  readonly contentType: string | undefined;
  /** Bytes of the second part. Ends normally only after the closing boundary was seen; throws `Refusal` 400 else. */
  readonly content: AsyncIterable<Buffer>;
}

const MAX_HEADER_LINE_BYTES = 16 * 1024;
const MAX_METADATA_BYTES = 1024 * 1024;
const LF = 10;
const CR = 13;
const DASH = 45;

/**
 * The boundary named by a `Content-Type` header, without the quotes around it.
 *
 * @throws Refusal 400 where there is none.
 */
export function boundaryOf(contentType: string): string {
  const match = /;\s*boundary=(?:"([^"]+)"|'([^']+)'|([^;\s]+))/i.exec(contentType);
  const boundary = match?.[1] ?? match?.[2] ?? match?.[3];
  if (boundary === undefined) throw new Refusal(400, 'A multipart upload needs a boundary');
  return boundary;
}

/**
 * Reads up to the start of the second part's bytes.
 *
 * @throws Refusal 400 where the body is not two parts between these boundaries.
 */
export async function readMultipart(
  source: AsyncIterable<Buffer>,
  boundary: string,
): Promise<MultipartUpload> {
  const input = openInput(source);
  let line = await input.line();
  while (line.text.trimEnd() !== `--${boundary}`) line = await input.line();
  const delimiter = Buffer.from(`${line.ending}--${boundary}`);

  await readHeaders(input);
  const metadata: Buffer[] = [];
  let metadataBytes = 0;
  for await (const chunk of input.until(delimiter)) {
    metadataBytes += chunk.length;
    if (metadataBytes > MAX_METADATA_BYTES) throw malformed('the metadata part is too large');
    metadata.push(chunk);
  }
  if ((await input.line()).text.startsWith('--')) throw malformed('the second part is missing');
  const headers = await readHeaders(input);
  return {
    metadata: Buffer.concat(metadata).toString('utf8'),
    contentType: headers.get('content-type'),
    content: input.until(delimiter),
  };
}

async function readHeaders(input: Input): Promise<Map<string, string>> {
  const headers = new Map<string, string>();
  for (;;) {
    const { text } = await input.line();
    if (text === '') return headers;
    const colon = text.indexOf(':');
    if (colon > 0) headers.set(text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim());
  }
}

interface Input {
  line(): Promise<{ readonly text: string; readonly ending: '\n' | '\r\n' }>;
  /** The bytes before `delimiter`, which is consumed. */
  until(delimiter: Buffer): AsyncGenerator<Buffer, void, undefined>;
}

/** A cursor over the chunks; holds back no more than an undecided end. */
function openInput(source: AsyncIterable<Buffer>): Input {
  const chunks = source[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const next = await chunks.next();
    if (next.done === true) return false;
    held = held.length === 0 ? next.value : Buffer.concat([held, next.value]);
    return true;
  };

  return {
    async line() {
      for (;;) {
        const end = held.indexOf(LF);
        if (end >= 0) {
          const withReturn = end > 0 && held[end - 1] === CR;
          const text = held.toString('utf8', 0, withReturn ? end - 1 : end);
          held = held.subarray(end + 1);
          return { text, ending: withReturn ? '\r\n' : '\n' };
        }
        if (held.length > MAX_HEADER_LINE_BYTES) throw malformed('a header line is too long');
        if (!(await more())) throw malformed('it ends inside a header');
      }
    },
    async *until(delimiter) {
      for (;;) {
        const at = held.indexOf(delimiter);
        if (at < 0) {
          const sure = held.length - delimiter.length + 1;
          if (sure > 0) {
            const ready = held.subarray(0, sure);
            held = held.subarray(sure);
            yield ready;
          }
          if (!(await more())) throw malformed('the closing boundary is missing');
          continue;
        }
        while (held.length < at + delimiter.length + 2 && (await more()));
        if (endsBoundary(held, at + delimiter.length)) {
          const ready = held.subarray(0, at);
          held = held.subarray(at + delimiter.length);
          if (ready.length > 0) yield ready;
          return;
        }
        if (held.length < at + delimiter.length + 2) throw malformed('the closing boundary is missing');
        const ready = held.subarray(0, at + 1);
        held = held.subarray(at + 1);
        yield ready;
      }
    },
  };
}

/** Whether the bytes after a boundary make it one, not content that only begins like it. */
function endsBoundary(bytes: Buffer, at: number): boolean {
  if (bytes[at] === DASH) return bytes[at + 1] === DASH;
  return bytes[at] === LF || (bytes[at] === CR && bytes[at + 1] === LF);
}

function malformed(what: string): Refusal {
  return new Refusal(400, `Malformed multipart body: ${what}`);
}
