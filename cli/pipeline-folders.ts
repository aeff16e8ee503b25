/** Local pipeline files on disk. */
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { builtinPipeline, type PipelineLookup, type SourceText } from '../shared/build-file/index.ts';
import { fileSystemReason, readText } from './read-text.ts';

export interface PipelineFolders {
  /**
   * The lookup for a build file: the given folders in order, then `pipelines/` beside the file. Throws what the file
   * system says, except that there is no such file.
   */
  lookupFor(buildFile: string): PipelineLookup;
  /** The text of a pipeline file that was looked up, local or built in, by the name it has in messages. */
  textOf(file: string): string | undefined;
}

/** Each pipeline file is read once; build files with the same folders share a lookup, so it is decoded once too. */
export function createPipelineFolders(given: readonly string[]): PipelineFolders {
  const files = new Map<string, SourceText | undefined>();
  const byFolder = new Map<string, PipelineLookup>();
  const shared = createLookup(given, files);
  return {
    lookupFor(buildFile) {
      const beside = join(dirname(buildFile), 'pipelines');
      let lookup = byFolder.get(beside);
      if (lookup === undefined) {
        lookup = isFolder(beside) ? createLookup([...given, beside], files) : shared;
        byFolder.set(beside, lookup);
      }
      return lookup;
    },
    textOf(file) {
      const builtin = /^built-in\/(.*)\.yaml$/.exec(file)?.[1];
      return (files.get(file) ?? (builtin === undefined ? undefined : builtinPipeline(builtin)))?.text;
    },
  };
}

/** A lookup that remembers which folder has a name; `files` are those read so far, by path. */
function createLookup(
  folders: readonly string[],
  files: Map<string, SourceText | undefined>,
): PipelineLookup {
  const known = new Map<string, SourceText | undefined>();
  let names: readonly string[] | undefined;
  const find = (name: string): SourceText | undefined => {
    if (!known.has(name)) known.set(name, findPipeline(name, folders, files));
    return known.get(name);
  };
  return Object.assign(find, {
    names() {
      names ??= folders.flatMap(pipelineNames);
      return names;
    },
  });
}

function pipelineNames(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.yaml'))
    .map((path) => path.slice(0, -'.yaml'.length));
}

function findPipeline(
  name: string,
  folders: readonly string[],
  files: Map<string, SourceText | undefined>,
): SourceText | undefined {
  for (const folder of folders) {
    const found = readOnce(join(folder, `${name}.yaml`), files);
    if (found !== undefined) return found;
  }
  return undefined;
}

function readOnce(file: string, files: Map<string, SourceText | undefined>): SourceText | undefined {
  if (!files.has(file)) {
    const there = statSync(file, { throwIfNoEntry: false })?.isFile() === true;
    files.set(file, there ? { file, text: readText(file) } : undefined);
  }
  return files.get(file);
}

/** True for a folder, or a link to one. What cannot be looked at is none: reading it will say why. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch (thrown) {
    if (fileSystemReason(thrown) === undefined) throw thrown;
    return false;
  }
}
