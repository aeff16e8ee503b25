/** The file of `--lock`: locks as `carryall lock --output json` printed them, or as jobs keep them. */
import { readFileSync } from 'node:fs';
import { type LockDocument, parseLockDocument } from '../runner/environment/lock-document.ts';
import { PipelineError } from '../shared/errors.ts';

export interface LockFile {
  /**
   * The lock for a file: the one of the architecture; of several, the one that was made for a file of this name.
   *
   * @throws PipelineError `request-invalid` (`user`) where there is none, or still more than one.
   */
  find(file: string, arch: string): LockDocument;
}

interface NamedLock {
  readonly document: LockDocument;
  /** Undefined for one that a job has kept. */
  readonly file: string | undefined;
}

/**
 * Reads one document, or one in each line. Throws what the file system says.
 *
 * @throws PipelineError `request-invalid` (`user`) with line and path of what is wrong.
 */
export function readLockFile(path: string): LockFile {
  const locks = documentsIn(readFileSync(path, 'utf8'), path);
  return {
    find(file, arch) {
      const ofArch = locks.filter((one) => one.document.arch === arch);
      const ofFile = ofArch.length > 1 ? ofArch.filter((one) => one.file === file) : ofArch;
      const [found, ...others] = ofFile;
      if (found !== undefined && others.length === 0) return found.document;
      const forWhat = ofArch.length > 1 ? `${arch} that was made for ${file}` : arch;
      throw invalid(
        found === undefined
          ? `${path} has no lock for ${forWhat}`
          : `${path} has several locks for ${forWhat}`,
        'a lock is found by its architecture, and of several by the file it was made for',
      );
    },
  };
}

function documentsIn(text: string, path: string): NamedLock[] {
  const whole = parseJson(text);
  if (whole !== undefined) return [namedLock(whole.value, path)];
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const place = `${path}:${index + 1}`;
    const json = parseJson(line);
    if (json === undefined) throw invalid(`${place}: this is not JSON`, 'write one lock in each line');
    return [namedLock(json.value, place)];
  });
}

function namedLock(value: unknown, place: string): NamedLock {
  const document = parseLockDocument(value, place);
  const file = typeof value === 'object' && value !== null && 'file' in value ? value.file : undefined;
  return { document, file: typeof file === 'string' ? file : undefined };
}

function parseJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined;
    throw thrown;
  }
}

function invalid(message: string, hint: string): PipelineError {
  return new PipelineError({ code: 'request-invalid', kind: 'user', message, hint });
}
