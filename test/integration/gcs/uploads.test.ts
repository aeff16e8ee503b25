/** Uploads as bytes on a socket: what no client library lets a test do. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Answer, call, eventually, startEndpoint, temporaryFolder } from './local-endpoint.ts';

const folder = await temporaryFolder();
const endpoint = await startEndpoint({ folder });
const uploadUrl = `${endpoint.url}/upload/storage/v1/b/specs/o`;

describe('multipart bodies', () => {
  const boundary = '===============123==';
  for (const content of [
    '',
    'a',
    'ends in LF\n',
    'ends in CRLF\r\n',
    'ends in CR\r',
    '\r\n',
    `--${boundary}`,
  ]) {
    for (const ending of ['\n', '\r\n']) {
      test(`${JSON.stringify(content)} in lines that end in ${JSON.stringify(ending)}`, async () => {
        const name = `multipart-${createHash('md5')
          .update(content + ending)
          .digest('hex')}`;
        const lines = [
          `--${boundary}`,
          'Content-Type: application/json',
          'MIME-Version: 1.0',
          '',
          JSON.stringify({ bucket: 'specs', name, metadata: { arch: 'x86_64' } }),
          `--${boundary}`,
          'Content-Type: text/x-test',
          'MIME-Version: 1.0',
          'Content-Transfer-Encoding: binary',
          '',
          content,
          `--${boundary}--`,
        ];
        const body = lines.join(ending);
        const answer = await sendRaw(
          [
            'POST /upload/storage/v1/b/specs/o?alt=json&uploadType=multipart HTTP/1.1',
            'Host: endpoint',
            'Connection: close',
            `Content-Type: multipart/related; boundary='${boundary}'`,
            `Content-Length: ${body.length}`,
            '',
            body,
          ].join('\r\n'),
        );
        assert.match(answer, /^HTTP\/1\.1 200 /);
        const read = await download(name);
        assert.equal(read.body.toString(), content);
        assert.equal(read.headers['content-type'], 'text/x-test');
      });
    }
  }

  test('a transfer that breaks off leaves no object and no file', async () => {
    const before = (await readdir(join(folder, 'content'))).length;
    const body = `--b\r\n\r\n{"name":"broken"}\r\n--b\r\n\r\n${'x'.repeat(1000)}`;
    const socket = connect(endpoint.port, '127.0.0.1');
    socket.write(
      `POST /upload/storage/v1/b/specs/o?uploadType=multipart HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/related; boundary=b\r\nContent-Length: 99999\r\n\r\n${body}`,
    );
    await eventually(async () => (await readdir(join(folder, 'content'))).length > before);
    socket.destroy();
    await eventually(async () => (await readdir(join(folder, 'content'))).length === before);
    assert.equal((await download('broken')).status, 404);
  });

  test('checksums in the resource, and in a header, are checked', async () => {
    const wrong = Buffer.alloc(16).toString('base64');
    for (const [resource, headers] of [
      [{ md5Hash: wrong }, {}],
      [{ crc32c: 'AAAAAA==' }, {}],
      [{}, { 'X-Goog-Hash': `md5=${wrong}` }],
      [{}, { 'X-Goog-Hash': 'crc32c=AAAAAA==' }],
    ] as const) {
      const answer = await call(`${uploadUrl}?uploadType=multipart`, {
        method: 'POST',
        headers: { ...headers, 'Content-Type': 'multipart/related; boundary=b' },
        body: `--b\n\n${JSON.stringify({ name: 'hashed', ...resource })}\n--b\n\ncontent\n--b--`,
      });
      assert.equal(answer.status, 400);
    }
    const md5 = createHash('md5').update('content').digest('base64');
    const good = await call(`${uploadUrl}?uploadType=media&name=hashed`, {
      method: 'POST',
      headers: { 'Content-MD5': md5 },
      body: 'content',
    });
    assert.equal(good.status, 200);
    assert.equal(JSON.parse(good.body.toString()).md5Hash, md5);
  });
});

describe('resumable sessions', () => {
  const content = randomBytes(1_000_000);
  const total = content.length;

  test('bytes arrive in pieces, repeated ones are skipped, and the answer can be asked for again', async () => {
    const url = await open('pieces', { 'X-Upload-Content-Length': String(total) });
    const nothing = await put(url, 'bytes */*');
    assert.equal(nothing.status, 308);
    assert.equal(nothing.headers['range'], undefined);
    const first = await put(url, 'bytes 0-262143/*', content.subarray(0, 262_144));
    assert.equal(first.status, 308);
    assert.equal(first.headers['range'], 'bytes=0-262143');
    const again = await put(url, `bytes 100000-499999/${total}`, content.subarray(100_000, 500_000));
    assert.equal(again.headers['range'], 'bytes=0-499999');
    assert.equal((await put(url, `bytes */${total}`)).headers['range'], 'bytes=0-499999');
    assert.equal((await put(url, 'bytes 600000-600009/*', content.subarray(0, 10))).status, 503);
    assert.equal((await download('pieces')).status, 404);
    const last = await put(url, `bytes 500000-${total - 1}/${total}`, content.subarray(500_000));
    assert.equal(last.status, 200);
    const { generation } = JSON.parse(last.body.toString());
    assert.deepEqual((await download('pieces')).body, content);
    for (const range of ['bytes */*', `bytes */${total}`, `bytes 500000-${total - 1}/${total}`]) {
      const lost = await put(url, range);
      assert.equal(lost.status, 200);
      assert.equal(JSON.parse(lost.body.toString()).generation, generation);
    }
  });

  test('a connection cut on the way keeps the bytes that came, and the rest may follow', async () => {
    const url = new URL(await open('cut'));
    const socket = connect(endpoint.port, '127.0.0.1');
    socket.write(
      `PUT ${url.pathname}${url.search} HTTP/1.1\r\nHost: a\r\nContent-Range: bytes 0-*/*\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    socket.write(`${(300_000).toString(16)}\r\n`);
    socket.write(content.subarray(0, 300_000));
    await eventually(async () => (await put(url.href, 'bytes */*')).headers['range'] === 'bytes=0-299999');
    // The first connection is still open: the newer request takes over.
    const rest = await put(url.href, `bytes 300000-*/*`, content.subarray(300_000));
    assert.equal(rest.status, 200);
    assert.deepEqual((await download('cut')).body, content);
    socket.destroy();
  });

  test('an upload known only by its length ends with a query that names it', async () => {
    const url = await open('named');
    assert.equal((await put(url, 'bytes 0-999/*', content.subarray(0, 1000))).status, 308);
    assert.equal((await put(url, 'bytes */1000')).status, 200);
    const empty = await open('empty');
    assert.equal((await put(empty, 'bytes */0')).status, 200);
    assert.equal((await download('empty')).body.length, 0);
  });

  test('a cancelled session is gone', async () => {
    const url = await open('cancelled');
    await put(url, 'bytes 0-999/*', content.subarray(0, 1000));
    assert.equal((await call(url, { method: 'DELETE' })).status, 499);
    assert.equal((await put(url, 'bytes */*')).status, 404);
    assert.equal((await put(url, 'bytes 1000-1999/2000', content.subarray(0, 1000))).status, 404);
  });

  test('the conditions of the start hold at the finish', async () => {
    const url = await open('conditional', {}, '&ifGenerationMatch=0');
    await call(`${uploadUrl}?uploadType=media&name=conditional`, { method: 'POST', body: 'first' });
    const answer = await put(url, 'bytes 0-*/*', content);
    assert.equal(answer.status, 412);
    assert.equal(JSON.parse(answer.body.toString()).error.errors[0].reason, 'conditionNotMet');
    assert.equal((await download('conditional')).body.toString(), 'first');
  });

  test('a body or size that is not what was announced is refused', async () => {
    const long = await open('long');
    assert.equal((await put(long, 'bytes 0-9/*', content.subarray(0, 11))).status, 400);
    const short = await open('short', { 'X-Upload-Content-Length': '20' });
    assert.equal((await put(short, 'bytes 0-9/10', content.subarray(0, 10))).status, 400);
    const odd = await open('odd');
    assert.equal((await put(odd, 'bytes nonsense', content.subarray(0, 10))).status, 400);
  });

  test('sessions and objects outlive the endpoint', async () => {
    const again = await temporaryFolder();
    const first = await startEndpoint({ folder: again });
    const created = await call(`${first.url}/upload/storage/v1/b/specs/o?uploadType=resumable&name=a`, {
      method: 'POST',
    });
    const { pathname, search } = new URL(created.headers.location ?? '');
    await put(`${first.url}${pathname}${search}`, 'bytes 0-399999/*', content.subarray(0, 400_000));
    await first.close();
    const second = await startEndpoint({ folder: again });
    const url = `${second.url}${pathname}${search}`;
    assert.equal((await put(url, 'bytes */*')).headers['range'], 'bytes=0-399999');
    const done = await put(url, `bytes 400000-${total - 1}/${total}`, content.subarray(400_000));
    assert.equal(done.status, 200);
    assert.equal(
      JSON.parse(done.body.toString()).md5Hash,
      createHash('md5').update(content).digest('base64'),
    );
    await second.close();
    const third = await startEndpoint({ folder: again });
    assert.equal((await put(`${third.url}${pathname}${search}`, 'bytes */*')).status, 200);
    assert.deepEqual((await call(`${third.url}/specs/a`)).body, content);
  });

  test('a folder has one endpoint at a time', async () => {
    await assert.rejects(startEndpoint({ folder }), { name: 'PipelineError', code: 'config-invalid' });
  });
});

async function open(name: string, headers: Record<string, string> = {}, query = ''): Promise<string> {
  const answer = await call(`${uploadUrl}?uploadType=resumable&name=${name}${query}`, {
    method: 'POST',
    headers,
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.body.length, 0);
  const location = answer.headers.location ?? '';
  assert.ok(location.startsWith(`${endpoint.url}/`));
  return location;
}

function put(url: string, range: string, body: Uint8Array = Buffer.alloc(0)): Promise<Answer> {
  return call(url, { method: 'PUT', headers: { 'Content-Range': range }, body });
}

function download(name: string): Promise<Answer> {
  return call(`${endpoint.url}/storage/v1/b/specs/o/${encodeURIComponent(name)}?alt=media`);
}

async function sendRaw(bytes: string): Promise<string> {
  const socket = connect(endpoint.port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(bytes);
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}
