/** Names of objects: what an upload means by its name, and where everything of a build is kept. */
import type { BuildId } from './identity.ts';

/** What the name of an object in the specs bucket says about it. */
export type UploadedObject =
  | { readonly kind: 'build-file'; readonly directory: string; readonly stem: string }
  /** Below a `pipelines/` folder: `directory` is the folder that holds `pipelines/`, empty or ending in a slash. */
  | { readonly kind: 'pipeline'; readonly directory: string }
  | { readonly kind: 'other' }
  | { readonly kind: 'temporary' };

/** Where clients keep the parts of a parallel composite upload (spec gcs-endpoint §4). */
const TEMPORARY_PREFIX = 'gcloud/tmp/';

/**
 * Classifies an object by name alone. A `build-file` may still turn out to lie in the source directory of another
 * build file: `sourceOwners` names the candidates.
 */
export function classifyUpload(object: string): UploadedObject {
  if (object.startsWith(TEMPORARY_PREFIX) || object.endsWith('/')) return { kind: 'temporary' };
  const pipelines = `/${object}`.indexOf('/pipelines/');
  if (pipelines >= 0) return { kind: 'pipeline', directory: object.slice(0, pipelines) };
  const match = /^(.*\/)?([^/]+)\.yaml$/.exec(object);
  if (match?.[2] === undefined) return { kind: 'other' };
  return { kind: 'build-file', directory: match[1] ?? '', stem: match[2] };
}

/** The build files in whose source directory an object would lie: `a/b/c.txt` belongs to `a/b.yaml` or `a.yaml`. */
export function sourceOwners(object: string): string[] {
  const parts = object.split('/').slice(0, -1);
  return parts.map((_, index) => `${parts.slice(0, index + 1).join('/')}.yaml`).reverse();
}

/** Prefix of the source directory of a build file: `a/hello.yaml` → `a/hello/`. */
export function sourcePrefix(buildFile: string): string {
  return `${buildFile.replace(/\.yaml$/, '')}/`;
}

/** Prefix of the local pipelines beside a build file: `a/hello.yaml` → `a/pipelines/`. */
export function pipelinesPrefix(buildFile: string): string {
  return `${buildFile.slice(0, buildFile.lastIndexOf('/') + 1)}pipelines/`;
}

/** Inputs of a build, named by content: planning twice writes the same object. */
export function inputsObject(build: BuildId, sha256: string, suffix: 'json' | 'tar'): string {
  return `builds/${build}/inputs/${sha256}.${suffix}`;
}

export interface AttemptNames {
  readonly build: BuildId;
  readonly packageName: string;
  readonly arch: string;
  readonly epoch: number;
}

/** Folder of one attempt; nothing outside it is written before the attempt has won. */
export function attemptFolder(attempt: AttemptNames): string {
  return `builds/${attempt.build}/${attempt.packageName}/${attempt.arch}/${attempt.epoch}/`;
}

export function logChunkObject(attempt: AttemptNames, chunk: number): string {
  return `${attemptFolder(attempt)}log/${String(chunk).padStart(6, '0')}`;
}

export function logObject(attempt: AttemptNames): string {
  return `${attemptFolder(attempt)}build.log`;
}

/**
 * The lock of an attempt's environment. `number` counts from 1: the attempt keeps another one where a package turns out
 * to have been signed anew.
 */
export function lockObject(attempt: AttemptNames, number: number): string {
  return `${attemptFolder(attempt)}environment${number === 1 ? '' : `-${number}`}.lock.json`;
}

export function repositoryObject(arch: string, file: string): string {
  return `repo/${arch}/${file}`;
}

export function publicKeyObject(keyName: string): string {
  return `keys/${keyName}.pub`;
}

/** What a verified package contains, by `packageFileId`. */
export function packageContentsObject(id: string): string {
  return `apks/${id}.json.gz`;
}
