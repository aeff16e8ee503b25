import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { loadPublicKey, publicKeyPem } from '../../../../shared/apk/keys.ts';
import { readPackage, verifyPackage } from '../../../../shared/apk/package-read.ts';
import { writePackage } from '../../../../shared/apk/package-write.ts';
import { PipelineError } from '../../../../shared/errors.ts';
import {
  directory,
  hasCode,
  inMemory,
  members,
  type PackageFixture,
  packageFixture,
} from './package-fixture.ts';

const corpus = fileURLToPath(new URL('../../../../../shared/corpus/apks/', import.meta.url));

describe('reading apk packages', () => {
  let fixture: PackageFixture;

  before(async () => {
    fixture = await packageFixture();
  });
  after(() => fixture.remove());

  test('a verified package tells its digests, its signer and its paths', async () => {
    const written = await writePackage(fixture.options('verify.apk'));
    const keys = new Map([['test.rsa.pub', loadPublicKey(publicKeyPem(fixture.key), 'test.rsa.pub')]]);
    const verified = await verifyPackage({
      source: createReadStream(written.path, { highWaterMark: 100 }),
      keys,
      expectedControlChecksum: written.controlChecksum,
    });
    assert.equal(verified.sha256, written.sha256);
    assert.equal(verified.size, written.size);
    assert.equal(verified.dataHash, written.dataHash);
    assert.equal(verified.signedBy, 'test.rsa.pub');
    assert.equal(verified.contents.entries.length, 8);
    const unsigned = await verifyPackage({ source: createReadStream(written.path) });
    assert.equal(unsigned.signedBy, undefined);
  });

  test('the source is let go of when a package is refused or not read to its end', async () => {
    const written = await writePackage(fixture.options('close.apk'));
    const refused = createReadStream(written.path, { highWaterMark: 512 });
    await assert.rejects(
      verifyPackage({ source: refused, expectedControlChecksum: 'Q1other' }),
      hasCode('apk-mismatch'),
    );
    assert.ok(refused.destroyed);
    const unread = createReadStream(written.path, { highWaterMark: 512 });
    const reading = await readPackage(unread);
    for await (const _ of reading.entries) break;
    assert.ok(unread.destroyed);
    const broken = createReadStream(join(fixture.folder, 'test.rsa.pub'));
    await assert.rejects(verifyPackage({ source: broken }), hasCode('apk-malformed'));
    assert.ok(broken.destroyed);
  });

  test('tampered packages are refused with the digests that differ', async () => {
    const written = await writePackage(fixture.options('tamper.apk'));
    const other = await writePackage(fixture.options('tamper-other.apk', { files: [directory('usr')] }));
    const [signature, control, data] = await members(readFileSync(written.path));
    const [, otherControl, otherData] = await members(readFileSync(other.path));
    assert.ok(signature && control && data && otherControl && otherData);
    const keys = new Map([['test.rsa.pub', fixture.key.publicKey]]);
    const verify = (parts: readonly Buffer[], expected?: string): Promise<unknown> =>
      verifyPackage({
        source: inMemory(Buffer.concat(parts)),
        keys,
        ...(expected ? { expectedControlChecksum: expected } : {}),
      });
    await assert.rejects(
      verify([signature, control, otherData]),
      hasCode('apk-mismatch', new RegExp(`SHA-256 ${other.dataHash}.*says ${written.dataHash}`)),
    );
    await assert.rejects(
      verify([signature, otherControl, otherData]),
      hasCode('apk-mismatch', /signature by test\.rsa\.pub/),
    );
    await assert.rejects(
      verify([otherControl, otherData], written.controlChecksum),
      (thrown) =>
        thrown instanceof PipelineError &&
        thrown.code === 'apk-mismatch' &&
        thrown.message.includes(written.controlChecksum) &&
        thrown.message.includes(other.controlChecksum),
    );
    await assert.rejects(verify([control, data, otherData]), hasCode('apk-mismatch'));
    await assert.rejects(verify([data, control]), hasCode('apk-malformed', /no \.PKGINFO/));
    await assert.rejects(verify([signature, control]), hasCode('apk-malformed', /no data member/));
    await assert.rejects(verify([signature]), hasCode('apk-malformed', /no control member/));
    await assert.rejects(verify([]), hasCode('apk-malformed'));
  });

  test('a package cut anywhere is refused', async () => {
    const written = await writePackage(fixture.options('cut.apk'));
    const bytes = readFileSync(written.path);
    for (let end = 0; end < bytes.length; end += 13) {
      await assert.rejects(
        verifyPackage({ source: inMemory(bytes.subarray(0, end)) }),
        hasCode('apk-malformed'),
        `cut at ${end}`,
      );
    }
  });

  test('any damage is told as what it is, never as a crash', async () => {
    const written = await writePackage(fixture.options('fuzz.apk'));
    const bytes = readFileSync(written.path);
    const signedFrom = (await members(bytes))[0]?.length ?? 0;
    const keys = new Map([['test.rsa.pub', fixture.key.publicKey]]);
    const change = fc.record({ at: fc.nat(bytes.length - 1), value: fc.integer({ min: 1, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const damaged = Buffer.from(bytes);
        for (const { at, value } of changes) damaged[at] = (damaged[at] ?? 0) ^ value;
        const isSignedPart = changes.some(({ at }) => damaged[at] !== bytes[at] && at >= signedFrom);
        try {
          await verifyPackage({
            source: inMemory(damaged),
            keys,
            expectedControlChecksum: written.controlChecksum,
          });
          assert.ok(!isSignedPart, 'a change of signed bytes went unnoticed');
        } catch (thrown) {
          if (!(thrown instanceof PipelineError)) throw thrown;
          assert.match(thrown.code, /^(apk-malformed|apk-mismatch|tar-malformed|index-signature)$/);
        }
      }),
      { numRuns: 400 },
    );
  });

  test('the packages of the corpus read and verify', {
    skip: !existsSync(corpus) && 'no corpus beside the project',
  }, async () => {
    for (const name of readdirSync(corpus).filter((one) => one.endsWith('.apk'))) {
      const verified = await verifyPackage({ source: createReadStream(join(corpus, name)) });
      assert.equal(`${verified.info.name}-${verified.info.version}.apk`, name);
      assert.equal(
        verified.sha256,
        createHash('sha256')
          .update(readFileSync(join(corpus, name)))
          .digest('hex'),
      );
      const names = execFileSync('tar', ['-tzf', join(corpus, name)], { encoding: 'utf8', stdio: 'pipe' })
        .trim()
        .split('\n');
      assert.deepEqual(
        verified.contents.entries.map((one) => one.path),
        names
          .filter((one) => !/^\.(SIGN|PKGINFO|melange|pre|post)/.test(one))
          .map((one) => one.replace(/\/$/, '')),
      );
      const reading = await readPackage(createReadStream(join(corpus, name)));
      const signature = names.find((one) => one.startsWith('.SIGN.'))?.replace(/^\.SIGN\.RSA(256)?\./, '');
      assert.equal(reading.signatures[0]?.keyName, signature);
      for await (const entry of reading.entries) {
        if (entry.type !== 'file') continue;
        const sha1 = createHash('sha1');
        for await (const piece of entry.content) sha1.update(piece);
        assert.equal(entry.pax.get('APK-TOOLS.checksum.SHA1')?.toString(), sha1.digest('hex'), entry.name);
      }
    }
  });
});
