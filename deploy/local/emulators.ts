/** The Firestore and Pub/Sub emulators of the Google Cloud CLI, run as `java` itself so that they can be stopped. */
import { access, readdir, realpath } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { PipelineError } from '../../shared/errors.ts';
import type { LocalConfig } from './config.ts';

export interface EmulatorCommands {
  readonly firestore: (port: number) => readonly string[];
  readonly pubsub: (port: number) => readonly string[];
}

/**
 * Finds both emulators.
 *
 * @throws PipelineError `prerequisite-missing` that names what to install.
 */
export async function findEmulators(config: LocalConfig): Promise<EmulatorCommands> {
  if ((await onPath('java', config.path)) === undefined)
    throw missing('java', 'a Java runtime, version 17 or newer');
  const platform = join(await sdkFolder(config), 'platform');
  const firestoreJar = join(platform, 'cloud-firestore-emulator', 'cloud-firestore-emulator.jar');
  await access(firestoreJar).catch(() => {
    throw missing('the Firestore emulator', 'google-cloud-cli-firestore-emulator');
  });
  const pubsubFolder = join(platform, 'pubsub-emulator', 'lib');
  const jars = await readdir(pubsubFolder).catch(() => []);
  const pubsubJar = jars.find((name) => /^cloud-pubsub-emulator-.*-all\.jar$/.test(name));
  if (pubsubJar === undefined) throw missing('the Pub/Sub emulator', 'google-cloud-cli-pubsub-emulator');
  return {
    firestore: (port) => [
      '-Duser.language=en',
      '-Xmx1g',
      '-cp',
      firestoreJar,
      'com.google.cloud.datastore.emulator.firestore.CloudFirestore',
      '--host=127.0.0.1',
      `--port=${port}`,
    ],
    pubsub: (port) => ['-Xmx1g', '-jar', join(pubsubFolder, pubsubJar), '--host=127.0.0.1', `--port=${port}`],
  };
}

async function sdkFolder(config: LocalConfig): Promise<string> {
  if (config.sdkFolder !== undefined) return config.sdkFolder;
  const gcloud = await onPath('gcloud', config.path);
  if (gcloud === undefined) throw missing('gcloud', 'google-cloud-cli');
  return dirname(dirname(await realpath(gcloud)));
}

async function onPath(program: string, path: string): Promise<string | undefined> {
  for (const folder of path.split(delimiter)) {
    const file = join(folder, program);
    const found = await access(file).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  return undefined;
}

function missing(what: string, debianPackage: string): PipelineError {
  return new PipelineError({
    code: 'prerequisite-missing',
    kind: 'infra',
    message: `${what} is not on this machine`,
    hint: `install ${debianPackage} (packages of the Google Cloud CLI's own Debian repository, or "gcloud components install")`,
  });
}
