/**
 * One document, changed by compare-and-set: read, decide, write on the condition that nobody wrote in between.
 * Transactions are not used, since a process killed inside one leaves its documents locked for a minute.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type DocumentReference, FieldPath, FieldValue, Timestamp } from '@google-cloud/firestore';
import type { z } from 'zod';
import { PipelineError } from '../errors.ts';
import { CAS_ATTEMPTS, FIRESTORE_TIMEOUT_MS } from '../limits.ts';

/** Stands in a patch for the server's time of the write. */
export const NOW: unique symbol = Symbol('server time');
/** Stands in a patch for the removal of a field. */
export const REMOVE: unique symbol = Symbol('removed field');

/** Fields to write: names, or paths of names joined by dots. Values are plain data, `NOW`, or `REMOVE`. */
export type Patch = Readonly<Record<string, unknown>>;

/** Where a kind of document lies and how it is read. */
export interface DocumentType<T> {
  readonly name: string;
  readonly schema: z.ZodType<T>;
}

/** A document as read, or as it stands after our own write. */
export interface Stored<T> {
  readonly ref: DocumentReference;
  readonly data: T;
  /** The precondition of the next write. */
  readonly updateTime: Timestamp;
  /** Server time at which `data` was true. */
  readonly readTime: Timestamp;
}

/** Pause after the first and the longest after later conflicts, in ms; drawn at random, so that writers drift apart. */
const CONFLICT_PAUSE_MS = [20, 640] as const;

/** Status codes of Firestore (google.rpc.Code). */
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;
const FAILED_PRECONDITION = 9;
const ABORTED = 10;

/**
 * Reads a document; undefined where there is none.
 *
 * @throws PipelineError `firestore-failed` (`infra`), or `bug` where it does not have the shape of its type.
 */
export async function readDocument<T>(
  type: DocumentType<T>,
  ref: DocumentReference,
): Promise<Stored<T> | undefined> {
  const snapshot = await withDeadline(`reading ${ref.path}`, ref.get());
  if (!snapshot.exists || snapshot.updateTime === undefined) return undefined;
  return {
    ref,
    data: decodeDocument(type, ref.path, snapshot.data()),
    updateTime: snapshot.updateTime,
    readTime: snapshot.readTime,
  };
}

/** Checks the shape of a document's data. */
export function decodeDocument<T>(type: DocumentType<T>, path: string, data: unknown): T {
  const result = type.schema.safeParse(data);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new PipelineError({
    code: 'internal',
    kind: 'bug',
    message: `${path} is no ${type.name} record: ${issue?.path.join('.')}: ${issue?.message}`,
    cause: result.error,
  });
}

/** Creates a document. False where one of that name exists already: somebody, or an earlier try, was first. */
export async function createDocument(ref: DocumentReference, fields: Patch): Promise<boolean> {
  try {
    await withDeadline(`creating ${ref.path}`, ref.create(toFirestore(fields)));
    return true;
  } catch (error) {
    if (grpcCode(error) === ALREADY_EXISTS) return false;
    throw error;
  }
}

/**
 * Writes `patch` if the document still is as `stored` says. Undefined where it is not: somebody wrote, or it is gone.
 */
export async function compareAndSet<T>(
  type: DocumentType<T>,
  stored: Stored<T>,
  patch: Patch,
): Promise<Stored<T> | undefined> {
  const [[field, value] = ['', undefined], ...rest] = Object.entries(patch).map(
    ([path, one]) => [new FieldPath(...path.split('.')), fieldValue(one)] as const,
  );
  if (field === '') return stored;
  try {
    const result = await withDeadline(
      `writing ${stored.ref.path}`,
      stored.ref.update(field, value, ...rest.flat(), { lastUpdateTime: stored.updateTime }),
    );
    const data = decodeDocument(type, stored.ref.path, applyPatch(stored.data, patch, result.writeTime));
    return { ref: stored.ref, data, updateTime: result.writeTime, readTime: result.writeTime };
  } catch (error) {
    const code = grpcCode(error);
    if (code === FAILED_PRECONDITION || code === NOT_FOUND || code === ABORTED) return undefined;
    throw error;
  }
}

