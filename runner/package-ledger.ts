/**
 * The memory of verified package files that all runners share: `apks/{id}` in Firestore, and beside it, in the builds
 * bucket, what each package contains.
 */
import { gunzipSync } from 'node:zlib';
import type { DocumentReference, Firestore } from '@google-cloud/firestore';
import { Timestamp } from '@google-cloud/firestore';
import type { Bucket } from '@google-cloud/storage';
import { z } from 'zod';
import { gzipMember } from '../shared/apk/gzip.ts';
import { formatContents, type PackageContents, parseContents } from '../shared/apk/package-contents.ts';
import { asPipelineError } from '../shared/errors.ts';
import {
  compareAndSet,
  createDocument,
  type DocumentType,
  decodeDocument,
  elapsedMs,
  NOW,
  REMOVE,
  readDocument,
  type Stored,
  withDeadline,
} from '../shared/firestore/documents.ts';
import { packageContentsObject } from '../shared/object-names.ts';
import { createObject, readObject } from '../shared/storage/objects.ts';
import type { KnownPackage, PackageLedger, VerifiedFile } from './environment/known-packages.ts';

const record = z.object({
  /** Missing while a runner verifies the file. */
  sha256: z.string().optional(),
  bytes: z.number().optional(),
  /** Who verifies it, and since when. */
  claimedBy: z.string().optional(),
  claimedAt: z.instanceof(Timestamp).optional(),
});

type ApkRecord = z.infer<typeof record>;

const APK: DocumentType<ApkRecord> = { name: 'apk', schema: record };

/** Documents read by one call. */
const BATCH = 300;
/**
 * A file that takes longer to verify, or whose runner died, is verified by another runner too: the work is then done
 * twice, with the same result.
 */
const CLAIM_MS = 60_000;
/** Unpacked; a package of a million paths. */
const MAX_CONTENTS_BYTES = 256 * 1024 * 1024;

export interface LedgerOptions {
  readonly firestore: Firestore;
  readonly builds: Bucket;
  /** This process. */
  readonly owner: string;
  /** How long a verification is waited for; a minute by default. */
  readonly claimMs?: number;
}

/** Throws `firestore-failed` and `storage-failed` (`infra`) from each call. */
export function openPackageLedger(options: LedgerOptions): PackageLedger {
  const { firestore, builds, owner, claimMs = CLAIM_MS } = options;
  const collection = firestore.collection('apks');

  const writeContents = async (id: string, contents: PackageContents): Promise<void> => {
    const bytes = await gzipMember(Buffer.from(formatContents(contents)));
    try {
      await createObject(builds, packageContentsObject(id), { bytes, type: 'application/gzip' });
    } catch (error) {
      // Written by another version of this program; what it says of the same package is as true.
      if (asPipelineError(error).code !== 'storage-precondition') throw error;
    }
  };

  /** The claim that was made, or what somebody else knows already; waits while somebody else is at it. */
  const claim = async (
    ref: DocumentReference,
    signal: AbortSignal,
  ): Promise<Stored<ApkRecord> | VerifiedFile> => {
    const create = (): Promise<boolean> => createDocument(ref, { claimedBy: owner, claimedAt: NOW });
    await create();
    for (;;) {
      signal.throwIfAborted();
      const stored = await readDocument(APK, ref);
      if (stored === undefined) {
        await create();
        continue;
      }
      const verified = verifiedFile(stored.data);
      if (verified !== undefined) return verified;
      if (stored.data.claimedBy === owner) return stored;
      const leftMs = claimLeftMs(stored, claimMs);
      if (leftMs > 0) {
        await changeOf(stored, leftMs, signal);
        continue;
      }
      const taken = await compareAndSet(APK, stored, { claimedBy: owner, claimedAt: NOW });
      if (taken !== undefined) return taken;
    }
  };

  return {
    async find(ids) {
      const found = new Map<string, VerifiedFile>();
      for (let start = 0; start < ids.length; start += BATCH) {
        const refs = ids.slice(start, start + BATCH).map((id) => collection.doc(id));
        for (const snapshot of await withDeadline('reading verified packages', firestore.getAll(...refs))) {
          if (!snapshot.exists) continue;
          const verified = verifiedFile(decodeDocument(APK, snapshot.ref.path, snapshot.data()));
          if (verified !== undefined) found.set(snapshot.id, verified);
        }
      }
      return found;
    },
    async contents(id) {
      const bytes = await readObject(builds, packageContentsObject(id), { maxBytes: MAX_CONTENTS_BYTES });
      if (bytes === undefined) return undefined;
      return parseContents(gunzipSync(bytes, { maxOutputLength: MAX_CONTENTS_BYTES }).toString());
    },
    async verifyOnce(id, { verify, signal }) {
      const claimed = await claim(collection.doc(id), signal);
      if ('sha256' in claimed) return claimed;
      try {
        const known = await verify();
        await writeContents(id, known.contents);
        // Where the claim was lost meanwhile, its new owner records the same.
        await compareAndSet(APK, claimed, { ...recorded(known), claimedBy: REMOVE, claimedAt: REMOVE });
        return known;
      } catch (error) {
        await withDeadline(
          `giving back ${claimed.ref.path}`,
          claimed.ref.delete({ lastUpdateTime: claimed.updateTime }),
        ).catch(() => undefined);
        throw error;
      }
    },
    async replace(id, known) {
      const ref = collection.doc(id);
      await writeContents(id, known.contents);
      const stored = await readDocument(APK, ref);
      if (stored === undefined) await createDocument(ref, recorded(known));
      else await compareAndSet(APK, stored, recorded(known));
    },
  };
}

function recorded(known: KnownPackage): Record<string, unknown> {
  return { sha256: known.sha256, bytes: known.bytes, verifiedAt: NOW };
}

function verifiedFile({ sha256, bytes }: ApkRecord): VerifiedFile | undefined {
  return sha256 === undefined || bytes === undefined ? undefined : { sha256, bytes };
}

/** By the server's clock alone. */
function claimLeftMs({ data, readTime }: Stored<ApkRecord>, claimMs: number): number {
  return data.claimedAt === undefined ? 0 : claimMs - elapsedMs(data.claimedAt, readTime);
}

/** Waits until a document is another than it was, and no longer than so many milliseconds. */
async function changeOf(stored: Stored<unknown>, limitMs: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, limitMs);
  const stop = (): void => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  const unsubscribe = stored.ref.onSnapshot(
    (snapshot) => {
      if (snapshot.updateTime?.isEqual(stored.updateTime) !== true) resolve();
    },
    () => resolve(),
  );
  try {
    await promise;
  } finally {
    unsubscribe();
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}
