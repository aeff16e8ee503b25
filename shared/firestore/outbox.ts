/**
 * Events that wait to be published. A change of state writes its event into the same document in the same commit, so
 * a state without its event cannot exist; whoever publishes it then removes it.
 */
import { Timestamp } from '@google-cloud/firestore';
import { z } from 'zod';
import { ERROR_CODES, type ErrorRecord } from '../errors.ts';
import type { BuildEvent } from '../messages.ts';
import { BUILD_STATES, type BuildState, JOB_STATES, type JobState } from '../states.ts';
import { NOW, type Patch, REMOVE } from './documents.ts';

export const timestamp = z.instanceof(Timestamp);

export const errorRecord = z.object({
  code: z.enum(ERROR_CODES),
  kind: z.enum(['user', 'infra', 'timeout', 'cancelled', 'superseded', 'bug']),
  message: z.string(),
  hint: z.string().optional(),
  step: z.string().optional(),
  position: z.object({ file: z.string(), line: z.number(), column: z.number() }).optional(),
});

const waitingEvent = z.object({
  state: z.enum([...new Set([...BUILD_STATES, ...JOB_STATES])]),
  epoch: z.number().int().nullable(),
  at: timestamp,
  error: errorRecord.nullable(),
});

/** The fields of a document that announces its changes. */
export const outboxFields = {
  /** Number of the last event. */
  eventSeq: z.number().int(),
  /** Number of the last event that was published; the ones between are in `outbox`. */
  eventsPublished: z.number().int(),
  /** Whether anything waits: what the reaper asks for. */
  eventsWaiting: z.boolean(),
  /** By `e` and the event's number. */
  outbox: z.record(z.string(), waitingEvent),
};

const outboxShape = z.object(outboxFields);
export type Outbox = z.infer<typeof outboxShape>;

export interface Announcement {
  readonly state: BuildState | JobState;
  readonly epoch?: number;
  readonly error?: ErrorRecord | undefined;
}

/** Outbox of a new document, whose creation is its first event. */
export function firstEvent(announcement: Announcement): Patch {
  return { eventSeq: 1, eventsPublished: 0, eventsWaiting: true, outbox: { e1: waiting(announcement) } };
}

/** Fields to write together with a change of state. */
export function nextEvent(record: Outbox, announcement: Announcement): Patch {
  const seq = record.eventSeq + 1;
  return { eventSeq: seq, eventsWaiting: true, [`outbox.e${seq}`]: waiting(announcement) };
}

/** Fields to write after the events up to `seq` were published. */
export function eventsDone(record: Outbox, seq: number): Patch {
  const done: Record<string, unknown> = {};
  for (const key of Object.keys(record.outbox)) {
    if (Number(key.slice(1)) <= seq) done[`outbox.${key}`] = REMOVE;
  }
  return { eventsPublished: seq, eventsWaiting: seq < record.eventSeq, ...done };
}

export interface EventSubject {
  readonly kind: 'build' | 'job';
  readonly buildId: string;
  readonly package?: string;
  readonly arch?: string;
}

/** The events that wait, oldest first, in the form in which they are published. */
export function waitingEvents(record: Outbox, subject: EventSubject): BuildEvent[] {
  return Object.entries(record.outbox)
    .map(([key, event]) => ({ seq: Number(key.slice(1)), event }))
    .sort((a, b) => a.seq - b.seq)
    .map(({ seq, event }) => {
      const job = subject.package === undefined ? '' : `/${subject.package}@${subject.arch}`;
      return {
        id: `${subject.buildId}${job}:${event.epoch ?? 0}:${seq}`,
        ...subject,
        state: event.state,
        ...(event.epoch === null ? {} : { epoch: event.epoch }),
        seq,
        time: event.at.toDate().toISOString(),
        ...(event.error === null
          ? {}
          : {
              error: {
                code: event.error.code,
                kind: event.error.kind,
                message: event.error.message,
                ...(event.error.hint === undefined ? {} : { hint: event.error.hint }),
              },
            }),
      };
    });
}

function waiting(announcement: Announcement): Record<string, unknown> {
  return {
    state: announcement.state,
    epoch: announcement.epoch ?? null,
    at: NOW,
    error: announcement.error ?? null,
  };
}
