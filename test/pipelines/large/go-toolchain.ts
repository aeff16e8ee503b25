/** What the tests of the Go pipelines share: Debian's Go, a small program, and the reading of results. */
import assert from 'node:assert/strict';
import { type BuildResult, startToolchain, type Toolchain } from '../toolchain.ts';

export const GO_MOD = 'module a.example/hello\n\ngo 1.19\n';

/** A program without dependencies that says `hello plain`, or `hello spicy` with that tag. */
export const HELLO = {
  'go.mod': GO_MOD,
  'main.go':
    'package main\n\nimport "os"\n\nvar greeting = "hello"\n\nfunc main() { os.Stdout.WriteString(greeting + " " + flavour + "\\n") }\n',
  'plain.go': '//go:build !spicy\n\npackage main\n\nconst flavour = "plain"\n',
  'spicy.go': '//go:build spicy && netgo\n\npackage main\n\nconst flavour = "spicy"\n',
};

/** A build file that asks for nothing beside what the pipelines need themselves. */
export const HEAD = 'package: {name: hello, version: 1.0.0}';

export function startGo(): Promise<Toolchain> {
  return startToolchain({
    name: 'go',
    debian: ['binutils', 'ca-certificates', 'gcc', 'git', 'golang-go', 'libc6-dev', 'make', 'pax-utils'],
    own: [{ name: 'go', depends: ['golang-go'] }],
  });
}

/** The files in a folder. */
export function below(folder: string, files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([path, content]) => [`${folder}/${path}`, content]));
}

/** A built file, each byte a character. */
export function text(files: BuildResult['files'], path: string): string {
  return files.get(path)?.content.toString('latin1') ?? assert.fail(`${path} is missing`);
}