export interface ChangeOptions<T> {
  readonly type: DocumentType<T>;
  readonly ref: DocumentReference;
  /** The patch to write, or undefined to leave the document. Called again with the newer document after a conflict. */
  readonly decide: (stored: Stored<T>) => Patch | undefined;
  /** A recent reading, which saves one. */
  readonly known?: Stored<T> | undefined;
}

export interface Change<T> {
  readonly changed: boolean;
  readonly stored: Stored<T>;
}

/**
 * Changes a document, however many others change it at the same time.
 *
 * @throws PipelineError `record-missing` where there is none, `record-contended` (`infra`) after `CAS_ATTEMPTS`
 *   conflicts, and what `decide` throws.
 */
export async function changeDocument<T>(options: ChangeOptions<T>): Promise<Change<T>> {
  const { type, ref, decide } = options;
  let known = options.known;
  for (let attempt = 0; attempt < CAS_ATTEMPTS; attempt += 1) {
    const stored: Stored<T> | undefined = known ?? (await readDocument(type, ref));
    known = undefined;
    if (stored === undefined) {
      throw new PipelineError({ code: 'record-missing', kind: 'infra', message: `there is no ${ref.path}` });
    }
    const patch = decide(stored);
    if (patch === undefined) return { changed: false, stored };
    const written = await compareAndSet(type, stored, patch);
    if (written !== undefined) return { changed: true, stored: written };
    const [first, longest] = CONFLICT_PAUSE_MS;
    await sleep(Math.random() * Math.min(first * 2 ** attempt, longest));
  }
  throw new PipelineError({
    code: 'record-contended',
    kind: 'infra',
    message: `${ref.path} changed during each of ${CAS_ATTEMPTS} attempts to write it`,
  });
}

/** Bounds a Firestore call and turns its failure into ours, the original being its cause. */
export async function withDeadline<T>(what: string, call: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(failed(what, new Error(`no answer within ${FIRESTORE_TIMEOUT_MS} ms`)));
  }, FIRESTORE_TIMEOUT_MS);
  try {
    return await Promise.race([call, late]);
  } catch (error) {
    throw error instanceof PipelineError ? error : failed(what, error);
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds between two server times. */
export function elapsedMs(from: Timestamp, to: Timestamp): number {
  return (to.seconds - from.seconds) * 1000 + (to.nanoseconds - from.nanoseconds) / 1e6;
}

/**
 * The data after a write, as a reader would see it. `NOW` becomes the time of the write; a reader finds the time at
 * which the server took the request, some milliseconds earlier.
 */
export function applyPatch<T>(data: T, patch: Patch, writeTime: Timestamp): unknown {
  const result: Record<string, unknown> = Object.fromEntries(Object.entries(data ?? {}));
  for (const [path, value] of Object.entries(patch)) {
    const names = path.split('.');
    const last = names.pop() ?? path;
    let target = result;
    for (const name of names) {
      const inner = target[name];
      const copy: Record<string, unknown> = isPlain(inner) ? { ...inner } : {};
      target[name] = copy;
      target = copy;
    }
    if (value === REMOVE) delete target[last];
    else target[last] = resolveNow(value, writeTime);
  }
  return result;
}

function resolveNow(value: unknown, writeTime: Timestamp): unknown {
  if (value === NOW) return writeTime;
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, resolveNow(one, writeTime)]));
}

function toFirestore(fields: Patch): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, fieldValue(value)]));
}

function fieldValue(value: unknown): unknown {
  if (value === NOW) return FieldValue.serverTimestamp();
  if (value === REMOVE) return FieldValue.delete();
  return isPlain(value) ? toFirestore(value) : value;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function grpcCode(error: unknown): number | undefined {
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    if ('code' in one && typeof one.code === 'number') return one.code;
  }
  return undefined;
}

function failed(what: string, cause: unknown): PipelineError {
  const detail = cause instanceof Error ? cause.message : String(cause);
  return new PipelineError({
    code: 'firestore-failed',
    kind: 'infra',
    message: `Firestore: ${what}: ${detail}`,
    cause,
  });
}

/** Re-exported so that callers of this module need no second import for times. */
export { Timestamp };
