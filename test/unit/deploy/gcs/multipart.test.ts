import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { boundaryOf, readMultipart } from '../../../../deploy/local/gcs/multipart.ts';
import { Refusal } from '../../../../deploy/local/gcs/refusal.ts';

describe('the boundary', () => {
  for (const [header, boundary] of [
    ['multipart/related; boundary=0af1-22', '0af1-22'],
    ["multipart/related; boundary='===============123=='", '===============123=='],
    ['multipart/related; type="application/json"; boundary="a b"; x=y', 'a b'],
    ['multipart/related;boundary=a=b', 'a=b'],
  ] as const) {
    test(`of ${header}`, () => assert.equal(boundaryOf(header), boundary));
  }

  test('must be there', () => assert.throws(() => boundaryOf('multipart/related'), Refusal));
});

const BOUNDARY = '=====1==';

/** Content that is full of the bytes a parser trips over. */
const content = fc
  .array(fc.constantFrom('\r', '\n', '-', '--', `--${BOUNDARY}x`, `\n--${BOUNDARY}-`, 'a', '\0', '='), {
    maxLength: 12,
  })
  .map((pieces) => pieces.join(''))
  // A boundary line inside the content is the client's mistake.
  .filter((text) => !/\n--=====1==(--|\r|\n|$)/.test(text))
  .map((text) => Buffer.from(text));

test('the content comes out as it went in, however the body is cut and whichever line end it uses', async () => {
  await fc.assert(
    fc.asyncProperty(
      content,
      fc.constantFrom('\n', '\r\n'),
      fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
      async (bytes, ending, sizes) => {
        const body = multipart(bytes, ending);
        const chunks: Buffer[] = [];
        for (let at = 0; at < body.length; ) {
          const size = sizes.next().value ?? 1;
          chunks.push(body.subarray(at, at + size));
          at += size;
        }
        const parts = await readMultipart(asyncOf(chunks), BOUNDARY);
        assert.deepEqual(JSON.parse(parts.metadata), { name: 'a' });
        assert.equal(parts.contentType, 'text/x-yaml');
        assert.deepEqual(Buffer.concat(await Array.fromAsync(parts.content)), bytes);
      },
    ),
    { numRuns: 500 },
  );
});

test('a body that ends anywhere before its closing boundary is refused', async () => {
  const whole = multipart(Buffer.from('content'), '\r\n');
  const closing = whole.lastIndexOf('--') + 2;
  for (let length = 0; length < closing; length += 1) {
    const read = async (): Promise<void> => {
      const parts = await readMultipart(asyncOf([whole.subarray(0, length)]), BOUNDARY);
      await Array.fromAsync(parts.content);
    };
    await assert.rejects(read, Refusal, `cut after ${length} bytes`);
  }
});

test('a body with one part only is refused', async () => {
  const body = Buffer.from(`--${BOUNDARY}\n\n{}\n--${BOUNDARY}--\n`);
  await assert.rejects(readMultipart(asyncOf([body]), BOUNDARY), Refusal);
});

function multipart(bytes: Buffer, ending: string): Buffer {
  const head = [
    `--${BOUNDARY}`,
    'Content-Type: application/json',
    '',
    '{"name":"a"}',
    `--${BOUNDARY}`,
    'content-type: text/x-yaml',
    'Content-Transfer-Encoding: binary',
    '',
    '',
  ];
  return Buffer.concat([
    Buffer.from(head.join(ending)),
    bytes,
    Buffer.from(`${ending}--${BOUNDARY}--${ending}`),
  ]);
}

async function* asyncOf(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}
