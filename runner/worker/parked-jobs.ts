/** Jobs that found no backend slot: rung for when one becomes free. Lost with the process; the reaper rings then. */
import type { JobKey } from '../../shared/firestore/job-record.ts';
import type { Log } from '../../shared/log.ts';
import type { Topics } from '../../shared/pubsub/topics.ts';

export interface ParkedJobs {
  add(key: JobKey, arch: string): void;
  /** Rings for the job of each architecture that has waited longest: a slot serves one architecture only. */
  ringNext(): void;
  readonly size: number;
}

export function createParkedJobs(topics: Topics, log: Log): ParkedJobs {
  const parked = new Map<string, { readonly key: JobKey; readonly arch: string }>();
  return {
    add(key, arch) {
      parked.set(`${key.build}/${key.job}`, { key, arch });
    },
    ringNext() {
      const served = new Set<string>();
      for (const [id, { key, arch }] of parked) {
        if (served.has(arch)) continue;
        served.add(arch);
        parked.delete(id);
        topics.ringJob(key, arch).catch((error: unknown) => {
          log.warn({ buildId: key.build, job: key.job, error }, 'job not rung for');
        });
      }
    },
    get size() {
      return parked.size;
    },
  };
}
