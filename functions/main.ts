/** What is deployed to Cloud Functions. */
import { EventEmitter } from 'node:events';
import { Firestore } from '@google-cloud/firestore';
import { cloudEvent } from '@google-cloud/functions-framework';
import { PubSub } from '@google-cloud/pubsub';
import { Storage } from '@google-cloud/storage';
import { createLog } from '../shared/log.ts';
import { openTopics } from '../shared/pubsub/topics.ts';
import { readConfig } from './config.ts';
import { handleUpload } from './spec-uploaded/handle-upload.ts';

// The storage client adds one listener per request to shared agents; with many events that is no leak.
EventEmitter.defaultMaxListeners = 100;

const config = readConfig();
const { projectId } = config;
const context = {
  firestore: new Firestore({ projectId, ignoreUndefinedProperties: true }),
  storage: new Storage({
    projectId,
    ...(config.storageEndpoint === '' ? {} : { apiEndpoint: config.storageEndpoint }),
  }),
  topics: openTopics(new PubSub({ projectId })),
  specsBuckets: config.specsBuckets,
  log: createLog('spec-uploaded', config.logLevel),
};

/** Deploy with `--retry`: an error means that the event has to come again; an invalid file is no error. */
cloudEvent('spec-uploaded', (event: unknown) => handleUpload(context, event));
