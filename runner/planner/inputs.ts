/**
 * Collects what a build is made from (build file, local pipelines, source directory), pins it, and keeps a copy of its
 * own, so that a later upload cannot change a build that has been planned.
 */
import { createHash } from 'node:crypto';
import type { Bucket } from '@google-cloud/storage';
import { z } from 'zod';
import { TAR_END, tarHeader, tarPadding } from '../../shared/apk/tar-write.ts';
import type { BuildFile } from '../../shared/build-file/build-file.ts';
import type { Diagnostic } from '../../shared/build-file/diagnostic.ts';
import { parseBuildFile } from '../../shared/build-file/parse.ts';
import { type PipelineLookup, pipelineNames } from '../../shared/build-file/pipeline-files.ts';
import { PipelineError } from '../../shared/errors.ts';
import type { JobInputs } from '../../shared/firestore/job-record.ts';
import type { BuildId } from '../../shared/identity.ts';
import { BUILD_FILE_BYTES, SOURCE_BYTES, SOURCE_FILES } from '../../shared/limits.ts';
import { inputsObject, pipelinesPrefix, sourcePrefix } from '../../shared/object-names.ts';
import { createObject, type ListedObject, listObjects, readObject } from '../../shared/storage/objects.ts';
import { lockDocument } from '../environment/lock-document.ts';
import { withoutIgnored } from './ignored-files.ts';

/** The document a job is compiled from; kept as JSON. */
export const inputDocument = z.object({
  /** Name for positions: the object, or a name made up for an inline file. */
  file: z.string(),
  text: z.string(),
  /** Texts of local pipelines by the name that `uses` gives them. */
  pipelines: z.record(z.string(), z.object({ file: z.string(), text: z.string() })),
  /** By architecture, the locks that the environment shall be made from. */
  locks: z.record(z.string(), lockDocument).optional(),
});

export type InputDocument = z.infer<typeof inputDocument>;

export interface SourceFile {
  /** Relative to the source directory. */
  readonly path: string;
  readonly bytes: Buffer;
}

/** One build file with everything beside it. */
export interface GatheredInputs {
  readonly buildFile: BuildFile | undefined;
  readonly diagnostics: readonly Diagnostic[];
  readonly document: InputDocument;
  readonly lookup: PipelineLookup;
  readonly source: readonly SourceFile[];
  /** Names in `uses` that are neither built in nor beside the build file. */
  readonly unresolvedPipelines: readonly string[];
  /** Whether a pipeline fetches sources from elsewhere. */
  readonly fetchesSources: boolean;
  /** Fingerprint of the source directory's listing. */
  readonly listing: string;
  /** When the newest of the uploads appeared, in milliseconds since 1970 by the server's clock. */
  readonly newestMs: number;
}

export interface UploadedBuildFile {
  readonly object: string;
  readonly text: string;
  readonly createdMs: number;
}

/** Reads what lies beside an uploaded build file now. */
export async function gatherUpload(specs: Bucket, upload: UploadedBuildFile): Promise<GatheredInputs> {
  const [pipelineObjects, sourceObjects] = await Promise.all([
    listObjects(specs, pipelinesPrefix(upload.object)),
    listObjects(specs, sourcePrefix(upload.object)),
  ]);
  const prefix = pipelinesPrefix(upload.object);
  const byName = new Map(
    pipelineObjects
      .filter((one) => one.name.endsWith('.yaml'))
      .map((one) => [one.name.slice(prefix.length, -'.yaml'.length), one] as const),
  );
  const { buildFile, diagnostics } = parseBuildFile({ file: upload.object, text: upload.text });
  const texts = new Map<string, { readonly file: string; readonly text: string }>();
  let names = pipelineNamesOf(buildFile, texts);
  for (let missing = missingTexts(names, byName, texts); missing.length > 0; ) {
    await Promise.all(
      missing.map(async (name) => readPipeline(specs, { name, object: byName.get(name) }, texts)),
    );
    names = pipelineNamesOf(buildFile, texts);
    missing = missingTexts(names, byName, texts);
  }
  const source = await readSource(specs, sourcePrefix(upload.object), sourceObjects);
  const newestMs = Math.max(
    upload.createdMs,
    ...[...sourceObjects, ...pipelineObjects].map((one) => one.createdMs),
  );
  return {
    buildFile,
    diagnostics,
    document: { file: upload.object, text: upload.text, pipelines: Object.fromEntries(texts) },
    lookup: (name) => texts.get(name),
    source: withoutIgnored(source),
    unresolvedPipelines: names.unresolved,
    fetchesSources: fetchesSources(names.names),
    listing: listingFingerprint(sourceObjects),
    newestMs,
  };
}

export interface InlineBuildFile {
  readonly file: string;
  readonly text: string;
  /** By path as the request names it, with or without `pipelines/` and `.yaml`. */
  readonly pipelines: Readonly<Record<string, string>>;
  readonly sourceFiles: Readonly<Record<string, string>>;
  /** By architecture. */
  readonly locks?: InputDocument['locks'] | undefined;
}

