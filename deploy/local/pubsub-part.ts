/** The Pub/Sub emulator with the topics of an installation. */
import { PubSub } from '@google-cloud/pubsub';
import { localArchitecture } from './architecture.ts';
import { processPart } from './parts/process-part.ts';
import type { Part } from './parts/supervisor.ts';
import { createTopics } from './topics.ts';

/** The emulator keeps nothing on disk: topics are made again whenever it starts. */
export function pubsubPart(options: {
  readonly projectId: string;
  readonly args: readonly string[];
  readonly address: string;
  readonly cwd: string;
  readonly logFolder: string;
  readonly env: Readonly<Record<string, string>>;
}): Part {
  const part = processPart({
    ...options,
    name: 'pubsub',
    command: 'java',
    readyUrl: `http://${options.address}/`,
  });
  return {
    name: part.name,
    async start(signal) {
      const started = await part.start(signal);
      const pubsub = new PubSub({
        projectId: options.projectId,
        apiEndpoint: options.address,
        emulatorMode: true,
      });
      try {
        await createTopics(pubsub, [localArchitecture()]);
      } catch (error) {
        await started.close();
        throw error;
      } finally {
        await pubsub.close();
      }
      return started;
    },
  };
}
