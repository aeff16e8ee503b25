/** From the arguments of the process to what it shall do. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { ARCHITECTURE_NAMES, type Architecture, parseArchitecture } from '../shared/build-file/index.ts';
import { didYouMean } from '../shared/build-file/spelling.ts';
import type { FileTask } from './file-task.ts';
import { COMMAND_NAMES, COMMANDS, type CommandName, OPTIONS, type OptionDescription } from './options.ts';

export type Invocation =
  | { readonly kind: 'help'; readonly command: CommandName | undefined }
  | { readonly kind: 'version' }
  | { readonly kind: 'schema'; readonly of: 'build-file' | 'pipeline-file' }
  | ({ readonly kind: 'files' } & FilesInvocation)
  | { readonly kind: 'wrong'; readonly message: string; readonly command: CommandName | undefined };

/** A task whose files are not read yet. */
export interface FilesInvocation extends Omit<FileTask, 'varsFile' | 'environmentFiles' | 'style'> {
  readonly paths: readonly string[];
  readonly varsFile: string | undefined;
  readonly environmentFiles: readonly string[];
  readonly jobs: number | undefined;
  /** Repositories, keys and packages of `lock`. */
  readonly repositories: readonly string[];
  readonly keys: readonly string[];
  readonly packages: readonly string[];
  /** Path of the file of `--lock`. */
  readonly lock: string | undefined;
}

/** What `validate` checks for without `--arch`: those that Wolfi, and most public build files, are made for. */
export const DEFAULT_ARCHITECTURES: readonly Architecture[] = ['x86_64', 'aarch64'];

const MAX_JOBS = 256;

/** Reads the arguments. What is wrong with them is a result, for a message and the usage. */
export function readCommandLine(argv: readonly string[]): Invocation {
  const [first, ...rest] = argv;
  if (first === undefined) return { kind: 'wrong', message: 'no command given', command: undefined };
  if (first === '--help' || first === '-h') return { kind: 'help', command: undefined };
  if (first === '--version' || first === '-V') return { kind: 'version' };
  const wanted = first === 'help' ? rest[0] : first;
  if (wanted === undefined) return { kind: 'help', command: undefined };
  const command = COMMAND_NAMES.find((name) => name === wanted);
  if (command === undefined) {
    const hint = didYouMean(wanted, COMMAND_NAMES);
    const message = `there is no command "${wanted}"${hint === undefined ? '' : `; ${hint}`}`;
    return { kind: 'wrong', message, command: undefined };
  }
  return first === 'help' ? { kind: 'help', command } : readCommand(command, rest);
}

function readCommand(command: CommandName, args: readonly string[]): Invocation {
  const wrong = (message: string): Invocation => ({ kind: 'wrong', message, command });
  const { values, positionals, problem } = parse(command, args);
  if (problem !== undefined) return wrong(problem);
  if (values['help'] === true) return { kind: 'help', command };
  if (command === 'schema') {
    if (positionals.length > 0) return wrong(`"${positionals[0]}" is one argument too many`);
    return { kind: 'schema', of: values['pipeline'] === true ? 'pipeline-file' : 'build-file' };
  }
  if (positionals.length === 0) return wrong('no FILE given');
  if (positionals.filter((path) => path === '-').length > 1) return wrong('- can be given only once');

  const architectures = readArchitectures(textsOf(values['arch']));
  if ('problem' in architectures) return wrong(architectures.problem);
  if (command !== 'validate' && architectures.found.length === 0) return wrong('--arch is missing');
  const { formats } = COMMANDS[command];
  const output = formats.find((format) => format === (values['output'] ?? formats[0]));
  if (output === undefined) return wrong(`--output is ${formats.join(' or ')}`);
  const libcFlavor = values['libc'] ?? 'gnu';
  if (libcFlavor !== 'gnu' && libcFlavor !== 'musl') return wrong('--libc is gnu or musl');
  const jobs = values['jobs'] === undefined ? undefined : Number(values['jobs']);
  if (jobs !== undefined && !(Number.isInteger(jobs) && jobs >= 1 && jobs <= MAX_JOBS)) {
    return wrong(`--jobs is a number from 1 to ${MAX_JOBS}`);
  }
  return {
    kind: 'files',
    command,
    paths: positionals,
    architectures: architectures.found.length > 0 ? architectures.found : DEFAULT_ARCHITECTURES,
    pipelineFolders: textsOf(values['pipeline-dir']),
    buildOptions: textsOf(values['option']),
    varsFile: textsOf(values['vars-file'])[0],
    environmentFiles: textsOf(values['env-file']),
    commit: textsOf(values['commit'])[0],
    libcFlavor,
    output,
    jobs,
    repositories: textsOf(values['repository-append']),
    keys: textsOf(values['keyring-append']),
    packages: textsOf(values['package-append']),
    lock: textsOf(values['lock'])[0],
  };
}

interface Parsed {
  readonly values: Readonly<Record<string, unknown>>;
  readonly positionals: readonly string[];
  readonly problem?: string;
}

function parse(command: CommandName, args: readonly string[]): Parsed {
  const options: ParseArgsOptionsConfig = {};
  for (const name of COMMANDS[command].options) {
    const { type, short, multiple = false }: OptionDescription = OPTIONS[name];
    options[name] = { type, multiple, ...(short === undefined ? {} : { short }) };
  }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (thrown) {
    // Node's own errors of parsing; the sentences after the first explain its syntax for negative values.
    if (!(thrown instanceof TypeError) || !('code' in thrown)) throw thrown;
    const problem = thrown.message.split(/\.? To specify |\n/, 1)[0]?.replace(/\.$/, '') ?? thrown.message;
    return { values: {}, positionals: [], problem };
  }
}

function textsOf(value: unknown): string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((one) => typeof one === 'string');
}

type Architectures = { readonly found: readonly Architecture[] } | { readonly problem: string };

function readArchitectures(given: readonly string[]): Architectures {
  const found = new Set<Architecture>();
  for (const word of given.flatMap((one) => one.split(',')).map((one) => one.trim())) {
    if (word === 'all') for (const one of ARCHITECTURE_NAMES) found.add(one);
    else {
      const arch = parseArchitecture(word === 'host' ? hostArchitecture() : word);
      if (arch === undefined) {
        const hint = didYouMean(word, ARCHITECTURE_NAMES) ?? `known are ${ARCHITECTURE_NAMES.join(', ')}`;
        return { problem: `there is no architecture "${word}"; ${hint}` };
      }
      found.add(arch);
    }
  }
  return { found: [...found] };
}

/** Node's names (https://nodejs.org/api/process.html#processarch) that are neither apk's nor OCI's. */
const NODE_NAMES: ReadonlyMap<string, string> = new Map([
  ['x64', 'x86_64'],
  ['ia32', 'x86'],
  ['arm', 'armv7'],
  ['ppc64', 'ppc64le'],
]);

function hostArchitecture(): string {
  return NODE_NAMES.get(process.arch) ?? process.arch;
}
