/** What the test of many environments and its child process tell each other. */
import { z } from 'zod';
import { ARCHITECTURE_NAMES } from '../../../shared/build-file/architecture.ts';

export const childInput = z.object({
  arch: z.enum(ARCHITECTURE_NAMES),
  repositoryUrl: z.string(),
  publicKeyName: z.string(),
  publicKey: z.string(),
  /** Of a key that packages could be signed with. */
  keyFolder: z.string(),
  keyName: z.string(),
  firestoreProject: z.string(),
  firestoreAddress: z.string(),
  storageUrl: z.string(),
  bucket: z.string(),
  buildkitAddress: z.string(),
  base: z.array(z.string()),
  worlds: z.array(z.array(z.string())),
});

export const childOutput = z.object({
  seconds: z.number(),
  /** Of the whole process. */
  peakRssMb: z.number(),
  startRssMb: z.number(),
  /** Packages of all environments together. */
  packages: z.number(),
});

export type ChildInput = z.infer<typeof childInput>;
export type ChildOutput = z.infer<typeof childOutput>;
