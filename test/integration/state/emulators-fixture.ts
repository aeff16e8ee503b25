/** The real emulators of Firestore and Pub/Sub for the tests of one file, and projects of their own for each test. */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Firestore } from '@google-cloud/firestore';
import { type Message, PubSub } from '@google-cloud/pubsub';
import { Storage } from '@google-cloud/storage';
import { readLocalConfig } from '../../../deploy/local/config.ts';
import { findEmulators } from '../../../deploy/local/emulators.ts';
import { startStorageEndpoint } from '../../../deploy/local/gcs/server.ts';
import { rememberedPorts } from '../../../deploy/local/parts/ports.ts';
import { processPart } from '../../../deploy/local/parts/process-part.ts';
import { createTopics } from '../../../deploy/local/topics.ts';
import { createEventPublisher, type EventPublisher } from '../../../runner/events/event-publisher.ts';
import { type BuildEvent, buildEvent, type JobMessage, parseJobMessage } from '../../../shared/messages.ts';
import { EVENTS_TOPIC, jobsTopic, openTopics, type Topics } from '../../../shared/pubsub/topics.ts';
import { openFirestore, silentLog } from './emulators-client.ts';

// The storage client adds one listener per request to shared agents.
EventEmitter.defaultMaxListeners = 100;

export const SPECS_BUCKET = 'specs';
export const BUILDS_BUCKET = 'builds';
export const ARCH = 'x86_64';

export interface Emulators {
  readonly firestoreAddress: string;
  /** A project that nothing has been written to, with every topic. Closed after the tests of the file. */
  openProject(): Promise<Project>;
}

export interface Project {
  readonly id: string;
  readonly firestore: Firestore;
  readonly pubsub: PubSub;
  readonly topics: Topics;
  readonly events: EventPublisher;
}

/** Starts both emulators on free ports; they end after the tests of the file. */
export async function startEmulators(): Promise<Emulators> {
  const folder = await temporaryFolder();
  const config = readLocalConfig();
  const commands = await findEmulators(config);
  const ports = await rememberedPorts(join(folder, 'ports.json'), ['firestore', 'pubsub']);
  const start = async (name: 'firestore' | 'pubsub'): Promise<string> => {
    const address = `127.0.0.1:${ports[name]}`;
    const part = processPart({
      name,
      command: 'java',
      args: commands[name](ports[name]),
      env: config.environment,
      cwd: folder,
      logFolder: folder,
      readyUrl: `http://${address}/`,
    });
    const started = await part.start(new AbortController().signal);
    after(() => started.close());
    return address;
  };
  const [firestoreAddress, pubsubAddress] = await Promise.all([start('firestore'), start('pubsub')]);
  return {
    firestoreAddress,
    async openProject() {
      const id = `test-${randomUUID().slice(0, 8)}`;
      const firestore = openFirestore(id, firestoreAddress);
      const pubsub = new PubSub({ projectId: id, apiEndpoint: pubsubAddress, emulatorMode: true });
      after(async () => {
        await pubsub.close();
        await firestore.terminate();
      });
      await createTopics(pubsub, [ARCH, 'aarch64']);
      const topics = openTopics(pubsub);
      return { id, firestore, pubsub, topics, events: createEventPublisher(topics, silentLog) };
    },
  };
}

/** A real storage endpoint with both buckets; ends after the tests of the file. */
export async function startStorage(): Promise<Storage> {
  const folder = await temporaryFolder();
  const log = { info: () => undefined, warn: () => undefined, error: console.error };
  const buckets = [SPECS_BUCKET, BUILDS_BUCKET];
  const endpoint = await startStorageEndpoint({ folder, port: 0, buckets, log });
  after(() => endpoint.close());
  return new Storage({ projectId: 'local', apiEndpoint: endpoint.url });
}

export interface Heard<T> {
  readonly messages: readonly T[];
  /** Resolves when `enough` holds for what was heard so far. */
  until(enough: (messages: readonly T[]) => boolean): Promise<void>;
}

/** Hears every event published from now on. */
export async function hearEvents(project: Project): Promise<Heard<BuildEvent>> {
  return hear(project, EVENTS_TOPIC, (data) => buildEvent.parse(JSON.parse(data.toString())));
}

/** Hears every doorbell of an architecture from now on. */
export async function hearDoorbells(project: Project, arch: string = ARCH): Promise<Heard<JobMessage>> {
  return hear(project, jobsTopic(arch), parseJobMessage);
}

/** Hears every message of a topic from now on. */
export async function hear<T>(project: Project, topic: string, read: (data: Buffer) => T): Promise<Heard<T>> {
  const messages: T[] = [];
  const [subscription] = await project.pubsub
    .topic(topic)
    .createSubscription(`${topic}-${randomUUID().slice(0, 8)}`);
  subscription.on('message', (message: Message) => {
    message.ack();
    messages.push(read(message.data));
  });
  // The project's client ends first at times; what its stream says then is of no interest.
  subscription.on('error', () => undefined);
  after(() => subscription.close());
  return {
    messages,
    until: (enough) =>
      eventually(() => enough(messages), `messages on ${topic}, of which ${messages.length} came`),
  };
}

/** Longest wait for anything that must come: the machine may be busy. */
const PATIENCE_MS = 30_000;

/** Resolves when `holds` does. */
export async function eventually(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`);
    await delay(5);
  }
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'carryall-state-'));
  after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}
