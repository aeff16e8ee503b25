import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { buildEvent, parseBuildRequest, parseJobMessage } from '../../../shared/messages.ts';
import { BUILD_STATES, JOB_STATES } from '../../../shared/states.ts';
import { documents, ROOT, readProjectFile, section, tableRows } from './sources.ts';

test('every relative link of the documents leads to a file', async () => {
  const broken: string[] = [];
  for (const { path, text } of await documents()) {
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:|^#/.test(target)) continue;
      const file = join(ROOT, dirname(path), target.replace(/#.*$/, ''));
      await access(file).catch(() => broken.push(`${path}: ${target}`));
    }
  }
  assert.deepEqual(broken, []);
});

test('every path in backquotes that begins with a folder of the checkout is there', async () => {
  const missing: string[] = [];
  for (const { path, text } of await documents()) {
    for (const [, target = ''] of text.matchAll(
      /`((?:functions|runner|shared|test|deploy|docs|examples)\/[\w./-]+)`/g,
    )) {
      await access(join(ROOT, target)).catch(() => missing.push(`${path}: ${target}`));
    }
  }
  assert.deepEqual(missing, []);
});

test('every make target in the documents is one of the Makefile', async () => {
  const makefile = await readProjectFile('Makefile');
  const targets = new Set([...makefile.matchAll(/^([a-z-]+):/gm)].map((match) => match[1]));
  for (const { path, text } of await documents()) {
    for (const [, target] of text.matchAll(/`make ([a-z-]+)`|^make ([a-z-]+)/gm)) {
      if (target !== undefined) assert.ok(targets.has(target), `${path}: make ${target}`);
    }
  }
});

test('docs/architecture.md lists the states of jobs and builds, each once, in the order of the code', async () => {
  const text = await readProjectFile('docs/architecture.md');
  const names = (heading: string): string[] => tableRows(section(text, heading)).map((row) => row.name);
  assert.deepEqual(names('### States of a job'), [...JOB_STATES]);
  assert.deepEqual(names('### States of a build'), [...BUILD_STATES]);
});

test('the examples of docs/messages.md are accepted by the code that reads such messages', async () => {
  const text = await readProjectFile('docs/messages.md');
  const requests = examples(text, 'build-requests');
  const jobs = examples(text, 'package-jobs');
  const events = examples(text, 'build-events');
  assert.ok(requests.length >= 3 && jobs.length >= 1 && events.length >= 2);
  for (const one of requests) parseBuildRequest(Buffer.from(one));
  for (const one of jobs) parseJobMessage(Buffer.from(one));
  for (const one of events) buildEvent.parse(JSON.parse(one));
});

/** Code blocks that begin with the word `json` and a topic. */
function examples(markdown: string, topic: string): string[] {
  return [...markdown.matchAll(new RegExp(`^\`\`\`json ${topic}\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    (match) => match[1] ?? '',
  );
}
