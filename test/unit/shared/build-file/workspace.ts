/** Runs what a build file compiles to with a local shell, a temporary folder taking the place of the guest's paths. */
import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { type BuildPlan, stepCommand } from '../../../../shared/build-file/index.ts';
import type { PlannedStep } from '../../../../shared/build-file/plan.ts';

export interface Workspace {
  readonly folder: string;
  /** Makes files with these contents. */
  files(contents: Readonly<Record<string, string>>): void;
  /**
   * Runs the steps of all packages in order until one fails; each output directory is made before its package.
   * `variables` are set for the steps beside those of the plan.
   */
  build(plan: BuildPlan, variables?: Readonly<Record<string, string>>): SpawnSyncReturns<string>;
  /** Runs the tests of a package. */
  test(plan: BuildPlan, name: string): SpawnSyncReturns<string>;
  /** Files and links below a folder, sorted. */
  list(path: string): string[];
  read(path: string): string;
}

export function workspace(context: TestContext): Workspace {
  const folder = mkdtempSync(join(tmpdir(), 'workspace-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const local = (text: string): string =>
    text.replaceAll('/home/build', folder).replaceAll('/var/cache/melange', join(folder, 'cache'));
  const runStep = (
    step: PlannedStep,
    variables: Readonly<Record<string, string>>,
  ): SpawnSyncReturns<string> => {
    const given = Object.entries({ ...variables, ...step.environment });
    // The shell of guests knows pipefail, which not every /bin/sh does.
    return spawnSync('bash', ['-c', local(stepCommand(step))], {
      encoding: 'utf8',
      env: {
        PATH: process.env['PATH'] ?? '',
        LC_ALL: 'C',
        GIT_CONFIG_NOSYSTEM: '1',
        ...Object.fromEntries(given.map(([name, value]) => [name, local(value)])),
      },
    });
  };
  const nothing = (): SpawnSyncReturns<string> => spawnSync('true', { encoding: 'utf8' });
  return {
    folder,
    files(contents) {
      for (const [path, content] of Object.entries(contents)) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), content);
      }
    },
    build(plan, more = {}) {
      const outputs: string[] = [];
      for (const one of plan.packages) {
        mkdirSync(local(one.outputDirectory), { recursive: true });
        for (const step of one.steps) {
          const result = runStep(step, { ...plan.environment.variables, ...more });
          outputs.push(result.stdout);
          if (result.status !== 0) return result;
        }
      }
      return { ...nothing(), stdout: outputs.join('') };
    },
    test(plan, name) {
      const planned = plan.packages.find((one) => one.name === name)?.test;
      assert.ok(planned, `there is no test of ${name}`);
      let result = nothing();
      for (const step of planned.steps) {
        result = runStep(step, planned.environment.variables);
        if (result.status !== 0) break;
      }
      return result;
    },
    list: (path) => walk(join(folder, path)).sort(),
    read: (path) => readFileSync(join(folder, path), 'utf8'),
  };
}

export function succeeds(result: SpawnSyncReturns<string>): void {
  assert.equal(result.status, 0, result.stdout + result.stderr);
}

export function fails(result: SpawnSyncReturns<string>, message: RegExp): void {
  assert.notEqual(result.status, 0);
  assert.match(result.stderr, message);
}

function walk(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? walk(join(path, entry.name)).map((below) => `${entry.name}/${below}`)
      : [entry.name],
  );
}
