/** The project's own files, read for the tests that keep its rules. */
import { glob, readFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** Folders whose code runs outside of tests. */
export const CODE_FOLDERS = ['functions', 'runner', 'shared', 'cli', 'deploy'] as const;

export interface SourceFile {
  /** Relative to the checkout. */
  readonly path: string;
  readonly text: string;
}

/** The TypeScript files below some folders, sorted by path. */
export async function sourceFiles(folders: readonly string[]): Promise<SourceFile[]> {
  const paths: string[] = [];
  for (const folder of folders) {
    for await (const path of glob('**/*.ts', { cwd: join(ROOT, folder) }))
      paths.push(posix.join(folder, path));
  }
  return Promise.all(paths.sort().map(async (path) => ({ path, text: await readProjectFile(path) })));
}

export async function readProjectFile(path: string): Promise<string> {
  return readFile(join(ROOT, path), 'utf8');
}

/** The Markdown files that users read. */
export async function documents(): Promise<SourceFile[]> {
  const paths = ['README.md', 'CHANGELOG.md'];
  for await (const path of glob('**/*.md', { cwd: join(ROOT, 'docs') })) paths.push(posix.join('docs', path));
  return Promise.all(paths.sort().map(async (path) => ({ path, text: await readProjectFile(path) })));
}

/** A text without its comments, as far as they stand where the formatter puts them. */
export function withoutComments(text: string): string {
  return text
    .replace(/^[ \t]*\/\*[\s\S]*?\*\//gm, '')
    .replace(/^[ \t]*\/\/.*$/gm, '')
    .replace(/[ \t]\/\/ .*$/gm, '');
}

export interface Import {
  /** File that imports, relative to the checkout. */
  readonly from: string;
  /** File of the checkout, or the name of a package (`node:` included). */
  readonly to: string;
}

/** Everything a file imports, types and threads (`new Worker(new URL('./x.ts', import.meta.url))`) included. */
export function importsOf({ path, text }: SourceFile): Import[] {
  const code = withoutComments(text);
  const forms = [
    /^(?:import|export)\b[^;'"]*\bfrom\s*['"]([^'"]+)['"]/gm,
    /^import\s*['"]([^'"]+)['"]/gm,
    /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
    /\bnew Worker\(\s*new URL\(\s*['"]([^'"]+)['"],\s*import\.meta\.url/g,
  ];
  const found = forms.flatMap((form) => [...code.matchAll(form)].map((match) => match[1] ?? ''));
  return found.map((specifier) => ({
    from: path,
    to: specifier.startsWith('.') ? posix.join(dirname(path), specifier) : packageName(specifier),
  }));
}

/** `@scope/name/file` → `@scope/name`. */
function packageName(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Cells of the table rows whose first cell is a word in backquotes, by that word. Escaped bars stay in their cell. */
export function tableRows(markdown: string): { readonly name: string; readonly cells: readonly string[] }[] {
  return [...markdown.matchAll(/^\| `([^`]+)` +\|(.*)\|[ \t]*$/gm)].map((match) => ({
    name: match[1] ?? '',
    cells: (match[2] ?? '').split(/(?<!\\)\|/).map((cell) => cell.trim()),
  }));
}

/** The part of a document below a heading, up to the next heading of the same or a higher level. */
export function section(markdown: string, heading: string): string {
  const lines = markdown.split('\n');
  const start = lines.indexOf(heading);
  if (start < 0) throw new Error(`there is no heading "${heading}"`);
  const level = heading.indexOf(' ');
  const end = lines.findIndex((line, index) => {
    const hashes = /^(#+) /.exec(line)?.[1]?.length;
    return index > start && hashes !== undefined && hashes <= level;
  });
  return lines.slice(start + 1, end < 0 ? undefined : end).join('\n');
}
