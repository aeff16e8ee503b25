import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  checkPreconditions,
  checkReadPreconditions,
  readPreconditions,
} from '../../../../deploy/local/gcs/preconditions.ts';

const current = { generation: 7, metageneration: 3 };

describe('conditions of a write', () => {
  for (const [query, onExisting, onMissing] of [
    ['', true, true],
    ['ifGenerationMatch=0', false, true],
    ['ifGenerationMatch=7', true, false],
    ['ifGenerationMatch=8', false, false],
    ['ifGenerationNotMatch=0', true, false],
    ['ifGenerationNotMatch=7', false, true],
    ['ifMetagenerationMatch=3', true, false],
    ['ifMetagenerationMatch=4', false, false],
    ['ifMetagenerationNotMatch=3', false, true],
    ['ifGenerationMatch=7&ifMetagenerationMatch=4', false, false],
  ] as const) {
    test(query || 'none', () => {
      const conditions = readPreconditions(new URLSearchParams(query));
      assert.equal(
        holds(() => checkPreconditions(current, conditions)),
        onExisting,
      );
      assert.equal(
        holds(() => checkPreconditions(undefined, conditions)),
        onMissing,
      );
    });
  }
});

test('a read whose NotMatch fails is answered "not modified"', () => {
  assert.throws(() => checkReadPreconditions(current, { generationNotMatch: 7 }), { status: 304 });
  assert.throws(() => checkReadPreconditions(current, { generationMatch: 8 }), { status: 412 });
  checkReadPreconditions(current, { generationMatch: 7, metagenerationNotMatch: 2 });
});

test('conditions on the source have their own names', () => {
  const query = new URLSearchParams('ifSourceGenerationMatch=5&ifGenerationMatch=0');
  assert.deepEqual(readPreconditions(query, 'ifSource'), { generationMatch: 5 });
});

test('what is no generation is refused', () => {
  for (const value of ['x', '-1', '1.5', '', '99999999999999999999']) {
    assert.throws(() => readPreconditions(new URLSearchParams({ ifGenerationMatch: value })), {
      status: 400,
    });
  }
});

function holds(check: () => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    assert.equal(error instanceof Error && 'status' in error && error.status, 412);
    return false;
  }
}
