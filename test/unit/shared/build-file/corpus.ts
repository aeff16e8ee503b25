/** The real build files beside the project, where they are. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PipelineLookup, SourceText } from '../../../../shared/build-file/index.ts';

const folder = fileURLToPath(new URL('../../../../../shared/corpus/wolfi/', import.meta.url));

/** Why there are none, or false. */
export const skipWithoutCorpus = existsSync(folder) ? false : 'the corpus is not beside the project';

/** All build files, by name. */
export const corpusFiles: readonly SourceText[] = existsSync(folder)
  ? readdirSync(folder)
      .filter((name) => name.endsWith('.yaml'))
      .map((file) => ({ file, text: readFileSync(join(folder, file), 'utf8') }))
  : [];

const known = new Map<string, SourceText | undefined>();

/** Their local pipelines. */
export const corpusPipelines: PipelineLookup = (name) => {
  if (!known.has(name)) {
    const path = join(folder, 'pipelines', `${name}.yaml`);
    known.set(name, existsSync(path) ? { file: path, text: readFileSync(path, 'utf8') } : undefined);
  }
  return known.get(name);
};
