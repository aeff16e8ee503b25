import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import {
  generateSigningKey,
  loadSigningKey,
  publicKeyPem,
  type SigningKey,
} from '../../../../shared/apk/keys.ts';
import {
  formatIndex,
  type IndexEntry,
  indexEntryOf,
  mergeIndex,
  parseIndex,
  readIndexArchive,
  writeIndexArchive,
} from '../../../../shared/apk/package-index.ts';
import { PipelineError } from '../../../../shared/errors.ts';

const corpus = fileURLToPath(
  new URL('../../../../../shared/corpus/index/alpine-3.16-main-x86_64.APKINDEX.tar.gz', import.meta.url),
);

function entry(name: string, version: string, rest: Partial<IndexEntry> = {}): IndexEntry {
  return {
    controlChecksum: 'Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    name,
    version,
    arch: 'x86_64',
    size: 100,
    installedSize: 200,
    description: 'a package',
    url: '',
    license: 'MIT',
    origin: name,
    maintainer: '',
    buildDate: 5,
    commit: '',
    depends: [],
    installIf: [],
    provides: [],
    providerPriority: 0,
    replaces: [],
    replacesPriority: 0,
    ...rest,
  };
}

function hasCode(code: string, pattern = /./): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof PipelineError && thrown.code === code && pattern.test(thrown.message);
}

