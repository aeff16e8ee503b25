/** What the tests of the language share: parsing and compiling in one call, and the lines of diagnostics. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  type BuildFile,
  type BuildPlan,
  type CompileOptions,
  compileBuildFile,
  type Diagnostic,
  type PipelineLookup,
  parseBuildFile,
} from '../../../../shared/build-file/index.ts';

const fixtures = new URL('../../../fixtures/build-files/', import.meta.url);

export function fixture(name: string): { readonly file: string; readonly text: string } {
  return { file: name, text: readFileSync(new URL(name, fixtures), 'utf8') };
}

/** A lookup over texts by pipeline name. */
export function pipelines(texts: Readonly<Record<string, string>>): PipelineLookup {
  return (name) => {
    const text = texts[name];
    return text === undefined ? undefined : { file: `pipelines/${name}.yaml`, text };
  };
}

export const noPipelines = pipelines({});

/** The build file of a text that has no errors. */
export function parsed(text: string): BuildFile {
  const { buildFile, diagnostics } = parseBuildFile({ file: 'build.yaml', text });
  assert.ok(buildFile, lines(diagnostics).join('\n'));
  return buildFile;
}

/** A build file with a package and the given sections. */
export function withPackage(sections: string): string {
  return `package:\n  name: thing\n  version: 1.2.3\n${sections}`;
}

export function compiled(text: string, options: Partial<CompileOptions> = {}): BuildPlan {
  const result = compileBuildFile(parsed(text), { arch: 'x86_64', lookup: noPipelines, ...options });
  assert.ok(result.plan, lines(result.diagnostics).join('\n'));
  return result.plan;
}

/** The problems of parsing, or of compiling if there are none. */
export function problems(text: string, options: Partial<CompileOptions> = {}): readonly Diagnostic[] {
  const { buildFile, diagnostics } = parseBuildFile({ file: 'build.yaml', text });
  if (buildFile === undefined) return diagnostics;
  return compileBuildFile(buildFile, { arch: 'x86_64', lookup: noPipelines, ...options }).diagnostics;
}

/** `line:column code message` of each diagnostic. */
export function lines(diagnostics: readonly Diagnostic[]): string[] {
  return diagnostics.map(
    ({ position, code, message }) => `${position.line}:${position.column} ${code} ${message}`,
  );
}

/** The fragments of the main package. */
export function scripts(plan: BuildPlan): string[] {
  return (plan.packages[0]?.steps ?? []).map((step) => step.script);
}
