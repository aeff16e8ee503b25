/** What the environment says about the local cloud, read here and nowhere else. */
import { fileURLToPath } from 'node:url';

export interface LocalConfig {
  /** The checkout. */
  readonly root: string;
  /** Folder that everything local is kept in; inside the checkout and ignored by git. */
  readonly home: string;
  readonly buildkitAddress: string | undefined;
  readonly dockerHost: string | undefined;
  /** Where the Google Cloud CLI lies, if not beside `gcloud` on the path. */
  readonly sdkFolder: string | undefined;
  readonly path: string;
  /** The whole environment, which started programs inherit. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Reads `CARRYALL_HOME`, `BUILDKIT_ADDR`, `DOCKER_HOST` and `CLOUDSDK_ROOT_DIR`; all may be missing. */
export function readLocalConfig(): LocalConfig {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const environment = Object.fromEntries(
    Object.entries(process.env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
  return {
    root,
    home: environment['CARRYALL_HOME'] ?? `${root}.carryall`,
    buildkitAddress: environment['BUILDKIT_ADDR'],
    dockerHost: environment['DOCKER_HOST'],
    sdkFolder: environment['CLOUDSDK_ROOT_DIR'],
    path: environment['PATH'] ?? '/usr/bin:/bin',
    environment,
  };
}
