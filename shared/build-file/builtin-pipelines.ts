/** The pipelines that come with Carryall: the YAML files in `pipelines/`, read when first needed. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SourceText } from './source.ts';

const folder = fileURLToPath(new URL('./pipelines', import.meta.url));

let texts: ReadonlyMap<string, SourceText> | undefined;

/** The text of a built-in pipeline such as `autoconf/make`, or undefined where there is none of that name. */
export function builtinPipeline(name: string): SourceText | undefined {
  return builtins().get(name);
}

/** Names of all built-in pipelines, sorted. */
export function builtinPipelineNames(): string[] {
  return [...builtins().keys()].sort();
}

function builtins(): ReadonlyMap<string, SourceText> {
  texts ??= new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.yaml'))
      .map((path) => {
        const name = path.slice(0, -'.yaml'.length).replaceAll('\\', '/');
        return [name, { file: `built-in/${name}.yaml`, text: readFileSync(join(folder, path), 'utf8') }];
      }),
  );
  return texts;
}
