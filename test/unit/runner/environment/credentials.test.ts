import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { inspect } from 'node:util';
import {
  authorizationFor,
  authorizationOfFile,
  parseHttpAuth,
} from '../../../../runner/environment/credentials.ts';

const folder = mkdtempSync(join(tmpdir(), 'credentials-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'secret');

/** What is shown to each host, decoded. */
async function shown(text: string): Promise<string[]> {
  const values = parseHttpAuth(text).map(async ({ host, authorization }) => {
    const [scheme, encoded = ''] = (await authorization()).split(' ');
    return `${host} ${scheme} ${Buffer.from(encoded, 'base64').toString()}`;
  });
  return Promise.all(values);
}

const READ: readonly (readonly [text: string, ...found: string[]])[] = [
  [''],
  [' '],
  ['basic:packages.example.org:user:password', 'packages.example.org Basic user:password'],
  ['basic:*:packages.example.org:user:password', 'packages.example.org Basic user:password'],
  ['basic:PACKAGES.example.org:user:password', 'packages.example.org Basic user:password'],
  ['basic:packages.example.org:user:pass:wo,rd', 'packages.example.org Basic user:pass:wo,rd'],
  ['basic:packages.example.org:8443:user:password', 'packages.example.org:8443 Basic user:password'],
  ['basic:packages.example.org:443:user:password', 'packages.example.org Basic user:password'],
  ['basic:packages.example.org:1234:password', 'packages.example.org Basic 1234:password'],
  ['basic:a.example:ü:é, basic:*:b.example:1:2', 'a.example Basic ü:é', 'b.example Basic 1:2'],
];

for (const [text, ...found] of READ) {
  test(`HTTP_AUTH=${text} gives ${found.length} credentials`, async () => {
    assert.deepEqual(await shown(text), found);
  });
}

for (const text of [
  'secret-word',
  'secret-word:packages.example.org:user:password',
  'basic:packages.example.org:secret-word',
  'basic:*:user:secret-word',
  'basic:*:*:user:secret-word',
  'basic::user:secret-word',
  'basic:https://packages.example.org:user:secret-word',
  'basic:a b:user:secret-word',
  'basic:packages.example.org::secret-word',
  'basic:packages.example.org:user:secret-word\nX-Header: x',
]) {
  test(`HTTP_AUTH=${JSON.stringify(text)} is refused without being told`, () => {
    assert.throws(
      () => parseHttpAuth(text),
      (thrown) => {
        assert.ok(thrown instanceof Error);
        assert.match(thrown.message, /entry 1 of the environment variable HTTP_AUTH/);
        assert.doesNotMatch(inspect(thrown), /secret-word/);
        return true;
      },
    );
  });
}

test('the entry of HTTP_AUTH that is wrong is told by its number', () => {
  assert.throws(() => parseHttpAuth('basic:a.example:user:password,basic:b.example:secret-word'), {
    code: 'config-invalid',
    kind: 'user',
    message: /entry 2 of/,
  });
});

test('credentials are for one host and port, over https unless plain http is allowed', async () => {
  const all = parseHttpAuth('basic:a.example:1:2,basic:b.example:8080:3:4');
  const given = async (url: string, plainHttp?: 'allowed'): Promise<boolean> =>
    (await authorizationFor(url, all, plainHttp)?.()) !== undefined;
  assert.equal(await given('https://a.example/x'), true);
  assert.equal(await given('https://A.example:443/x'), true);
  for (const url of [
    'https://a.example:444/',
    'https://a.example.org/',
    'https://x.a.example/',
    'https://example/',
    'https://other.example/a.example',
    'https://a.example@other.example/',
    'http://a.example/',
    'ftp://a.example/',
    'file:///a.example',
    'a.example',
  ]) {
    assert.equal(await given(url), false, url);
  }
  assert.equal(await given('http://b.example:8080/', 'allowed'), true);
  assert.equal(await given('ftp://b.example:8080/', 'allowed'), false);
});

test('a file is read each time, and one line break at its end does not count', async () => {
  writeFileSync(file, 'user:pass word\n');
  assert.equal(
    await authorizationOfFile(file, 'basic'),
    `Basic ${Buffer.from('user:pass word').toString('base64')}`,
  );
  for (const end of ['', '\n', '\r\n']) {
    writeFileSync(file, `ya29.token_-~+/==${end}`);
    assert.equal(await authorizationOfFile(file, 'bearer'), 'Bearer ya29.token_-~+/==');
  }
});

const UNUSABLE = [
  ['basic', ''],
  ['basic', 'secret-word'],
  ['basic', ':secret-word'],
  ['basic', 'user:secret-word\nmore\n'],
  ['bearer', ''],
  ['bearer', '\n'],
  ['bearer', 'secret-word and more'],
  ['bearer', 'secret-word\r\nX-Header: x'],
  ['bearer', 'secret-wörd'],
] as const;

for (const [form, content] of UNUSABLE) {
  test(`a ${form} file with ${JSON.stringify(content)} is refused without being told`, async () => {
    writeFileSync(file, content);
    await assert.rejects(authorizationOfFile(file, form), (thrown) => {
      assert.ok(thrown instanceof Error);
      assert.ok(thrown.message.includes(file));
      assert.doesNotMatch(inspect(thrown), /secret-w/);
      return true;
    });
  });
}

test('a file that is not there is named', async () => {
  await assert.rejects(authorizationOfFile(join(folder, 'nowhere'), 'basic'), {
    code: 'config-invalid',
    kind: 'infra',
    message: /nowhere cannot be used: it cannot be read \(ENOENT\)/,
  });
});
