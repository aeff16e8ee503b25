import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_SOURCE_CHARACTERS } from '../../../shared/build-file/limits.ts';
import * as limits from '../../../shared/limits.ts';

test('three renewals fit in a lease', () => {
  assert.equal(limits.RENEWAL_MS * 3, limits.LEASE_MS);
});

test('a runner that cannot renew gives up before its lease ends', () => {
  const givesUpMs = limits.RENEWAL_FAILURES * limits.RENEWAL_MS + limits.RENEWAL_TIMEOUT_MS;
  assert.ok(givesUpMs < limits.LEASE_MS);
});

test('two renewals that get no answer fit between two renewals', () => {
  assert.ok(2 * limits.RENEWAL_TIMEOUT_MS < limits.RENEWAL_MS);
});

test('a Firestore call has ended when the renewal it serves counts as failed', () => {
  assert.ok(limits.FIRESTORE_TIMEOUT_MS <= limits.RENEWAL_TIMEOUT_MS);
});

test('the reaper looks more often than a lease lasts, and lets a living process finish first', () => {
  assert.ok(limits.REAPER_INTERVAL_MS < limits.LEASE_MS);
  assert.ok(limits.EVENT_OVERDUE_MS > limits.FIRESTORE_TIMEOUT_MS);
  assert.ok(limits.REPUBLISH_AFTER_MS > limits.ACK_DEADLINE_S * 1000);
  assert.ok(limits.REPUBLISH_AFTER_MS > limits.SLOT_WAIT_MS);
});

test('a retried job is due before the reaper would ring for it', () => {
  const longestPauseMs = limits.RETRY_BACKOFF_MS * 2 ** (limits.MAX_ATTEMPTS - 2);
  assert.ok(longestPauseMs < limits.REPUBLISH_AFTER_MS);
});

test('the acknowledgement deadline is one that Pub/Sub takes', () => {
  // https://cloud.google.com/pubsub/docs/lease-management: 10 to 600 seconds.
  assert.ok(limits.ACK_DEADLINE_S >= 10 && limits.ACK_DEADLINE_S <= 600);
});

test('a message is held for longer than any job may take', () => {
  assert.ok(limits.ACK_EXTENSION_S * 1000 > limits.JOB_TIMEOUT_MS);
});

test('waiting for a slot takes less than a message or a lease is held', () => {
  assert.ok(limits.SLOT_WAIT_MS < limits.ACK_DEADLINE_S * 1000);
  assert.ok(limits.SLOT_WAIT_MS < limits.LEASE_MS);
});

test('uploads come to rest sooner than they are given up, and within a lease', () => {
  assert.ok(limits.UPLOAD_SETTLE_MS < limits.UPLOAD_WAIT_MS);
  assert.ok(limits.UPLOAD_SETTLE_MS < limits.LEASE_MS);
});

test('a runner that drains ends before it is killed', () => {
  assert.ok(limits.DRAIN_MS + limits.GIVE_BACK_MS + limits.FLUSH_MS < limits.GRACE_PERIOD_MS);
});

test('a document of a running job is written at most every two seconds for its progress', () => {
  assert.ok(limits.PROGRESS_INTERVAL_MS >= 2_000);
});

test('a build file of the largest size can be parsed, and sent in a request', () => {
  assert.ok(limits.BUILD_FILE_BYTES <= MAX_SOURCE_CHARACTERS);
  assert.ok(limits.BUILD_FILE_BYTES < limits.REQUEST_BYTES);
});

test('objects are composed as many at a time as Cloud Storage takes', () => {
  // https://cloud.google.com/storage/docs/composite-objects: 32.
  assert.equal(limits.COMPOSE_MAX, 32);
});
