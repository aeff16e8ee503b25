import assert from 'node:assert/strict';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createIndexCache, type Repository } from '../../../runner/environment/repository.ts';
import {
  type FetchLimits,
  type FetchOptions,
  fetchFrom,
  MAX_TRIES,
} from '../../../runner/environment/repository-fetch.ts';
import type { SigningKey } from '../../../shared/apk/keys.ts';
import { PipelineError } from '../../../shared/errors.ts';
import {
  configured,
  INDEX,
  newKey,
  ringOf,
  SHORT,
  type SmallRepository,
  serving,
  smallRepository,
  startServer,
  type TestServer,
} from './repository-fixture.ts';

const FILE = '/x86_64/large';
const CONTENT: Buffer = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 251));
const HALF = CONTENT.length / 2;

describe('a repository that fails for a moment', () => {
  let key: SigningKey;
  let small: SmallRepository;
  let newer: SmallRepository;
  let server: TestServer;
  let requests: IncomingMessage[];
  /** Resolves when a reader has some of a body. */
  let received: PromiseWithResolvers<void>;

  before(async () => {
    key = await newKey('test.rsa');
    [small, newer] = await Promise.all([smallRepository(key), smallRepository(key, '2.0-r0')]);
    server = await startServer(serving({}));
  });
  after(() => server[Symbol.asyncDispose]());
  beforeEach(() => {
    requests = [];
    received = Promise.withResolvers();
    server.asked.length = 0;
  });

  /** The first requests are answered so, one after the other, all others like the last one. */
  const answering = (...answers: readonly RequestListener[]): void => {
    server.answer = (request, response) => {
      requests.push(request);
      (answers[requests.length - 1] ?? answers.at(-1))?.(request, response);
    };
  };
  const status = (code: number, headers: Record<string, string> = {}): RequestListener => {
    return (_request, response) => response.writeHead(code, headers).end('no');
  };
  /** The whole content is announced, and only so much of it comes. */
  const cutAtOnce = (
    bytes: number,
    headers: Record<string, string> = {},
    content = CONTENT,
  ): RequestListener => {
    return (_request, response) => {
      response.writeHead(200, { 'content-length': content.length, ...headers });
      response.flushHeaders();
      response.write(content.subarray(0, bytes), () => response.socket?.end());
    };
  };
  /** The same, but not before the reader has some of it: a break may overtake what came before it. */
  const cut = (bytes: number, headers: Record<string, string> = {}): RequestListener => {
    return (_request, response) => {
      response.writeHead(200, { 'content-length': CONTENT.length, ...headers });
      response.write(CONTENT.subarray(0, bytes));
      void received.promise.then(() => response.socket?.end());
    };
  };
  const whole = (headers: Record<string, string> = {}, content = CONTENT): RequestListener => {
    return (_request, response) => response.writeHead(200, headers).end(content);
  };
  const rest = (headers: Record<string, string>, range?: string): RequestListener => {
    return (request, response: ServerResponse) => {
      const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1]);
      const content = CONTENT.subarray(start);
      const contentRange = range ?? `bytes ${start}-${CONTENT.length - 1}/${CONTENT.length}`;
      response.writeHead(206, { 'content-range': contentRange, ...headers }).end(content);
    };
  };

  const repository = (): Repository => configured(server.url, ringOf(key));
  const fetched = (options: Partial<FetchOptions<Buffer>> = {}): Promise<Buffer> =>
    fetchFrom(repository(), `${server.url}${FILE}`, {
      limits: SHORT,
      read: async (answer) => {
        if (answer.status !== 200) return Buffer.from(`status ${answer.status}`);
        return collected(answer.body);
      },
      ...options,
    });
  const collected = async (body: AsyncIterable<Uint8Array>): Promise<Buffer> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of body) {
      pieces.push(piece);
      received.resolve();
    }
    return Buffer.concat(pieces);
  };
  const failure = async (work: Promise<unknown>): Promise<PipelineError> => {
    const thrown: unknown = await work.then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(thrown instanceof PipelineError, String(thrown));
    return thrown;
  };
  const versions = async (): Promise<string[]> => {
    const signal = new AbortController().signal;
    const { entries } = await createIndexCache(SHORT).read(repository(), 'x86_64', signal);
    return entries.map((entry) => entry.version);
  };

  for (const code of [429, 500, 502, 503, 504]) {
    test(`is asked again after it answered ${code}`, async () => {
      answering(status(code), whole());
      assert.deepEqual(await fetched(), CONTENT);
      assert.equal(requests.length, 2);
    });
  }

  for (const code of [400, 401, 403, 404, 410, 501]) {
    test(`is not asked again after it answered ${code}`, async () => {
      answering(status(code), whole());
      assert.equal((await fetched()).toString(), `status ${code}`);
      assert.equal(requests.length, 1);
    });
  }

  test('is asked three times and no more, and its last answer counts', async () => {
    answering(status(503), status(429), status(500), whole());
    assert.equal((await fetched()).toString(), 'status 500');
    assert.equal(requests.length, MAX_TRIES);
  });

  test('is asked again after it cut the connection before it answered', async () => {
    answering((_request, response) => response.destroy(), whole());
    assert.deepEqual(await fetched(), CONTENT);
    assert.equal(requests.length, 2);
  });

  test('is waited for as long as it asks, within the limits', async () => {
    answering(status(503, { 'retry-after': '1' }), whole());
    const startedMs = performance.now();
    const limits: FetchLimits = { idleMs: 5_000, totalMs: 20_000, pauseMs: 1 };
    assert.deepEqual(await fetched({ limits }), CONTENT);
    assert.ok(performance.now() - startedMs >= 990);
  });

  test('is not asked again when it asks for a longer pause than anyone would wait', async () => {
    answering(status(503, { 'retry-after': '3600' }), whole());
    assert.equal((await fetched()).toString(), 'status 503');
    assert.equal(requests.length, 1);
  });

  test('is left at once when the work is cancelled during a pause', async () => {
    const stop = new AbortController();
    const reason = new PipelineError({ code: 'shutting-down', kind: 'cancelled', message: 'stopped' });
    // The reason comes when the answer is out and the pause is all there is to wait for.
    answering((_request, response) => {
      response.writeHead(503).end(() => setImmediate(() => stop.abort(reason)));
    });
    const limits: FetchLimits = { idleMs: 600_000, totalMs: 600_000, pauseMs: 600_000 };
    await assert.rejects(fetched({ limits, signal: stop.signal }), reason);
    assert.equal(requests.length, 1);
  });

  test('is given up in a pause when the limit for all is reached', async () => {
    answering(status(503));
    const limits: FetchLimits = { idleMs: 600_000, totalMs: 50, pauseMs: 600_000 };
    const error = await failure(fetched({ limits }));
    assert.deepEqual([error.code, error.kind], ['repository-unavailable', 'infra']);
    assert.match(error.message, /it took longer than 50 ms/);
  });

  test('is asked for its credentials anew with each try', async () => {
    let asked = 0;
    const authorization = async (): Promise<string> => {
      asked += 1;
      return `Bearer token-number-${asked}`;
    };
    answering(status(503), cut(HALF, { etag: '"1"' }), rest({ etag: '"1"' }));
    const read: FetchOptions<Buffer>['read'] = ({ body }) => collected(body);
    const from = { ...repository(), authorization };
    await fetchFrom(from, `${server.url}${FILE}`, { limits: SHORT, read });
    assert.deepEqual(
      requests.map((request) => request.headers.authorization),
      ['Bearer token-number-1', 'Bearer token-number-2', 'Bearer token-number-3'],
    );
  });

  describe('and breaks off inside a file', () => {
    test('is asked for the rest alone where its ETag tells that the file is the same', async () => {
      answering(cut(HALF, { etag: '"1"' }), rest({ etag: '"1"' }));
      assert.deepEqual(await fetched(), CONTENT);
      const [, second] = requests;
      const start = Number(/^bytes=(\d+)-$/.exec(second?.headers.range ?? '')?.[1]);
      assert.ok(start > 0 && start <= HALF, second?.headers.range);
      assert.equal(second?.headers['if-range'], '"1"');
      assert.equal(requests.length, 2);
    });

    test('may break off a second time, and not a third', async () => {
      const short = (request: IncomingMessage, response: ServerResponse): void => {
        const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1]);
        const content = CONTENT.subarray(start);
        const range = `bytes ${start}-${CONTENT.length - 1}/${CONTENT.length}`;
        response.writeHead(206, { 'content-range': range, 'content-length': content.length, etag: '"1"' });
        response.write(content.subarray(0, 1000), () => response.socket?.end());
      };
      answering(cut(HALF, { etag: '"1"' }), short, rest({ etag: '"1"' }));
      assert.deepEqual(await fetched(), CONTENT);
      requests = [];
      received = Promise.withResolvers();
      answering(cut(HALF, { etag: '"1"' }), short);
      const error = await failure(fetched());
      assert.deepEqual([error.code, error.kind], ['repository-unavailable', 'infra']);
      assert.equal(requests.length, MAX_TRIES);
    });

    test('is read past what is known where it sends the same file as a whole', async () => {
      answering(cut(HALF, { etag: '"1"' }), whole({ etag: '"1"' }));
      assert.deepEqual(await fetched(), CONTENT);
      assert.equal(requests.length, 2);
    });

    const useless: readonly (readonly [what: string, first: RequestListener, second: RequestListener])[] = [
      ['has another file by then', cut(HALF, { etag: '"1"' }), whole({ etag: '"2"' })],
      ['ignores that the file has changed', cut(HALF, { etag: '"1"' }), rest({ etag: '"2"' })],
      ['sends another range', cut(HALF, { etag: '"1"' }), rest({ etag: '"1"' }, 'bytes 7-99999/100000')],
      [
        'sends a part of the rest',
        cut(HALF, { etag: '"1"' }),
        rest({ etag: '"1"' }, 'bytes 50000-50001/100000'),
      ],
      ['has no such range', cut(HALF, { etag: '"1"' }), status(416)],
    ];
    for (const [what, first, second] of useless) {
      test(`and ${what} is unavailable`, async () => {
        answering(first, second);
        const error = await failure(fetched());
        assert.deepEqual([error.code, error.kind], ['repository-unavailable', 'infra']);
        assert.equal(requests.length, 2);
      });
    }

    for (const headers of [{}, { etag: 'W/"1"' }, { 'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }]) {
      test(`is unavailable where it gives ${JSON.stringify(headers)} to know the file by`, async () => {
        answering(cut(HALF, headers), whole(headers));
        const error = await failure(fetched());
        assert.equal(error.code, 'repository-unavailable');
        assert.equal(requests.length, 1);
      });
    }

    test('is not read again for what the reader makes of a body that was resumed', async () => {
      let readings = 0;
      answering(cut(HALF, { etag: '"1"' }), rest({ etag: '"1"' }));
      const read: FetchOptions<void>['read'] = async ({ body }) => {
        readings += 1;
        await collected(body);
        throw new PipelineError({ code: 'index-signature', kind: 'infra', message: 'not signed' });
      };
      const options = { limits: SHORT, whenBroken: 'read-again', read } as const;
      await assert.rejects(fetchFrom(repository(), `${server.url}${FILE}`, options), {
        code: 'index-signature',
      });
      assert.equal(readings, 1);
    });

    test('begins anew where nothing of the file had come', async () => {
      answering(cutAtOnce(0), whole());
      assert.deepEqual(await fetched(), CONTENT);
      assert.equal(requests.length, 2);
      assert.equal(requests[1]?.headers.range, undefined);
    });

    test('is asked for its index from the beginning where nothing else helps', async () => {
      const index = small.index;
      answering(cutAtOnce(index.length / 2, {}, index), whole({}, index));
      assert.deepEqual(await versions(), ['1.0-r0']);
      requests = [];
      answering(cutAtOnce(index.length / 2, { etag: '"1"' }, index), whole({ etag: '"2"' }, newer.index));
      // The second answer is of another file and of no use to the first reading; the third is read as a whole.
      assert.deepEqual(await versions(), ['2.0-r0']);
      assert.equal(requests.length, MAX_TRIES);
      assert.ok(server.asked.every((path) => path === INDEX));
    });
  });
});
