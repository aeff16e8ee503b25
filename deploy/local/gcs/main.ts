/** The Cloud Storage endpoint as a process. Prints one JSON line when it is ready; SIGTERM and SIGINT end it cleanly. */
import { pino } from 'pino';
import { asPipelineError, toErrorRecord } from '../../../shared/errors.ts';
import { readConfig } from './config.ts';
import { startStorageEndpoint } from './server.ts';

const log = pino({
  base: { part: 'storage' },
  messageKey: 'message',
  serializers: { error: pino.stdSerializers.err },
});

try {
  const endpoint = await startStorageEndpoint({ ...(await readConfig(process.argv.slice(2))), log });
  const stop = (): void => {
    void endpoint.close().then(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  log.info({ url: endpoint.url, port: endpoint.port }, 'the storage endpoint is ready');
} catch (error) {
  log.error({ error: toErrorRecord(asPipelineError(error)) }, 'the storage endpoint did not start');
  process.exitCode = 1;
}
