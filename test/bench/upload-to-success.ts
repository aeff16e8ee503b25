/** From the upload of a trivial package to the state `success`, less what BuildKit takes. */

import { decodeDocument } from '../../shared/firestore/documents.ts';
import { JOB, jobs } from '../../shared/firestore/job-record.ts';
import type { BuildId } from '../../shared/identity.ts';
import { startTestCloud, type TestCloud } from '../cloud/test-cloud.ts';
import type { Figure } from './run.ts';

const WARM_UP = 2;
const RUNS = 10;
const GOAL_S = 0.5;

const trivial = (name: string): string => `package: {name: ${name}, version: 1.0.0, epoch: 0}
environment: {contents: {packages: [busybox]}}
pipeline: [{runs: "mkdir -p \${{targets.destdir}}/usr && echo ${name} > \${{targets.destdir}}/usr/${name}"}]
`;

export async function uploadToSuccess(): Promise<readonly Figure[]> {
  await using t = await startTestCloud({ name: 'bench' });
  const overheads: number[] = [];
  const phases: Record<string, number[]> = {};
  for (let run = 0; run < WARM_UP + RUNS; run += 1) {
    const name = `trivial-${run}`;
    const startedMs = performance.now();
    const build = await t.upload(`${name}.yaml`, trivial(name));
    const metrics = await success(t, build);
    const tookMs = performance.now() - startedMs;
    if (run < WARM_UP) continue;
    overheads.push((tookMs - (metrics['solve'] ?? 0)) / 1000);
    for (const [phase, ms] of Object.entries({ ...metrics, total: tookMs })) {
      phases[phase] = [...(phases[phase] ?? []), ms];
    }
  }
  const writes: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    const startedMs = performance.now();
    await t.firestore.collection('bench').doc(`write-${run}`).create({ run });
    writes.push((performance.now() - startedMs) / 1000);
  }
  return [
    {
      what: `upload to success less the solve, median of ${RUNS}`,
      value: median(overheads),
      unit: 's',
      goal: GOAL_S,
    },
    {
      what: 'the same, in commits of one document (the yardstick)',
      value: median(overheads) / median(writes),
      unit: 'x',
    },
    ...Object.entries(phases).map(([phase, values]) => ({
      what: `  ${phase}`,
      value: median(values),
      unit: 'ms',
    })),
  ];
}

async function success(t: TestCloud, build: BuildId): Promise<Readonly<Record<string, number>>> {
  const { promise, resolve, reject } = Promise.withResolvers<Readonly<Record<string, number>>>();
  const unsubscribe = jobs(t.firestore, build).onSnapshot((snapshot) => {
    for (const one of snapshot.docs) {
      const job = decodeDocument(JOB, one.ref.path, one.data());
      if (job.state === 'success') resolve(job.metrics);
      if (job.state === 'failed') reject(new Error(job.error?.message));
    }
  }, reject);
  try {
    return await promise;
  } finally {
    unsubscribe();
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
