/** Makes the topics and subscriptions that an installation needs. */
import type { PubSub } from '@google-cloud/pubsub';
import { ACK_DEADLINE_S } from '../../shared/limits.ts';
import { DEAD_LETTER_TOPIC, requiredTopics } from '../../shared/pubsub/topics.ts';

/** Deliveries of one message before Pub/Sub itself gives up on it. */
const MAX_DELIVERY_ATTEMPTS = 20;
const ALREADY_EXISTS = 6;

/** Creates what is missing; what exists is left as it is. */
export async function createTopics(pubsub: PubSub, architectures: readonly string[]): Promise<void> {
  const required = requiredTopics(architectures);
  await Promise.all(required.map(({ topic }) => unlessThere(pubsub.createTopic(topic))));
  await Promise.all(
    required.map(async ({ topic, subscription }) => {
      if (subscription === undefined) return;
      const deadLetterPolicy = {
        deadLetterTopic: pubsub.topic(DEAD_LETTER_TOPIC).name,
        maxDeliveryAttempts: MAX_DELIVERY_ATTEMPTS,
      };
      await unlessThere(
        pubsub.topic(topic).createSubscription(subscription, {
          ackDeadlineSeconds: ACK_DEADLINE_S,
          retryPolicy: { minimumBackoff: { seconds: 1 }, maximumBackoff: { seconds: 60 } },
          ...(topic === DEAD_LETTER_TOPIC ? {} : { deadLetterPolicy }),
        }),
      );
    }),
  );
}

async function unlessThere(creation: Promise<unknown>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === ALREADY_EXISTS) return;
    throw error;
  }
}
