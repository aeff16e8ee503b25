#!/usr/bin/env node
/** The command `carryall`. */
import { readFileSync } from 'node:fs';
import type { SourceText } from '../shared/build-file/index.ts';
import { asPipelineError } from '../shared/errors.ts';
import { type FilesInvocation, type Invocation, readCommandLine } from './command-line.ts';
import { wantsNoColour } from './config.ts';
import type { FileTask } from './file-task.ts';
import { commandHelp, generalHelp } from './help.ts';
import { expandInputs } from './inputs.ts';
import { COMMANDS } from './options.ts';
import { createOutput, type OutputStream } from './output.ts';
import { isFolder } from './pipeline-folders.ts';
import { fileSystemReason, readText } from './read-text.ts';
import { EXIT, runFiles } from './run-files.ts';
import { schemaText } from './schema.ts';

/** What a shell reports for a process that a signal ended (128 + the signal's number). */
const SIGNAL_EXITS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
const BROKEN_PIPE_EXIT = 141;

const output = createOutput(process.stdout, process.stderr);
endOnSignals();
endOnBrokenPipe(process.stdout);
endOnBrokenPipe(process.stderr);
try {
  process.exitCode = await run(readCommandLine(process.argv.slice(2)));
} catch (thrown) {
  const found = fileSystemReason(thrown);
  const error = asPipelineError(thrown);
  const bug = `${error.message}\nplease report it with this:\n${error.stack}`;
  const text = found === undefined ? bug : `${found.path || 'a file'} cannot be read: ${found.reason}`;
  await output.complain(`carryall: ${text}\n`);
  process.exitCode = EXIT.trouble;
}

/** Does what the arguments say; gives the exit code. */
async function run(invocation: Invocation): Promise<number> {
  switch (invocation.kind) {
    case 'help':
      await output.print(invocation.command === undefined ? generalHelp() : commandHelp(invocation.command));
      return EXIT.ok;
    case 'version':
      await output.print(`carryall ${version()}\n`);
      return EXIT.ok;
    case 'schema':
      await output.print(schemaText(invocation.of));
      return EXIT.ok;
    case 'wrong': {
      const { command, message } = invocation;
      const usage = command === undefined ? 'carryall COMMAND …' : COMMANDS[command].usage;
      const help = command === undefined ? 'carryall --help' : `carryall help ${command}`;
      await output.complain(`carryall: ${message}\nusage: ${usage}\nfor more: ${help}\n`);
      return EXIT.usage;
    }
    case 'files':
      return checkFiles(invocation);
  }
}

async function checkFiles(invocation: FilesInvocation): Promise<number> {
  const missing = invocation.pipelineFolders.find((folder) => !isFolder(folder));
  if (missing !== undefined) {
    await output.complain(`carryall: the pipeline folder ${missing} is not there\n`);
    return EXIT.trouble;
  }
  const { paths, jobs, varsFile, environmentFiles, repositories, keys, packages, lock, ...rest } = invocation;
  const reportsTo = invocation.command === 'validate' ? process.stdout : process.stderr;
  const task: FileTask = {
    ...rest,
    varsFile: varsFile === undefined ? undefined : sourceOf(varsFile),
    environmentFiles: environmentFiles.map(sourceOf),
    style: isColourful(reportsTo) ? 'coloured' : 'plain',
  };
  const inputs = await expandInputs(paths, process.stdin);
  if (invocation.command !== 'lock') return runFiles(inputs, { task, jobs, output });
  try {
    const settings = { repositories, keys, packages, lock, output: invocation.output };
    // Most commands do without what it needs.
    const { createLocker } = await import('./lock.ts');
    const locker = await createLocker(settings, output);
    return await runFiles(inputs, { task, jobs, output, locker });
  } catch (thrown) {
    const { kind, message, hint } = asPipelineError(thrown);
    if (kind === 'bug') throw thrown;
    await output.complain(`carryall: ${message}\n${hint === undefined ? '' : `  hint: ${hint}\n`}`);
    return EXIT.trouble;
  }
}

function sourceOf(file: string): SourceText {
  return { file, text: readText(file) };
}

function isColourful(stream: OutputStream): boolean {
  return stream.isTTY === true && !wantsNoColour();
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const known = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return known ? String(manifest.version) : 'of unknown version';
}

/** Nothing here needs cleaning up, and the first process of a container has no default for signals. */
function endOnSignals(): void {
  for (const [signal, code] of Object.entries(SIGNAL_EXITS)) process.once(signal, () => process.exit(code));
}

/** Whoever reads no further, such as `head`, wants to hear no more. */
function endOnBrokenPipe(stream: NodeJS.WritableStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(BROKEN_PIPE_EXIT);
    process.stderr.write(`carryall: the output cannot be written: ${error.message}\n`);
    process.exit(EXIT.trouble);
  });
}
