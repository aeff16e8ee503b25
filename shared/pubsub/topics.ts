/** Names of topics and subscriptions, and publishing to them. */
import type { PubSub, Topic } from '@google-cloud/pubsub';
import { PipelineError } from '../errors.ts';
import type { JobKey } from '../firestore/job-record.ts';
import type { BuildId } from '../identity.ts';
import type { BuildEvent } from '../messages.ts';

export const REQUESTS_TOPIC = 'build-requests';
export const EVENTS_TOPIC = 'build-events';
export const DEAD_LETTER_TOPIC = 'build-dead-letters';

/** One topic per architecture: a slow one does not block another. */
export function jobsTopic(arch: string): string {
  return `package-jobs-${arch}`;
}

/** The runner's subscription to a topic. */
export function runnerSubscription(topic: string): string {
  return `${topic}-runner`;
}

/** Everything that must exist in a project, with the subscriptions of the runner and of the dead letters. */
export function requiredTopics(
  architectures: readonly string[],
): { topic: string; subscription: string | undefined }[] {
  const consumed = [REQUESTS_TOPIC, ...architectures.map(jobsTopic)];
  return [
    ...consumed.map((topic) => ({ topic, subscription: runnerSubscription(topic) })),
    { topic: EVENTS_TOPIC, subscription: undefined },
    { topic: DEAD_LETTER_TOPIC, subscription: `${DEAD_LETTER_TOPIC}-inspect` },
  ];
}

export interface DeadLetter {
  readonly topic: string;
  readonly messageId: string;
  readonly data: Uint8Array;
  readonly attributes: Readonly<Record<string, string>>;
  readonly error: PipelineError;
}

/** Publishes to the topics of one project. Every method throws `pubsub-failed` (`infra`). */
export interface Topics {
  /** Asks the runner to plan a build whose record exists. */
  requestPlan(build: BuildId): Promise<void>;
  /** Rings for a queued job. */
  ringJob(key: JobKey, arch: string): Promise<void>;
  announce(events: readonly BuildEvent[]): Promise<void>;
  /** Keeps a message that cannot be handled, with the reason. */
  bury(letter: DeadLetter): Promise<void>;
  /** Sends what still waits in batches. */
  flush(): Promise<void>;
}

/** Pub/Sub takes attribute values of at most 1024 bytes. */
function truncate(text: string): string {
  const bytes = Buffer.from(text);
  return bytes.length <= 1024
    ? text
    : bytes
        .subarray(0, 1000)
        .toString()
        .replace(/\uFFFD$/, '');
}

export function openTopics(pubsub: PubSub): Topics {
  const open = new Map<string, Topic>();
  const publish = async (
    topicName: string,
    data: Uint8Array,
    attributes: Readonly<Record<string, string>> = {},
  ): Promise<void> => {
    const topic =
      open.get(topicName) ??
      pubsub.topic(topicName, {
        batching: { maxMessages: 100, maxMilliseconds: 1 },
        gaxOpts: { timeout: 20_000 },
      });
    open.set(topicName, topic);
    try {
      await topic.publishMessage({ data, attributes: { ...attributes } });
    } catch (cause) {
      throw new PipelineError({
        code: 'pubsub-failed',
        kind: 'infra',
        message: `publishing to ${topicName}: ${cause instanceof Error ? cause.message : String(cause)}`,
        cause,
      });
    }
  };
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

  return {
    requestPlan: (build) => publish(REQUESTS_TOPIC, json({ buildId: build })),
    ringJob: (key, arch) => publish(jobsTopic(arch), json({ buildId: key.build, job: key.job })),
    async announce(events) {
      await Promise.all(
        events.map((event) =>
          publish(EVENTS_TOPIC, json(event), {
            eventId: event.id,
            kind: event.kind,
            buildId: event.buildId,
            state: event.state,
            ...(event.package === undefined ? {} : { package: event.package }),
            ...(event.arch === undefined ? {} : { arch: event.arch }),
          }),
        ),
      );
    },
    bury: (letter) =>
      publish(DEAD_LETTER_TOPIC, letter.data, {
        ...letter.attributes,
        'carryall-topic': letter.topic,
        'carryall-message-id': letter.messageId,
        'carryall-code': letter.error.code,
        'carryall-reason': truncate(letter.error.message),
      }),
    async flush() {
      await Promise.all([...open.values()].map((topic) => topic.flush()));
    },
  };
}
