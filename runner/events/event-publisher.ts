/** Publishes what waits in the outboxes of builds and jobs, in order, and takes it out. At least once. */
import type { DocumentReference } from '@google-cloud/firestore';
import { BUILD, type BuildRecord } from '../../shared/firestore/build-record.ts';
import { changeDocument, type DocumentType, type Stored } from '../../shared/firestore/documents.ts';
import { JOB, type JobRecord, jobKeyOf } from '../../shared/firestore/job-record.ts';
import { type EventSubject, eventsDone, type Outbox, waitingEvents } from '../../shared/firestore/outbox.ts';
import type { Log } from '../../shared/log.ts';
import type { Topics } from '../../shared/pubsub/topics.ts';

export interface EventPublisher {
  /** Publishes a job's waiting events, in the background. What fails is left to the reaper. */
  job(stored: Stored<JobRecord>): void;
  build(stored: Stored<BuildRecord>): void;
  /** Settles when nothing is being published. */
  idle(): Promise<void>;
}

export function createEventPublisher(topics: Topics, log: Log): EventPublisher {
  /** One publication at a time per document, so that its events stay in order; each event once. */
  const running = new Map<string, Promise<number>>();

  const publish = <T extends Outbox>(
    type: DocumentType<T>,
    stored: Stored<T>,
    subject: EventSubject,
  ): void => {
    const { path } = stored.ref;
    const work = (running.get(path) ?? Promise.resolve(0))
      .then((after) => publishWaiting(topics, type, { stored, subject, after }))
      .catch((error: unknown) => {
        log.warn({ document: path, error }, 'events not published');
        return 0;
      })
      .finally(() => {
        if (running.get(path) === work) running.delete(path);
      });
    running.set(path, work);
  };

  return {
    job: (stored) => publish(JOB, stored, jobSubject(stored.ref, stored.data)),
    build: (stored) => publish(BUILD, stored, { kind: 'build', buildId: stored.ref.id }),
    async idle() {
      while (running.size > 0) await Promise.all(running.values());
    },
  };
}

function jobSubject(ref: DocumentReference, record: JobRecord): EventSubject {
  return { kind: 'job', buildId: jobKeyOf(ref).build, package: record.package, arch: record.arch };
}

async function publishWaiting<T extends Outbox>(
  topics: Topics,
  type: DocumentType<T>,
  what: { readonly stored: Stored<T>; readonly subject: EventSubject; readonly after: number },
): Promise<number> {
  const { stored, subject, after } = what;
  const events = waitingEvents(stored.data, subject).filter((event) => event.seq > after);
  const last = events.at(-1);
  if (last === undefined) return after;
  await topics.announce(events);
  await changeDocument({
    type,
    ref: stored.ref,
    decide: ({ data }) => (data.eventsPublished < last.seq ? eventsDone(data, last.seq) : undefined),
  });
  return last.seq;
}
