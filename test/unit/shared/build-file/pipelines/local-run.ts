/**
 * Runs built-in pipelines with a local shell. Tools are scripts that write down what they were asked, so that a test
 * can tell the exact arguments.
 */
import assert from 'node:assert/strict';
import type { SpawnSyncReturns } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';
import { compiled, withPackage } from '../language.ts';
import { type Workspace, workspace } from '../workspace.ts';

export { fails, succeeds } from '../workspace.ts';

export interface LocalRun extends Pick<Workspace, 'folder' | 'files' | 'list' | 'read'> {
  /**
   * Puts a program before those of the machine. Its script may write down that it was asked, with the directory, by
   * calling `record "$@"`.
   */
  tool(name: string, script: string): void;
  /** Runs the steps (YAML where it is a text), in the main package or in the subpackage `s`, until one fails. */
  run(pipeline: readonly object[] | string, where?: 'main' | 'subpackage'): SpawnSyncReturns<string>;
  /** What tools have written down since the last call: `name: argument argument`, odd arguments in quotes. */
  asked(): string[];
}

/** What `record` does; `%q` quotes what a shell would not take as one plain word. */
const RECORD = `#!/bin/bash
set -e
record() {
  printf '%s:' "\${0##*/}"
  printf ' %q' "$@"
  printf '\\n'
} >> "$RECORDED"
`;

/** The package is called `thing`; `OUT` in tests is `melange-out/thing`. */
export function localRun(context: TestContext): LocalRun {
  const root = workspace(context);
  const { folder } = root;
  const tools = join(folder, 'tools');
  const recorded = join(folder, 'recorded');
  mkdirSync(tools);
  return {
    ...root,
    tool(name, script) {
      writeFileSync(join(tools, name), `${RECORD}${script}\n`);
      chmodSync(join(tools, name), 0o755);
    },
    run(pipeline, where = 'main') {
      const steps = typeof pipeline === 'string' ? pipeline : JSON.stringify(pipeline);
      const section =
        where === 'main' ? `pipeline: ${steps}` : `subpackages: [{name: s, pipeline: ${steps}}]`;
      const plan = compiled(withPackage(`${section}\n`));
      assert.ok(plan.packages.some((one) => one.steps.length > 0));
      const PATH = `${tools}${delimiter}${process.env['PATH'] ?? ''}`;
      return root.build(plan, { PATH, HOME: folder, RECORDED: recorded });
    },
    asked() {
      if (!existsSync(recorded)) return [];
      const lines = readFileSync(recorded, 'utf8')
        .replaceAll(`${folder}/cache`, '/var/cache/melange')
        .replaceAll(folder, '/home/build')
        .trimEnd()
        .split('\n');
      rmSync(recorded);
      return lines;
    },
  };
}

/** Output directory of the package, seen from the workspace. */
export const OUT = 'melange-out/thing';
