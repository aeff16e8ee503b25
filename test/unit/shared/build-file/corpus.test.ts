import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  checkShell,
  compileBuildFile,
  formatDiagnostic,
  isBuildFile,
  parseBuildFile,
} from '../../../../shared/build-file/index.ts';
import { corpusFiles, corpusPipelines, skipWithoutCorpus } from './corpus.ts';

describe('real build files', { skip: skipWithoutCorpus }, () => {
  test('all parse without errors and warnings', () => {
    assert.ok(corpusFiles.length > 300);
    for (const file of corpusFiles) {
      const { diagnostics } = parseBuildFile(file);
      assert.deepEqual(
        diagnostics.map((one) => formatDiagnostic(one, file.text)),
        [],
      );
      assert.ok(isBuildFile(file.text), file.file);
    }
  });

  test('all compile for both architectures, no variable is left, and their shell has no syntax errors', async () => {
    let skipped = 0;
    for (const file of corpusFiles) {
      const { buildFile } = parseBuildFile(file);
      assert.ok(buildFile);
      for (const arch of ['x86_64', 'aarch64'] as const) {
        const compiled = compileBuildFile(buildFile, { arch, lookup: corpusPipelines });
        const [shell = []] = await checkShell([compiled.fragments]);
        assert.deepEqual(
          [...compiled.diagnostics, ...shell].map((one) => formatDiagnostic(one)),
          [],
        );
        if (compiled.skipped !== undefined) skipped += 1;
        else assertNoReferences(compiled.plan, file.file);
      }
    }
    assert.ok(skipped < corpusFiles.length / 10, 'few of them are for one architecture only');
  });
});

/** Nothing that a build uses holds a reference; labels and descriptions are for readers and may, as upstream. */
function assertNoReferences(plan: unknown, file: string): void {
  assert.ok(typeof plan === 'object' && plan !== null);
  const text = JSON.stringify(plan, (key, value: unknown) =>
    ['name', 'description', 'configuration'].includes(key) ? undefined : value,
  );
  assert.deepEqual(text.match(/\$\{\{[^}]*\}\}/g) ?? [], [], file);
}
