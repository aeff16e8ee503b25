import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareNames, createObjectIndex } from '../../../../deploy/local/gcs/object-index.ts';
import type { ObjectRecord } from '../../../../deploy/local/gcs/resources.ts';

const name = fc
  .array(fc.constantFrom('a', 'b', '/', '-', 'é', '\ue000', '\u{1f600}'), { minLength: 1, maxLength: 6 })
  .map((letters) => letters.join(''));

test('names are ordered by their UTF-8 bytes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
      assert.equal(Math.sign(compareNames(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
  );
  fc.assert(
    fc.property(name, name, (a, b) => {
      assert.equal(Math.sign(compareNames(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
  );
});

test('the pages of any size make up the listing that a plain walk over all names gives', () => {
  fc.assert(
    fc.property(
      fc.array(name, { maxLength: 30 }),
      fc.array(name, { maxLength: 10 }),
      fc.constantFrom('', 'a', 'a/', 'b/'),
      fc.constantFrom(undefined, '/', '-'),
      fc.integer({ min: 1, max: 5 }),
      (added, removed, prefix, delimiter, maxResults) => {
        const index = createObjectIndex([]);
        for (const one of added) index.set(recordNamed(one));
        for (const one of removed) index.delete(one);
        const items: string[] = [];
        const prefixes: string[] = [];
        let pageToken: string | undefined;
        do {
          const page = index.page({ prefix, delimiter, maxResults, pageToken });
          assert.ok(page.items.length + page.prefixes.length <= maxResults);
          items.push(...page.items.map((item) => item.name));
          prefixes.push(...page.prefixes);
          pageToken = page.next;
        } while (pageToken !== undefined);

        const left = [...new Set(added)].filter((one) => !removed.includes(one) && one.startsWith(prefix));
        left.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        const cutAt = (one: string): number =>
          delimiter === undefined ? -1 : one.indexOf(delimiter, prefix.length);
        assert.deepEqual(
          items,
          left.filter((one) => cutAt(one) < 0),
        );
        assert.deepEqual(prefixes, [
          ...new Set(left.filter((one) => cutAt(one) >= 0).map((one) => one.slice(0, cutAt(one) + 1))),
        ]);
      },
    ),
    { numRuns: 300 },
  );
});

test('a listing between two offsets leaves out the second', () => {
  const index = createObjectIndex(['a', 'b', 'c', 'd'].map(recordNamed));
  const page = index.page({ prefix: '', startOffset: 'b', endOffset: 'd', maxResults: 10 });
  assert.deepEqual(
    page.items.map((item) => item.name),
    ['b', 'c'],
  );
});

function recordNamed(objectName: string): ObjectRecord {
  return {
    bucket: 'bucket',
    name: objectName,
    generation: 1,
    metageneration: 1,
    size: 0,
    crc32c: 'AAAAAA==',
    timeCreated: '2026-01-01T00:00:00.000Z',
    updated: '2026-01-01T00:00:00.000Z',
    content: 'content',
    settings: {},
  };
}
