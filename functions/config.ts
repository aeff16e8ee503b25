/** The functions' configuration: environment variables, read once. */
import { z } from 'zod';
import { PipelineError } from '../shared/errors.ts';

const environment = z.object({
  GOOGLE_CLOUD_PROJECT: z.string().min(1),
  /** Comma-separated; events of other buckets are refused. */
  SPECS_BUCKETS: z.string().min(1),
  /** Endpoint of the storage API; empty: Google's. */
  STORAGE_ENDPOINT: z.string().default(''),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
});

export interface FunctionsConfig {
  readonly projectId: string;
  readonly specsBuckets: ReadonlySet<string>;
  readonly storageEndpoint: string;
  readonly logLevel: string;
}

/** @throws PipelineError `config-invalid` that names what is wrong. */
export function readConfig(): FunctionsConfig {
  const result = environment.safeParse(process.env);
  if (!result.success) {
    const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new PipelineError({
      code: 'config-invalid',
      kind: 'infra',
      message: `environment variables: ${problems.join('; ')}`,
      hint: 'docs/configuration.md lists every setting',
    });
  }
  const { data } = result;
  return {
    projectId: data.GOOGLE_CLOUD_PROJECT,
    specsBuckets: new Set(data.SPECS_BUCKETS.split(',').map((one) => one.trim())),
    storageEndpoint: data.STORAGE_ENDPOINT,
    logLevel: data.LOG_LEVEL,
  };
}
