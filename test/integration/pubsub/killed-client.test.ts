import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Duration, type Message, PubSub, type Subscription } from '@google-cloud/pubsub';
import { readLocalConfig } from '../../../deploy/local/config.ts';
import { findEmulators } from '../../../deploy/local/emulators.ts';
import { rememberedPorts } from '../../../deploy/local/parts/ports.ts';
import type { StartedPart } from '../../../deploy/local/parts/supervisor.ts';
import { pubsubPart } from '../../../deploy/local/pubsub-part.ts';

const PROJECT = 'killed-client';
let folder: string;
let port: number;
let part: StartedPart;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'carryall-pubsub-'));
  const config = readLocalConfig();
  const emulators = await findEmulators(config);
  const ports = await rememberedPorts(join(folder, 'ports.json'), ['outer', 'inner']);
  port = ports.outer;
  part = await pubsubPart({
    projectId: PROJECT,
    args: emulators.pubsub,
    port,
    innerPort: ports.inner,
    cwd: config.root,
    logFolder: folder,
    env: config.environment,
  }).start(new AbortController().signal);
});
after(async () => {
  await part?.close();
  await rm(folder, { recursive: true });
});

function subscribe(pubsub: PubSub, name: string): Subscription {
  const ten = Duration.from({ seconds: 10 });
  return pubsub.subscription(name, {
    minAckDeadline: ten,
    maxAckDeadline: ten,
    streamingOptions: { maxStreams: 1 },
  });
}

test('messages do not go to a client that was killed', async () => {
  const pubsub = new PubSub({ projectId: PROJECT, apiEndpoint: `127.0.0.1:${port}`, emulatorMode: true });
  const [topic] = await pubsub.createTopic('topic');
  await topic.createSubscription('subscription');
  const client = `
    import { PubSub } from '@google-cloud/pubsub';
    const pubsub = new PubSub({ projectId: '${PROJECT}', apiEndpoint: '127.0.0.1:${port}', emulatorMode: true });
    pubsub.subscription('subscription', { streamingOptions: { maxStreams: 1 } }).on('message', () => undefined);
  `;
  for (let round = 0; round < 2; round += 1) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', client], { stdio: 'inherit' });
    await sleep(3000);
    child.kill('SIGKILL');
  }
  await sleep(1000);
  const seen = new Map<string, number>();
  const subscription = subscribe(pubsub, 'subscription');
  subscription.on('message', (message: Message) => {
    seen.set(message.data.toString(), performance.now());
    message.ack();
  });
  await sleep(1000);
  const sentMs = performance.now();
  for (let index = 0; index < 12; index += 1) {
    await topic.publishMessage({ data: Buffer.from(`m${index}`) });
  }
  for (let tries = 0; tries < 50 && seen.size < 12; tries += 1) await sleep(100);
  await subscription.close();
  await pubsub.close();
  assert.equal(seen.size, 12, 'all messages came');
  assert.ok(Math.max(...seen.values()) - sentMs < 5000, 'none had to wait for an acknowledgement deadline');
});
