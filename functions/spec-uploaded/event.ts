/** The event of Cloud Storage that announces an object (`google.cloud.storage.object.v1.finalized`). */
import { z } from 'zod';
import type { ObjectGeneration } from '../../shared/identity.ts';

const finalized = z.object({
  id: z.string().min(1),
  type: z.literal('google.cloud.storage.object.v1.finalized'),
  data: z.object({
    bucket: z.string().min(1),
    name: z.string().min(1),
    generation: z.union([z.string().regex(/^\d+$/), z.number().int().nonnegative().transform(String)]),
    size: z.union([z.string().regex(/^\d+$/).transform(Number), z.number().int().nonnegative()]),
    metadata: z.record(z.string(), z.string()).default({}),
  }),
});

export interface Upload extends ObjectGeneration {
  readonly bytes: number;
  /** Custom metadata of the object, keys in lower case. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** The upload an event tells of; undefined where it is no such event (functions-framework hands over any POST). */
export function uploadOf(event: unknown): Upload | undefined {
  const result = finalized.safeParse(event);
  if (!result.success) return undefined;
  const { bucket, name, generation, size, metadata } = result.data.data;
  return {
    bucket,
    object: name,
    generation,
    bytes: size,
    metadata: Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key.toLowerCase(), value])),
  };
}
