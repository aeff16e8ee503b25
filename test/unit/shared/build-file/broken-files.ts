/** Broken build files, each with what a user is told about it: `test/fixtures/broken-build-files.txt`. */
import { readFileSync } from 'node:fs';
import {
  checkShell,
  compileBuildFile,
  type Diagnostic,
  formatDiagnostic,
  parseBuildFile,
} from '../../../../shared/build-file/index.ts';
import { pipelines } from './language.ts';

const FIXTURE = new URL('../../../fixtures/broken-build-files.txt', import.meta.url);

const LOCAL: Readonly<Record<string, string>> = {
  greet: 'inputs:\n  who:\n    required: true\npipeline:\n  - runs: echo ${{inputs.who}}\n',
  faulty: 'pipeline:\n  - runs: echo ${{inputs.who}}\n',
  'no-yaml': 'pipeline:\n  - runs: "open\n',
  ping: 'pipeline:\n  - uses: pong\n',
  pong: 'pipeline:\n  - uses: ping\n',
};
const lookup = pipelines(LOCAL);

export interface BrokenFile {
  readonly name: string;
  readonly text: string;
  /** What `renderProblems` must give. */
  readonly problems: string;
}

export function brokenFiles(): BrokenFile[] {
  const [, ...cases] = readFileSync(FIXTURE, 'utf8').split(/^=== /m);
  return cases.map((one) => {
    const [, name = '', text = '', problems = ''] =
      /^(.*)\n([\s\S]*?)--- problems\n([\s\S]*)\n$/.exec(one) ?? [];
    return { name, text, problems };
  });
}

/** All problems of a build file for x86_64, from parsing it to the shell of its steps. */
export async function findProblems(text: string): Promise<readonly Diagnostic[]> {
  const { buildFile, diagnostics } = parseBuildFile({ file: 'hello.yaml', text });
  if (buildFile === undefined) return diagnostics;
  const compiled = compileBuildFile(buildFile, { arch: 'x86_64', lookup });
  const [shell = []] = await checkShell([compiled.fragments]);
  return [...diagnostics, ...compiled.diagnostics, ...shell];
}

/** The problems as a terminal shows them. */
export async function renderProblems(text: string): Promise<string> {
  const problems = await findProblems(text);
  const textOf = (file: string): string | undefined =>
    file === 'hello.yaml' ? text : LOCAL[file.replace(/^pipelines\/|\.yaml$/g, '')];
  return problems.map((one) => formatDiagnostic(one, textOf(one.position.file))).join('\n');
}
