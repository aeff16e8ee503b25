/** The Pub/Sub emulator with the topics of an installation. */
import { PubSub } from '@google-cloud/pubsub';
import { localArchitecture } from './architecture.ts';
import { processPart } from './parts/process-part.ts';
import type { Part } from './parts/supervisor.ts';
import { type StreamEndingProxy, startStreamEndingProxy } from './stream-ending-proxy.ts';
import { createTopics } from './topics.ts';

/** The emulator keeps nothing on disk: topics are made again whenever it starts. */
export function pubsubPart(options: {
  readonly projectId: string;
  /** Arguments of the emulator for its own port. */
  readonly args: (port: number) => readonly string[];
  /** Port that clients use. */
  readonly port: number;
  /** Port of the emulator itself. */
  readonly innerPort: number;
  readonly cwd: string;
  readonly logFolder: string;
  readonly env: Readonly<Record<string, string>>;
}): Part {
  const { cwd, logFolder, env, innerPort } = options;
  const part = processPart({
    name: 'pubsub',
    command: 'java',
    args: options.args(innerPort),
    readyUrl: `http://127.0.0.1:${innerPort}/`,
    cwd,
    logFolder,
    env,
  });
  return {
    name: part.name,
    async start(signal) {
      const started = await part.start(signal);
      const pubsub = new PubSub({
        projectId: options.projectId,
        apiEndpoint: `127.0.0.1:${innerPort}`,
        emulatorMode: true,
      });
      let proxy: StreamEndingProxy;
      try {
        await createTopics(pubsub, [localArchitecture()]);
        proxy = await startStreamEndingProxy(options.port, innerPort);
      } catch (error) {
        await started.close();
        throw error;
      } finally {
        await pubsub.close();
      }
      return {
        ...started,
        async close() {
          await proxy.close();
          await started.close();
        },
      };
    },
  };
}
