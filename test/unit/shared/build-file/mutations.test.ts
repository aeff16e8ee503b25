import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';

const program = fileURLToPath(new URL('./mutations.ts', import.meta.url));
const result = z.object({ done: z.number(), slowestMs: z.number(), rssMiB: z.number() });

const MUTATIONS = 10_000;
const PROCESSES = 2;
/** Of one mutation, from its text to its diagnostics or its printed plan. */
const LIMIT_MS = 1000;
/** Of the whole process, Node and all build files included. */
const LIMIT_MIB = 200;

test(`${MUTATIONS} build files with random changes of bytes: none crashes, hangs, or takes more than ${LIMIT_MS} ms or ${LIMIT_MIB} MiB`, async (context) => {
  const each = MUTATIONS / PROCESSES;
  const ran = await Promise.all(
    Array.from({ length: PROCESSES }, (_, index) =>
      promisify(execFile)(
        process.execPath,
        ['--max-old-space-size=150', program, String(index * each), String(each)],
        { timeout: 10 * 60_000 },
      ),
    ),
  );
  for (const { stdout } of ran) {
    const lines = stdout.trim().split('\n');
    const { done, slowestMs, rssMiB } = result.parse(JSON.parse(lines.pop() ?? ''));
    context.diagnostic(
      `${done} mutations, slowest ${slowestMs} ms, ${rssMiB} MiB; slow ones: ${lines.join(' ')}`,
    );
    assert.equal(done, each);
    assert.ok(slowestMs <= LIMIT_MS, lines.join('\n'));
    assert.ok(rssMiB <= LIMIT_MIB, `${rssMiB} MiB`);
  }
});
