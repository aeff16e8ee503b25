/** Consumes one subscription: as many messages at a time as allowed, each held until its work is done. */
import { Duration, type Message, type PubSub, type Subscription } from '@google-cloud/pubsub';
import { asPipelineError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Topics } from '../../shared/pubsub/topics.ts';

/** What a handler made of a message: done, or to be delivered again. */
export type Outcome = 'ack' | 'nack';

export interface ConsumerOptions {
  readonly pubsub: PubSub;
  readonly topic: string;
  readonly subscription: string;
  /** Messages handled at the same time. */
  readonly maxMessages: number;
  readonly ackDeadlineS: number;
  readonly ackExtensionS: number;
  /** Handles one message. An error of kind `user` is final: the message goes to the dead letters. */
  readonly handle: (message: Message) => Promise<Outcome>;
  readonly topics: Topics;
  readonly log: Log;
}

export interface Consumer {
  /** Stops taking messages. Those that are handled go on and are still extended. */
  stop(): void;
  /** Settles when no message is handled any more. */
  idle(): Promise<void>;
  /** Gives back what is still held and ends. */
  close(): Promise<void>;
}

/** Pause before a broken stream is opened again; doubles up to the second number. */
const REOPEN_MS = [500, 15_000] as const;

/** Starts consuming. The stream is opened again whenever it ends, which the client library does not always do. */
export function startConsumer(options: ConsumerOptions): Consumer {
  const { log, topics } = options;
  const running = new Set<Promise<void>>();
  let stopped = false;
  let closing = false;
  let reopenMs: number = REOPEN_MS[0];
  let reopenTimer: NodeJS.Timeout | undefined;
  let subscription = open();

  function open(): Subscription {
    const opened = options.pubsub.subscription(options.subscription, {
      flowControl: { maxMessages: options.maxMessages, allowExcessMessages: false },
      minAckDeadline: Duration.from({ seconds: options.ackDeadlineS }),
      maxAckDeadline: Duration.from({ seconds: options.ackDeadlineS }),
      maxExtensionTime: Duration.from({ seconds: options.ackExtensionS }),
      streamingOptions: { maxStreams: 1 },
      batching: { maxMilliseconds: 10 },
      closeOptions: { behavior: 'NACK', timeout: Duration.from({ seconds: 1 }) },
    });
    opened.on('message', (message: Message) => {
      if (stopped) {
        message.nack();
        return;
      }
      reopenMs = REOPEN_MS[0];
      const work = settle(message).finally(() => running.delete(work));
      running.add(work);
    });
    opened.on('error', (error: Error) => reopen(opened, error));
    opened.on('close', () => reopen(opened, undefined));
    return opened;
  }

  function reopen(broken: Subscription, error: Error | undefined): void {
    if (closing || broken !== subscription || reopenTimer !== undefined) return;
    log.warn({ subscription: options.subscription, error, retryMs: reopenMs }, 'subscription stream ended');
    reopenTimer = setTimeout(() => {
      reopenTimer = undefined;
      if (closing) return;
      broken.removeAllListeners('message');
      subscription = open();
      broken.close().catch((cause: unknown) => log.debug({ error: cause }, 'closing a broken stream failed'));
    }, reopenMs);
    reopenMs = Math.min(reopenMs * 2, REOPEN_MS[1]);
  }

  async function settle(message: Message): Promise<void> {
    try {
      if ((await options.handle(message)) === 'ack') message.ack();
      else message.nack();
    } catch (thrown) {
      await settleFailure(message, thrown);
    }
  }

  async function settleFailure(message: Message, thrown: unknown): Promise<void> {
    const error = asPipelineError(thrown);
    log.error(
      { subscription: options.subscription, messageId: message.id, code: error.code, error },
      'message not handled',
    );
    if (error.kind !== 'user') {
      message.nack();
      return;
    }
    try {
      const { id: messageId, data, attributes } = message;
      await topics.bury({ topic: options.topic, messageId, data, attributes, error });
      message.ack();
    } catch (cause) {
      log.error({ messageId: message.id, error: cause }, 'dead letter not published');
      message.nack();
    }
  }

  return {
    stop() {
      stopped = true;
    },
    async idle() {
      while (running.size > 0) await Promise.allSettled(running);
    },
    async close() {
      stopped = true;
      closing = true;
      clearTimeout(reopenTimer);
      subscription.removeAllListeners('close');
      await subscription.close();
    },
  };
}
