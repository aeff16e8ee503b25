/** What the test of many environments and its child process tell each other. */
import { z } from 'zod';

export const childInput = z.object({
  arch: z.string(),
  repositoryUrl: z.string(),
  keyName: z.string(),
  publicKey: z.string(),
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
