/** The runner's configuration: environment variables, read once, checked as a whole. */
import { readFile } from 'node:fs/promises';
import { CORE_SCHEMA, load } from 'js-yaml';
import { z } from 'zod';
import { ARCHITECTURE_NAMES } from '../shared/build-file/architecture.ts';
import { PipelineError } from '../shared/errors.ts';
import * as limits from '../shared/limits.ts';

const seconds = (ms: number): z.ZodDefault<z.ZodCoercedNumber> =>
  z.coerce
    .number()
    .positive()
    .default(ms / 1000);

const environment = z.object({
  GOOGLE_CLOUD_PROJECT: z.string().min(1),
  BUILDS_BUCKET: z.string().min(1),
  /** Comma-separated. */
  SPECS_BUCKETS: z.string().min(1),
  /** Endpoint of the storage API; empty: Google's. */
  STORAGE_ENDPOINT: z.string().default(''),
  /** YAML file with the backends, and with the repositories. */
  BACKENDS_FILE: z.string().min(1),
  REPOSITORIES_FILE: z.string().min(1),
  /** Private key packages are signed with; the file's name is the key's name. */
  SIGNING_KEY_FILE: z.string().min(1),
  SIGNING_KEY_PASSPHRASE: z.string().optional(),
  /** Where HTTP listens. */
  PORT: z.coerce.number().int().min(0).default(8080),
  HOST: z.string().default('0.0.0.0'),
  /** Jobs at the same time. */
  MAX_JOBS: z.coerce.number().int().positive().default(8),
  PACKAGING_THREADS: z.coerce.number().int().positive().default(2),
  /** Steps use the host's network instead of BuildKit's sandbox: for one machine only. */
  STEP_NETWORK: z.enum(['sandbox', 'host']).default('sandbox'),
  /** `local` allows what a production installation refuses: host networking, repositories over plain HTTP. */
  CARRYALL_SETTING: z.enum(['production', 'local']).default('production'),
  /** Comma-separated package names whose closure most environments share. */
  BASE_PACKAGES: z.string().default(''),
  PACKAGE_NAMESPACE: z.string().default('unknown'),
  SOURCE_DATE_EPOCH: z.coerce.number().int().nonnegative().default(0),
  SPOOL_FOLDER: z.string().optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
  LEASE_SECONDS: seconds(limits.LEASE_MS),
  REAPER_SECONDS: seconds(limits.REAPER_INTERVAL_MS),
  ACK_DEADLINE_SECONDS: seconds(limits.ACK_DEADLINE_S * 1000),
  DRAIN_SECONDS: seconds(limits.DRAIN_MS),
});

const backendsFile = z.object({
  backends: z.array(
    z.object({
      addr: z.string().min(1),
      arch: z.enum(ARCHITECTURE_NAMES),
      labels: z.record(z.string(), z.string()).default({}),
      maxJobs: z.number().int().positive().default(4),
    }),
  ),
});

/** As in `URL.host`, where the port stands only if it is not the usual one. */
const withoutUsualPort = (host: string): string => host.replace(/:443$/, '');

const repositoriesFile = z.object({
  repositories: z.array(
    z.object({
      /** How locks and packages name it. */
      location: z.string().min(1),
      /** Where it is fetched from, if that is another place. */
      url: z.url().optional(),
      /** Paths of the public keys it is signed with. */
      keys: z.array(z.string()),
    }),
  ),
  /** Hosts of repositories that a build file may name. */
  allowedHosts: z
    .array(
      z.object({
        host: z
          .string()
          .regex(
            /^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:[1-9][0-9]*)?$/,
            'must be a host in lower case, "*.domain" for all below it, with ":port" unless that is 443',
          )
          .transform(withoutUsualPort),
        /** Paths of the public keys that its repositories are signed with. */
        keys: z.array(z.string()).default([]),
      }),
    )
    .default([]),
  /** What hosts of repositories are shown. */
  credentials: z
    .array(
      z
        .object({
          host: z
            .string()
            .regex(
              /^[a-z0-9-]+(\.[a-z0-9-]+)*(:[1-9][0-9]*)?$/,
              'must be one host in lower case, with ":port" unless that is 443',
            )
            .transform(withoutUsualPort),
          /** Path of a file with `user:password`. */
          basicFile: z.string().min(1).optional(),
          /** Path of a file with a bearer token. */
          bearerFile: z.string().min(1).optional(),
        })
        .refine(
          (one) => (one.basicFile === undefined) !== (one.bearerFile === undefined),
          'must have either basicFile or bearerFile',
        ),
    )
    .default([]),
});

export type RepositoryConfig = z.infer<typeof repositoriesFile>['repositories'][number];
export type AllowedHostConfig = z.infer<typeof repositoriesFile>['allowedHosts'][number];
export type CredentialsConfig = z.infer<typeof repositoriesFile>['credentials'][number];

export interface RunnerConfig extends z.infer<typeof environment> {
  readonly specsBuckets: readonly string[];
  readonly basePackages: readonly string[];
  readonly backends: z.infer<typeof backendsFile>['backends'];
  readonly repositories: readonly RepositoryConfig[];
  readonly allowedHosts: readonly AllowedHostConfig[];
  readonly credentials: readonly CredentialsConfig[];
}

/** @throws PipelineError `config-invalid` that names every variable and file entry that is wrong. */
export async function readConfig(): Promise<RunnerConfig> {
  const env = check(environment, process.env, 'environment variables');
  const backends = check(backendsFile, await readYaml(env.BACKENDS_FILE), env.BACKENDS_FILE);
  const repositories = check(repositoriesFile, await readYaml(env.REPOSITORIES_FILE), env.REPOSITORIES_FILE);
  if (env.CARRYALL_SETTING === 'production') {
    if (env.STEP_NETWORK === 'host')
      throw invalid('STEP_NETWORK=host is for one machine only (CARRYALL_SETTING=local)');
    const plain = repositories.repositories.find((one) => /^http:/i.test(one.url ?? one.location));
    if (plain !== undefined) throw invalid(`the repository ${plain.location} is not reached over https`);
  }
  const open = repositories.repositories.find((one) => carriesCredentials(one.url ?? one.location));
  if (open !== undefined) {
    throw invalid(`the URL of the repository ${open.location} carries credentials: give them in a file`);
  }
  return {
    ...env,
    specsBuckets: list(env.SPECS_BUCKETS),
    basePackages: list(env.BASE_PACKAGES),
    backends: backends.backends,
    repositories: repositories.repositories,
    allowedHosts: repositories.allowedHosts,
    credentials: repositories.credentials,
  };
}

function carriesCredentials(location: string): boolean {
  const url = URL.parse(location);
  return url !== null && (url.username !== '' || url.password !== '');
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

async function readYaml(path: string): Promise<unknown> {
  try {
    return load(await readFile(path, 'utf8'), { schema: CORE_SCHEMA, filename: path });
  } catch (cause) {
    throw invalid(`${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

function check<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw invalid(`${where}: ${problems.join('; ')}`, result.error);
}

function invalid(message: string, cause?: unknown): PipelineError {
  return new PipelineError({
    code: 'config-invalid',
    kind: 'infra',
    message,
    hint: 'docs/configuration.md lists every setting',
    cause,
  });
}
