import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CRC32C } from '@google-cloud/storage';
import fc from 'fast-check';
import { crc32c, encodeCrc32c } from '../../../../deploy/local/gcs/crc32c.ts';

test('the check value of the polynomial is met', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(encodeCrc32c(0xe3069283), '4waSgw==');
  assert.equal(crc32c(Buffer.alloc(0)), 0);
});

test('a checksum made piece by piece is the one the Cloud Storage client computes', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), (pieces) => {
      const theirs = new CRC32C();
      let ours = 0;
      for (const piece of pieces) {
        theirs.update(Buffer.from(piece));
        ours = crc32c(piece, ours);
      }
      assert.equal(encodeCrc32c(ours), theirs.toString());
    }),
  );
});
