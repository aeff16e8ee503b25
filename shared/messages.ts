/** Messages on the topics. External systems write build requests, so these are validated and explained. */
import { z } from 'zod';
import { ARCHITECTURE_NAMES } from './build-file/architecture.ts';
import { ERROR_CODES, PipelineError } from './errors.ts';
import { REQUEST_BYTES } from './limits.ts';
import { BUILD_STATES, JOB_STATES } from './states.ts';

const relativePath = z
  .string()
  .refine(
    (path) => path.split('/').every((name) => name !== '' && name !== '..') && !path.includes('\0'),
    'must be a relative path without ".."',
  );

const architecture = z.enum(ARCHITECTURE_NAMES);

const JOB_NAME = /^[^/@]+@[a-z0-9_]+$/;
const JOB_NAME_HINT = 'must be <package>@<arch>';

const buildId = z.string().regex(/^bld-[0-9a-f]{26}$/, 'must be bld- and 26 hexadecimal digits');

/** Options that every kind of request may carry. */
export const buildOptions = z.object({
  /** Architectures to build for; empty: those the build file names and a backend exists for. */
  arch: z.array(architecture).default([]),
  /** Labels a backend must have. */
  backend_selector: z.record(z.string(), z.string()).default({}),
  with_test: z.boolean().default(false),
  debug: z.boolean().default(false),
  mode: z.enum(['flat', 'dag']).default('dag'),
});

export type BuildOptions = z.infer<typeof buildOptions>;

/** The record exists already; plan it. Written by the function `spec-uploaded` and by the reaper. */
const planMessage = z.object({ buildId });

/** A request of another system: build files inline, or one in a specs bucket. Same shape as `POST /api/v1/builds`. */
const requestMessage = z
  .object({
    configs: z.array(z.string().min(1)).optional(),
    config_yaml: z.string().min(1).optional(),
    /** `gs://bucket/path/name.yaml`, optionally `#generation`. */
    source: z
      .string()
      .regex(/^gs:\/\/[^/]+\/.+/, 'gs://bucket/object')
      .optional(),
    pipelines: z.record(relativePath, z.string()).default({}),
    source_files: z.record(z.string(), z.record(relativePath, z.string())).default({}),
    /** Lock documents by `<package>@<arch>`; the planner checks each. */
    locks: z.record(z.string().regex(JOB_NAME, JOB_NAME_HINT), z.unknown()).optional(),
    arch: z.union([architecture, z.array(architecture)]).optional(),
    ...buildOptions.omit({ arch: true }).shape,
  })
  .refine(
    (request) =>
      (request.configs?.length ?? 0) > 0 || request.config_yaml !== undefined || request.source !== undefined,
    'one of configs, config_yaml or source is needed',
  );

export type PlanMessage = z.infer<typeof planMessage>;
export type RequestMessage = z.infer<typeof requestMessage>;

/** A message on `build-requests`. */
export type BuildRequest =
  | { readonly type: 'plan'; readonly message: PlanMessage }
  | { readonly type: 'request'; readonly message: RequestMessage };

/** A message on `package-jobs-{arch}`: a doorbell, the record is the truth. */
export const jobMessage = z.object({
  buildId,
  /** `<package>@<arch>`: the name of a document. */
  job: z.string().regex(JOB_NAME, JOB_NAME_HINT),
});

export type JobMessage = z.infer<typeof jobMessage>;

const eventError = z.object({
  code: z.enum(ERROR_CODES),
  kind: z.string(),
  message: z.string(),
  hint: z.string().optional(),
});

/** A message on `build-events`. Delivered at least once: `id` tells repetitions. */
export const buildEvent = z.object({
  id: z.string(),
  kind: z.enum(['build', 'job']),
  buildId: z.string(),
  package: z.string().optional(),
  arch: z.string().optional(),
  state: z.enum([...new Set([...BUILD_STATES, ...JOB_STATES])]),
  epoch: z.number().int().optional(),
  seq: z.number().int().positive(),
  /** RFC 3339, the server's clock. */
  time: z.string(),
  error: eventError.optional(),
});

export type BuildEvent = z.infer<typeof buildEvent>;

/**
 * Reads a message of the topic `build-requests`.
 *
 * @throws PipelineError `message-malformed` (`user`) that names the field and what is wrong with it.
 */
export function parseBuildRequest(data: Uint8Array): BuildRequest {
  const json = parseJson(data, 'build-requests');
  if (typeof json === 'object' && json !== null && 'buildId' in json) {
    return { type: 'plan', message: check(planMessage, json, 'build-requests') };
  }
  return { type: 'request', message: check(requestMessage, json, 'build-requests') };
}

/** @throws PipelineError `message-malformed`. */
export function parseJobMessage(data: Uint8Array): JobMessage {
  return check(jobMessage, parseJson(data, 'package-jobs'), 'package-jobs');
}

function parseJson(data: Uint8Array, topic: string): unknown {
  if (data.length > REQUEST_BYTES)
    throw malformed(topic, `${data.length} bytes are more than ${REQUEST_BYTES}`);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data));
  } catch (cause) {
    throw malformed(topic, 'it is not JSON in UTF-8', cause);
  }
}

function check<T>(schema: z.ZodType<T>, value: unknown, topic: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw malformed(topic, result.error.issues.flatMap((issue) => explain(issue, [])).join('; '), result.error);
}

/** `field: what is wrong`, also of what lies inside a union or the key of a record. */
function explain(issue: z.core.$ZodIssue, above: readonly PropertyKey[]): string[] {
  const path = [...above, ...issue.path];
  const inner =
    issue.code === 'invalid_key'
      ? issue.issues
      : issue.code === 'invalid_union'
        ? issue.errors.reduce((best, one) => (depth(one) > depth(best) ? one : best), [])
        : [];
  if (inner.length > 0) return inner.flatMap((one) => explain(one, path));
  const where = path.map(String).join('.');
  return [where === '' ? issue.message : `${where}: ${issue.message}`];
}

/** How far a form of a union fits: the deeper its problems lie, the likelier it was meant. */
function depth(issues: readonly z.core.$ZodIssue[]): number {
  return issues.length === 0 ? -1 : Math.max(...issues.map((issue) => issue.path.length));
}

function malformed(topic: string, what: string, cause?: unknown): PipelineError {
  return new PipelineError({
    code: 'message-malformed',
    kind: 'user',
    message: `a message on ${topic} cannot be read: ${what}`,
    hint: 'docs/messages.md shows the accepted forms',
    cause,
  });
}
