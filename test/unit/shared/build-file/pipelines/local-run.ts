/**
 * Runs built-in pipelines with a local shell, a temporary folder taking the place of the workspace. Tools are scripts
 * that write down what they were asked, so that a test can tell the exact arguments.
 */
import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { stepCommand } from '../../../../../shared/build-file/index.ts';
import { compiled, withPackage } from '../language.ts';

export interface LocalRun {
  /** Makes files with these contents in the workspace. */
  files(contents: Readonly<Record<string, string>>): void;
  /**
   * Puts a program before those of the machine. Its script may write down that it was asked, with the directory, by
   * calling `record "$@"`.
   */
  tool(name: string, script: string): void;
  /** Runs the steps of the main package, given as JSON, until one fails. */
  run(pipeline: readonly object[]): SpawnSyncReturns<string>;
  /** What tools have written down since the last call: `name: argument argument`, odd arguments in quotes. */
  asked(): string[];
  /** Files and links below a folder of the workspace, sorted. */
  list(path: string): string[];
  read(path: string): string;
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
  const folder = mkdtempSync(join(tmpdir(), 'pipeline-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const workspace = join(folder, 'build');
  const tools = join(folder, 'tools');
  const recorded = join(folder, 'recorded');
  for (const path of [join(workspace, OUT), tools]) mkdirSync(path, { recursive: true });
  const local = (text: string): string =>
    text.replaceAll('/home/build', workspace).replaceAll('/var/cache/melange', '/cache');
  return {
    files(contents) {
      for (const [path, content] of Object.entries(contents)) {
        mkdirSync(dirname(join(workspace, path)), { recursive: true });
        writeFileSync(join(workspace, path), content);
      }
    },
    tool(name, script) {
      writeFileSync(join(tools, name), `${RECORD}${script}\n`);
      chmodSync(join(tools, name), 0o755);
    },
    run(pipeline) {
      const plan = compiled(withPackage(`pipeline: ${JSON.stringify(pipeline)}\n`));
      const steps = plan.packages[0]?.steps ?? [];
      assert.ok(steps.length > 0);
      let result = spawnSync('true', { encoding: 'utf8' });
      for (const step of steps) {
        result = spawnSync('bash', ['-c', local(stepCommand(step))], {
          encoding: 'utf8',
          env: {
            PATH: `${tools}${delimiter}${process.env['PATH'] ?? ''}`,
            HOME: workspace,
            RECORDED: recorded,
            LC_ALL: 'C',
          },
        });
        if (result.status !== 0) break;
      }
      return result;
    },
    asked() {
      if (!existsSync(recorded)) return [];
      const lines = readFileSync(recorded, 'utf8').replaceAll(workspace, '/home/build').trimEnd().split('\n');
      rmSync(recorded);
      return lines;
    },
    list: (path) => walk(join(workspace, path)).sort(),
    read: (path) => readFileSync(join(workspace, path), 'utf8'),
  };
}

/** Output directory of the package, seen from the workspace. */
export const OUT = 'melange-out/thing';

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