/** The same for a request that brings everything with it. */
export function gatherInline(inline: InlineBuildFile): GatheredInputs {
  const { buildFile, diagnostics } = parseBuildFile({ file: inline.file, text: inline.text });
  const all = new Map(
    Object.entries(inline.pipelines).map(([path, text]) => [
      path.replace(/^(\.\/)?(pipelines\/)?/, '').replace(/\.yaml$/, ''),
      { file: path, text },
    ]),
  );
  const names = pipelineNamesOf(buildFile, all);
  const used = names.names.flatMap((name) => {
    const found = all.get(name);
    return found === undefined ? [] : [[name, found] as const];
  });
  return {
    buildFile,
    diagnostics,
    document: {
      file: inline.file,
      text: inline.text,
      pipelines: Object.fromEntries(used),
      ...(inline.locks === undefined ? {} : { locks: inline.locks }),
    },
    lookup: (name) => all.get(name),
    source: withoutIgnored(
      Object.entries(inline.sourceFiles)
        .map(([path, text]) => ({ path, bytes: Buffer.from(text) }))
        .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path))),
    ),
    unresolvedPipelines: names.unresolved,
    fetchesSources: fetchesSources(names.names),
    listing: listingFingerprint([]),
    newestMs: 0,
  };
}

/** Writes the copies, named by their content, so that planning again writes nothing new. */
export async function storeInputs(
  builds: Bucket,
  build: BuildId,
  gathered: GatheredInputs,
): Promise<JobInputs> {
  const json = Buffer.from(JSON.stringify(gathered.document));
  const tar = gathered.source.length === 0 ? undefined : sourceTar(gathered.source);
  const store = async (bytes: Buffer, suffix: 'json' | 'tar'): Promise<JobInputs['document']> => {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const object = inputsObject(build, sha256, suffix);
    const type = suffix === 'json' ? 'application/json' : 'application/x-tar';
    await createObject(builds, object, { bytes, type });
    return { object, sha256, bytes: bytes.length };
  };
  const [document, source] = await Promise.all([
    store(json, 'json'),
    tar === undefined ? null : store(tar, 'tar'),
  ]);
  return { document, source, listing: gathered.listing };
}

/** A tar of the source directory: equal files give equal bytes, whenever they were uploaded. */
export function sourceTar(files: readonly SourceFile[]): Buffer {
  const parts: Buffer[] = [];
  const made = new Set<string>();
  for (const file of files) {
    const folders = file.path.split('/').slice(0, -1);
    for (const index of folders.keys()) {
      const folder = folders.slice(0, index + 1).join('/');
      if (made.has(folder)) continue;
      made.add(folder);
      parts.push(tarHeader({ name: folder, type: 'directory', mode: 0o755, size: 0, mtime: 0 }));
    }
    const size = file.bytes.length;
    parts.push(
      tarHeader({ name: file.path, type: 'file', mode: 0o644, size, mtime: 0 }),
      file.bytes,
      tarPadding(size),
    );
  }
  return Buffer.concat([...parts, TAR_END]);
}

/** Changes whenever an object below a prefix is added, replaced or removed. */
export function listingFingerprint(objects: readonly ListedObject[]): string {
  const hash = createHash('sha256');
  for (const one of objects) hash.update(`${one.name}\n${one.generation}\n`);
  return hash.digest('hex');
}

function fetchesSources(pipelines: readonly string[]): boolean {
  return pipelines.includes('fetch') || pipelines.includes('git-checkout');
}

function pipelineNamesOf(
  buildFile: BuildFile | undefined,
  texts: ReadonlyMap<string, { readonly file: string; readonly text: string }>,
): ReturnType<typeof pipelineNames> {
  if (buildFile === undefined) return { names: [], unresolved: [] };
  return pipelineNames(buildFile, (name) => texts.get(name));
}

function missingTexts(
  names: ReturnType<typeof pipelineNames>,
  objects: ReadonlyMap<string, ListedObject>,
  texts: ReadonlyMap<string, unknown>,
): string[] {
  return names.names.filter((name) => objects.has(name) && !texts.has(name));
}

async function readPipeline(
  specs: Bucket,
  wanted: { readonly name: string; readonly object: ListedObject | undefined },
  texts: Map<string, { readonly file: string; readonly text: string }>,
): Promise<void> {
  if (wanted.object === undefined) return;
  const { name: file, generation } = wanted.object;
  const bytes = await readObject(specs, file, { generation, maxBytes: BUILD_FILE_BYTES });
  if (bytes === undefined) throw changedWhileRead(file);
  texts.set(wanted.name, { file, text: bytes.toString() });
}

async function readSource(
  specs: Bucket,
  prefix: string,
  objects: readonly ListedObject[],
): Promise<SourceFile[]> {
  const files = objects.filter((one) => !one.name.endsWith('/'));
  const bytes = files.reduce((sum, one) => sum + one.bytes, 0);
  if (files.length > SOURCE_FILES || bytes > SOURCE_BYTES) {
    throw new PipelineError({
      code: 'source-refused',
      kind: 'user',
      message: `the source directory ${prefix} has ${files.length} files with ${bytes} bytes`,
      hint: `at most ${SOURCE_FILES} files with ${SOURCE_BYTES} bytes are allowed: fetch large sources in the build file`,
    });
  }
  const result: SourceFile[] = [];
  const open = [...files.entries()];
  const work = async (): Promise<void> => {
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const [index, file] = next;
      const content = await readObject(specs, file.name, {
        generation: file.generation,
        maxBytes: SOURCE_BYTES,
      });
      if (content === undefined) throw changedWhileRead(file.name);
      result[index] = { path: file.name.slice(prefix.length), bytes: content };
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
  return result;
}

/** An upload replaced the object between listing and reading: planning is tried again with the new one. */
function changedWhileRead(object: string): PipelineError {
  return new PipelineError({
    code: 'source-missing',
    kind: 'infra',
    message: `${object} was replaced while it was read`,
  });
}