describe('package indexes', () => {
  let key: SigningKey;
  let other: SigningKey;

  before(async () => {
    key = loadSigningKey((await generateSigningKey({ name: 'test.rsa', bits: 2048 })).privatePem, 'test.rsa');
    other = loadSigningKey(
      (await generateSigningKey({ name: 'test.rsa', bits: 2048 })).privatePem,
      'test.rsa',
    );
  });

  const keys = () => new Map([['test.rsa.pub', key.publicKey]]);

  test('fields come in their order, empty ones are left out', () => {
    const full = entry('a', '1-r0', {
      url: 'https://example.org',
      maintainer: 'm',
      commit: 'c',
      depends: ['b>1', 'so:c'],
      installIf: ['d', 'e'],
      provides: ['cmd:a=1-r0'],
      providerPriority: 7,
      replaces: ['gone'],
    });
    assert.equal(
      formatIndex([
        full,
        entry('b', '2', {
          arch: '',
          size: 0,
          installedSize: 0,
          description: '',
          license: '',
          origin: '',
          buildDate: 0,
        }),
      ]),
      'C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:a\nV:1-r0\nA:x86_64\nS:100\nI:200\nT:a package\nU:https://example.org\nL:MIT\no:a\nm:m\nt:5\nc:c\nD:b>1 so:c\ni:d e\np:cmd:a=1-r0\nk:7\n\n' +
        'C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:b\nV:2\nT:\nt:0\n\n',
    );
  });

  test('what is written reads back', () => {
    const word = fc.stringMatching(/^[a-z0-9:.=<>~_-]{1,12}$/);
    const line = fc.string({ unit: 'grapheme', maxLength: 30 }).filter((one) => !one.includes('\n'));
    const record = fc.record({
      name: word,
      version: word,
      description: line,
      license: line,
      size: fc.nat(),
      buildDate: fc.option(fc.nat(), { nil: undefined }),
      depends: fc.array(word),
      provides: fc.array(word),
      installIf: fc.array(word),
      providerPriority: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 6 }), (records) => {
        const entries = records.map((one) => entry(one.name, one.version, one));
        assert.deepEqual(parseIndex(formatIndex(entries)), entries);
      }),
    );
  });

  test('unknown letters, foreign checksums and nameless records are passed over; the last record needs no empty line', () => {
    const [first, second, ...more] = parseIndex('C:Q2abc\nP:a\nV:1\nX:what\nr:x y\nq:3\n\n\nV:3\n\nP:b\nV:2');
    assert.equal(first?.controlChecksum, undefined);
    assert.deepEqual(first?.replaces, ['x', 'y']);
    assert.equal(first?.replacesPriority, 3);
    assert.equal(second?.name, 'b');
    assert.equal(more.length, 0);
  });

  test('lines that are no fields are refused with their number', () => {
    assert.throws(() => parseIndex('P:a\nnonsense\n'), hasCode('index-malformed', /line 2/));
    assert.throws(() => parseIndex('P:a\nV\n:'), hasCode('index-malformed', /line 2/));
    assert.throws(() => parseIndex('P:a\nS:many\n'), hasCode('index-malformed', /line 2.*"many"/));
  });

  test('merging replaces the first record of the same name and version, and appends the rest', () => {
    const old = [entry('a', '1'), entry('b', '1'), entry('a', '1', { description: 'twin' })];
    const merged = mergeIndex(old, [
      entry('c', '1'),
      entry('a', '1', { description: 'new' }),
      entry('b', '2'),
      entry('c', '1', { description: 'again' }),
    ]);
    assert.deepEqual(
      merged.map((one) => `${one.name} ${one.version} ${one.description}`),
      ['a 1 new', 'b 1 a package', 'a 1 twin', 'c 1 again', 'b 2 a package'],
    );
  });

  test('a record joins the licences of a package', () => {
    const info = {
      name: 'a',
      version: '1-r0',
      arch: 'x86_64',
      installedSize: 1,
      origin: 'a',
      description: '',
      url: '',
      commit: '',
      licenses: ['MIT', 'GPL-2.0 OR BSD-2-Clause'],
      depends: ['b'],
      provides: [],
      replaces: ['c'],
      triggers: [],
      dataHash: '',
    };
    const made = indexEntryOf({ info, controlChecksum: 'Q1x', size: 9 });
    assert.equal(made.license, 'MIT AND (GPL-2.0 OR BSD-2-Clause)');
    assert.equal(made.buildDate, 0);
    assert.equal(
      indexEntryOf({ info: { ...info, licenses: ['A OR B'] }, controlChecksum: '', size: 0 }).license,
      'A OR B',
    );
  });

  test('a signed archive is accepted with its key and refused otherwise', async () => {
    const bytes = await writeIndexArchive([entry('a', '1')], { key, description: 'demo' });
    const read = await readIndexArchive(bytes, keys());
    assert.deepEqual(read.entries, [entry('a', '1')]);
    assert.equal(read.description, 'demo');
    assert.equal(read.signedBy, 'test.rsa.pub');
    assert.equal((await readIndexArchive(bytes, 'unverified')).signedBy, undefined);
    assert.equal(
      (await readIndexArchive(bytes, new Map([['test', key.publicKey]]))).signedBy,
      'test.rsa.pub',
    );
    await assert.rejects(readIndexArchive(bytes, new Map()), hasCode('index-signature', /no keys/));
    await assert.rejects(
      readIndexArchive(bytes, new Map([['x.rsa.pub', key.publicKey]])),
      hasCode('index-signature', /none of them/),
    );
    await assert.rejects(
      readIndexArchive(bytes, new Map([['test.rsa.pub', other.publicKey]])),
      hasCode('index-signature', /does not match/),
    );
  });

  test('an unsigned archive is accepted only unverified', async () => {
    const bytes = await writeIndexArchive([entry('a', '1')]);
    assert.equal((await readIndexArchive(bytes, 'unverified')).entries.length, 1);
    await assert.rejects(readIndexArchive(bytes, keys()), hasCode('index-signature', /no signature/));
  });

  test('not a byte after the signature can change', async () => {
    const bytes = await writeIndexArchive([entry('a', '1')], { key });
    const unsigned = await writeIndexArchive([entry('a', '1')]);
    const foreign = await writeIndexArchive([entry('evil', '1')]);
    const signature = bytes.subarray(0, bytes.length - unsigned.length);
    await assert.rejects(
      readIndexArchive(Buffer.concat([signature, foreign]), keys()),
      hasCode('index-signature'),
    );
    await assert.rejects(
      readIndexArchive(Buffer.concat([bytes, foreign]), keys()),
      hasCode('index-signature'),
    );
    await assert.rejects(
      readIndexArchive(Buffer.concat([signature, foreign, unsigned]), keys()),
      hasCode('index-signature'),
    );
    await assert.rejects(readIndexArchive(signature, keys()), hasCode('index-malformed'));
    await assert.rejects(readIndexArchive(Buffer.from('x'), keys()), hasCode('apk-malformed'));
    // The header's time field is a signed byte like any other.
    const touched = Buffer.from(bytes);
    touched[signature.length + 4] = 1;
    await assert.rejects(readIndexArchive(touched, keys()), hasCode('index-signature'));
  });

  test('openssl and tar agree on a signed archive, and SHA-1 signatures of abuild are accepted', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'index-'));
    try {
      const run = (command: string, ...args: string[]): string =>
        execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
      const unsigned = await writeIndexArchive([entry('a', '1')]);
      const signed = await writeIndexArchive([entry('a', '1')], { key });
      writeFileSync(join(folder, 'unsigned'), unsigned);
      writeFileSync(join(folder, 'signature'), signed.subarray(0, signed.length - unsigned.length));
      writeFileSync(join(folder, 'pub'), publicKeyPem(key));
      writeFileSync(join(folder, 'private'), key.privateKey.export({ type: 'pkcs1', format: 'pem' }), {
        mode: 0o600,
      });
      run('tar', '-xzf', 'signature');
      assert.match(
        run(
          'openssl',
          'dgst',
          '-sha256',
          '-verify',
          'pub',
          '-signature',
          '.SIGN.RSA256.test.rsa.pub',
          'unsigned',
        ),
        /Verified OK/,
      );
      assert.deepEqual(run('tar', '-tzf', 'unsigned').trim().split('\n'), ['APKINDEX', 'DESCRIPTION']);
      run('openssl', 'dgst', '-sha1', '-sign', 'private', '-out', '.SIGN.RSA.test.rsa.pub', 'unsigned');
      run('tar', '-cf', 'sha1.tar', '.SIGN.RSA.test.rsa.pub');
      const legacy = gzipSync(readFileSync(join(folder, 'sha1.tar')).subarray(0, 1024));
      assert.equal(
        (await readIndexArchive(Buffer.concat([legacy, unsigned]), keys())).signedBy,
        'test.rsa.pub',
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('the index of a whole distribution is read fast and round-trips', {
    skip: !existsSync(corpus) && 'no corpus beside the project',
  }, async (context) => {
    const bytes = readFileSync(corpus);
    const { entries } = await readIndexArchive(bytes, 'unverified');
    assert.equal(entries.length, 4929);
    const again = await readIndexArchive(await writeIndexArchive(entries, { key }), keys());
    assert.deepEqual(
      again.entries,
      entries.map((one) => ({ ...one, replaces: [], replacesPriority: 0 })),
    );
    const original = execFileSync('tar', ['-xzOf', corpus, 'APKINDEX'], {
      encoding: 'utf8',
      maxBuffer: 1e8,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    // Every line of the original stands in ours, only the order of letters within a record may differ.
    const sorted = (text: string): string[] =>
      text.split('\n\n').map((record) => record.split('\n').sort().join('\n'));
    assert.deepEqual(sorted(formatIndex(entries)), sorted(original));
    const started = performance.now();
    const parsed = parseIndex(original);
    const parseMs = performance.now() - started;
    assert.equal(parsed.length, 4929);
    context.diagnostic(`parsed 4929 records in ${parseMs.toFixed(1)} ms`);
    const archiveStarted = performance.now();
    await readIndexArchive(bytes, 'unverified');
    context.diagnostic(`read the archive in ${(performance.now() - archiveStarted).toFixed(1)} ms`);
    assert.ok(parseMs < 500);
    assert.ok(gunzipSync(bytes).length > 1_000_000);
  });
});
