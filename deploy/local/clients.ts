/** Clients of the local cloud for programs on this machine, without their environment being set. */
import { EventEmitter } from 'node:events';
import { Firestore } from '@google-cloud/firestore';
import { PubSub } from '@google-cloud/pubsub';
import { Storage } from '@google-cloud/storage';
import { type LocalCloud, PROJECT } from './local-cloud.ts';

export interface LocalClients extends AsyncDisposable {
  readonly firestore: Firestore;
  readonly pubsub: PubSub;
  readonly storage: Storage;
}

export function openLocalClients(cloud: Pick<LocalCloud, 'ports'>): LocalClients {
  // The storage client adds one listener per request to shared agents.
  EventEmitter.defaultMaxListeners = Math.max(EventEmitter.defaultMaxListeners, 100);
  const firestore = new Firestore({
    projectId: PROJECT,
    host: `127.0.0.1:${cloud.ports.firestore}`,
    ssl: false,
    customHeaders: { Authorization: 'Bearer owner' },
    ignoreUndefinedProperties: true,
  });
  const pubsub = new PubSub({
    projectId: PROJECT,
    apiEndpoint: `127.0.0.1:${cloud.ports.pubsub}`,
    emulatorMode: true,
  });
  const storage = new Storage({ projectId: PROJECT, apiEndpoint: `http://127.0.0.1:${cloud.ports.storage}` });
  return {
    firestore,
    pubsub,
    storage,
    async [Symbol.asyncDispose]() {
      await pubsub.close();
      await firestore.terminate();
    },
  };
}
