/** Build options that an uploader gives as custom metadata of the object (`x-goog-meta-arch` and so on). */
import { parseArchitecture } from '../../shared/build-file/architecture.ts';
import { PipelineError } from '../../shared/errors.ts';
import type { BuildOptions } from '../../shared/messages.ts';

const WORDS: ReadonlyMap<string, boolean> = new Map(
  Object.entries({
    true: true,
    yes: true,
    '1': true,
    false: false,
    no: false,
    '0': false,
    '': false,
  }),
);

/**
 * Reads `arch` (comma-separated), `selector` (`key=value`, comma-separated), `test`, `debug` and `mode`. Other
 * metadata is left alone.
 *
 * @throws PipelineError `request-invalid` (`user`) that names the entry.
 */
export function optionsOf(metadata: Readonly<Record<string, string>>): BuildOptions {
  return {
    arch: list(metadata['arch']).map((name) => {
      const arch = parseArchitecture(name);
      if (arch === undefined)
        throw invalid('arch', name, 'use names such as x86_64 or aarch64, joined by commas');
      return arch;
    }),
    backend_selector: Object.fromEntries(
      list(metadata['selector']).map((pair) => {
        const at = pair.indexOf('=');
        if (at < 1) throw invalid('selector', pair, 'write key=value, joined by commas');
        return [pair.slice(0, at), pair.slice(at + 1)];
      }),
    ),
    with_test: flag('test', metadata['test']),
    debug: flag('debug', metadata['debug']),
    mode: mode(metadata['mode']),
  };
}

function mode(text: string | undefined): BuildOptions['mode'] {
  if (text === undefined || text === '' || text === 'dag') return 'dag';
  if (text === 'flat') return 'flat';
  throw invalid('mode', text, 'use dag or flat');
}

function flag(name: string, text: string | undefined): boolean {
  const value = WORDS.get((text ?? '').toLowerCase());
  if (value === undefined) throw invalid(name, text ?? '', 'use true or false');
  return value;
}

function list(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function invalid(name: string, value: string, hint: string): PipelineError {
  return new PipelineError({
    code: 'request-invalid',
    kind: 'user',
    message: `the object's metadata ${name} is "${value}"`,
    hint,
  });
}
