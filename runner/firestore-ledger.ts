/** The shared memory of verified package files: `apks/{id}`. */
import type { Firestore } from '@google-cloud/firestore';
import { z } from 'zod';
import { createDocument, decodeDocument, NOW, withDeadline } from '../shared/firestore/documents.ts';
import type { PackageLedger, VerifiedPackage } from './environment/lock.ts';

const record = z.object({ sha256: z.string(), bytes: z.number() });

/** Documents read by one call. */
const BATCH = 300;

export function firestoreLedger(firestore: Firestore): PackageLedger {
  const collection = firestore.collection('apks');
  return {
    async find(ids) {
      const found = new Map<string, VerifiedPackage>();
      for (let start = 0; start < ids.length; start += BATCH) {
        const refs = ids.slice(start, start + BATCH).map((id) => collection.doc(id));
        for (const snapshot of await withDeadline('reading verified packages', firestore.getAll(...refs))) {
          if (!snapshot.exists) continue;
          found.set(
            snapshot.id,
            decodeDocument({ name: 'apk', schema: record }, snapshot.ref.path, snapshot.data()),
          );
        }
      }
      return found;
    },
    async remember(id, verified) {
      await createDocument(collection.doc(id), { ...verified, verifiedAt: NOW });
    },
  };
}
