import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  findKey,
  type GeneratedKey,
  generateSigningKey,
  loadPublicKey,
  loadSigningKey,
  parseSignatureName,
  publicKeyPem,
} from '../../../../shared/apk/keys.ts';
import { PipelineError } from '../../../../shared/errors.ts';

function hasCode(code: string): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof PipelineError && thrown.code === code;
}

describe('signing keys', () => {
  let folder = '';
  let key: GeneratedKey;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'keys-'));
    key = await generateSigningKey({ name: 'test.rsa', bits: 2048 });
    writeFileSync(join(folder, 'test.rsa'), key.privatePem, { mode: 0o600 });
  });
  after(() => rmSync(folder, { recursive: true }));

  const openssl = (...args: string[]): string =>
    execFileSync('openssl', args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' });

  test('a generated pair has the forms melange and abuild use, and openssl agrees on its public half', () => {
    assert.match(key.privatePem, /^-----BEGIN RSA PRIVATE KEY-----\n/);
    assert.match(key.publicPem, /^-----BEGIN PUBLIC KEY-----\n/);
    assert.equal(openssl('rsa', '-in', 'test.rsa', '-pubout'), key.publicPem);
  });

  test('PKCS #1, PKCS #8 and both kinds of encrypted PEM load as the same key', () => {
    const forms = [
      [key.privatePem, undefined],
      [openssl('pkcs8', '-topk8', '-nocrypt', '-in', 'test.rsa'), undefined],
      [openssl('pkcs8', '-topk8', '-in', 'test.rsa', '-passout', 'pass:secret'), 'secret'],
      [openssl('rsa', '-traditional', '-aes256', '-in', 'test.rsa', '-passout', 'pass:secret'), 'secret'],
    ] as const;
    assert.match(forms[3][0], /DEK-Info/);
    for (const [pem, passphrase] of forms) {
      assert.equal(publicKeyPem(loadSigningKey(pem, 'test.rsa', passphrase)), key.publicPem);
    }
  });

  test('an unusable key is refused, and its text stays out of the message', () => {
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    });
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({
      type: 'pkcs1',
      format: 'pem',
    });
    const damaged = key.privatePem.replace(/\n.{64}\n/, '\n');
    const encrypted = openssl('rsa', '-traditional', '-aes256', '-in', 'test.rsa', '-passout', 'pass:secret');
    for (const pem of ['', 'no key', ec, small, damaged, encrypted]) {
      assert.throws(
        () => loadSigningKey(pem.toString(), 'test.rsa'),
        (thrown) => {
          assert.ok(thrown instanceof PipelineError);
          assert.equal(thrown.code, 'key-unusable');
          assert.equal(thrown.cause, undefined);
          for (const line of pem.toString().split('\n')) {
            if (line.length > 40) assert.ok(!`${thrown.message}${thrown.hint}${thrown.stack}`.includes(line));
          }
          return true;
        },
      );
    }
    assert.throws(() => loadSigningKey(encrypted, 'test.rsa', 'wrong'), hasCode('key-unusable'));
    assert.throws(() => loadPublicKey('nothing', 'a.pub'), hasCode('key-unusable'));
  });

  test('names are file names', async () => {
    for (const name of ['', 'a/b', '..', 'a b']) {
      assert.throws(() => loadSigningKey(key.privatePem, name), hasCode('key-unusable'));
      await assert.rejects(generateSigningKey({ name, bits: 2048 }), hasCode('key-unusable'));
    }
    await assert.rejects(generateSigningKey({ name: 'a.rsa', bits: 1024 }), hasCode('key-unusable'));
  });

  test('a key is found under its name and under it without .rsa.pub', () => {
    const one = loadPublicKey(key.publicPem, 'one.rsa.pub');
    assert.equal(findKey(new Map([['one.rsa.pub', one]]), 'one.rsa.pub'), one);
    assert.equal(findKey(new Map([['one', one]]), 'one.rsa.pub'), one);
    assert.equal(findKey(new Map([['two.rsa.pub', one]]), 'one.rsa.pub'), undefined);
  });

  test('names of signature entries say which key and digest', () => {
    assert.deepEqual(parseSignatureName('.SIGN.RSA.a@b-1.rsa.pub'), {
      keyName: 'a@b-1.rsa.pub',
      digest: 'sha1',
    });
    assert.deepEqual(parseSignatureName('.SIGN.RSA256.m.rsa.pub'), {
      keyName: 'm.rsa.pub',
      digest: 'sha256',
    });
    assert.equal(parseSignatureName('.SIGN.DSA.x'), undefined);
    assert.equal(parseSignatureName('.SIGN.RSA512.x'), undefined);
    for (const name of ['.SIGN.ED25519.x', '.SIGN.RSA256.a/b', '.SIGN.RSA256', '.SIGN.']) {
      assert.throws(() => parseSignatureName(name), hasCode('index-signature'), name);
    }
  });
});
