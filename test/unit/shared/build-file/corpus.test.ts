import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  compileBuildFile,
  formatDiagnostic,
  isBuildFile,
  melangeYaml,
  parseBuildFile,
  pipelineNames,
  type SourceText,
} from '../../../../shared/build-file/index.ts';

const folder = fileURLToPath(new URL('../../../../../shared/corpus/wolfi/', import.meta.url));

describe('real build files', {
  skip: existsSync(folder) ? false : 'the corpus is not beside the project',
}, () => {
  const files = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.yaml'))
        .map((file) => ({ file, text: readFileSync(join(folder, file), 'utf8') }))
    : [];
  const known = new Map<string, SourceText | undefined>();
  const lookup = (name: string): SourceText | undefined => {
    if (!known.has(name)) {
      const path = join(folder, 'pipelines', `${name}.yaml`);
      known.set(name, existsSync(path) ? { file: path, text: readFileSync(path, 'utf8') } : undefined);
    }
    return known.get(name);
  };

  test('all parse without errors and warnings', () => {
    assert.ok(files.length > 300);
    for (const file of files) {
      const { diagnostics } = parseBuildFile(file);
      assert.deepEqual(
        diagnostics.map((one) => formatDiagnostic(one, file.text)),
        [],
      );
      assert.ok(isBuildFile(file.text), file.file);
    }
  });

  test('all compile for both architectures, unless a pipeline is not there', () => {
    for (const file of files) {
      const { buildFile } = parseBuildFile(file);
      assert.ok(buildFile);
      const { unresolved } = pipelineNames(buildFile, lookup);
      for (const arch of ['x86_64', 'aarch64'] as const) {
        const { plan, skipped, diagnostics } = compileBuildFile(buildFile, { arch, lookup });
        const others = diagnostics.filter(
          (one) =>
            !(
              one.code === 'unknown-pipeline' && unresolved.some((name) => one.message.includes(`"${name}"`))
            ),
        );
        assert.deepEqual(
          others.map((one) => formatDiagnostic(one)),
          [],
        );
        assert.ok(plan !== undefined || skipped !== undefined || unresolved.length > 0, file.file);
      }
    }
  });

  test('what compiles is recorded in a form that compiles to the same steps', () => {
    let compared = 0;
    for (const file of files) {
      const { buildFile } = parseBuildFile(file);
      assert.ok(buildFile);
      const { plan } = compileBuildFile(buildFile, { arch: 'x86_64', lookup });
      if (plan === undefined) continue;
      const text = melangeYaml(plan, { packages: ['busybox=1'], repositories: [] });
      const recorded = parseBuildFile({ file: '.melange.yaml', text }).buildFile;
      assert.ok(recorded, file.file);
      const again = compileBuildFile(recorded, { arch: 'x86_64', lookup: () => undefined });
      assert.deepEqual(
        again.plan?.packages.map((one) => one.steps.map((step) => [step.script, step.workingDirectory])),
        plan.packages.map((one) => one.steps.map((step) => [step.script, step.workingDirectory])),
      );
      compared += 1;
    }
    assert.ok(compared > 100);
  });

  test('parsing and compiling takes a few milliseconds for each', () => {
    const started = performance.now();
    for (const file of files) {
      const { buildFile } = parseBuildFile(file);
      if (buildFile !== undefined) compileBuildFile(buildFile, { arch: 'x86_64', lookup });
    }
    const each = (performance.now() - started) / files.length;
    // The goal is 3 ms on a quiet core; a loaded machine gets room.
    assert.ok(each < 15, `${each.toFixed(2)} ms for each file`);
  });
});
