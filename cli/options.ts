/** The commands and their options: one description for reading the command line and for its help. */

export interface OptionDescription {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  readonly short?: string;
  /** How the help calls the value. */
  readonly value?: string;
  readonly help: string;
}

export const OPTIONS = {
  arch: {
    type: 'string',
    multiple: true,
    value: 'ARCH',
    help: 'architecture, as apk (x86_64) or OCI (amd64) names it; repeatable, or a list with commas; "host" is this machine\'s, "all" stands for all nine',
  },
  'pipeline-dir': {
    type: 'string',
    multiple: true,
    value: 'DIR',
    help: 'folder of local pipelines; repeatable, the first that has a pipeline counts; pipelines/ beside the build file comes after them, then those that are built in',
  },
  option: { type: 'string', multiple: true, value: 'NAME', help: 'build option to enable; repeatable' },
  'vars-file': {
    type: 'string',
    value: 'FILE',
    help: 'YAML file of one flat mapping whose entries overwrite "vars"',
  },
  'env-file': {
    type: 'string',
    multiple: true,
    value: 'FILE',
    help: 'file of NAME=value lines (dotenv) for the environment; repeatable; the build file wins over all, an earlier file over a later one',
  },
  commit: {
    type: 'string',
    value: 'COMMIT',
    help: 'commit of the repository that holds the build files, for packages that name none',
  },
  libc: {
    type: 'string',
    value: 'gnu|musl',
    help: 'C library in ${{host.triplet.*}}; default gnu',
  },
  'repository-append': {
    type: 'string',
    short: 'r',
    multiple: true,
    value: 'REPOSITORY',
    help: 'URL, gs://BUCKET/PATH or folder that holds ARCH/APKINDEX.tar.gz, or "@tag URL"; repeatable',
  },
  'keyring-append': {
    type: 'string',
    short: 'k',
    multiple: true,
    value: 'KEY',
    help: 'file or URL of a public key that indexes are signed with; repeatable',
  },
  'package-append': {
    type: 'string',
    multiple: true,
    value: 'PACKAGE',
    help: 'package beside those that the build file asks for; repeatable',
  },
  lock: {
    type: 'string',
    value: 'LOCKFILE',
    help: 'file with what --output json printed: check and print these packages instead of solving',
  },
  output: { type: 'string', short: 'o', value: 'FORMAT', help: 'what is printed' },
  jobs: {
    type: 'string',
    short: 'j',
    value: 'N',
    help: 'threads; default one for each 1,000 files, at most as many as there are processors',
  },
  pipeline: { type: 'boolean', help: 'the schema of pipeline files' },
  help: { type: 'boolean', short: 'h', help: 'show this help' },
} as const satisfies Readonly<Record<string, OptionDescription>>;

export type OptionName = keyof typeof OPTIONS;

export interface CommandDescription {
  readonly usage: string;
  /** One line for the list of commands. */
  readonly summary: string;
  readonly text: string;
  readonly options: readonly OptionName[];
  /** Values of `--output`, the default first. */
  readonly formats: readonly string[];
}

export const COMMANDS = {
  validate: {
    usage: 'carryall validate FILE… [options]',
    summary: 'check build files, with all pipelines that they use',
    text: `Parses each FILE and compiles it for each architecture, so that whatever can be known
without building is found: mistakes of form, unknown pipelines and variables, missing inputs.
Problems go to standard output as file:line:column, a summary to standard error.

A FILE may be a folder, which stands for the build files (*.yaml) directly in it, and - is
standard input. Without --arch, files are checked for x86_64 and aarch64; an architecture that a
file is not made for is passed over.

Exit code: 0 all valid, 2 a file is invalid, 1 a file could not be read, 64 wrong usage.`,
    options: ['arch', 'pipeline-dir', 'option', 'vars-file', 'env-file', 'output', 'jobs', 'help'],
    formats: ['text', 'json'],
  },
  compile: {
    usage: 'carryall compile FILE… --arch ARCH [options]',
    summary: 'print build files as they are built: pipelines, variables and conditions resolved',
    text: `Prints each FILE as it is built for the architecture. As yaml: a build file without "uses"
and without variables, as it is kept in packages as .melange.yaml; several are separated by ---.
As json: a line {"file", "arch", "plan"} for each.

Nothing is printed of a file with errors, which go to standard error. A file that is not made for
the architecture is passed over with a notice.

FILE is as for validate, and so are the exit codes.`,
    options: [
      'arch',
      'pipeline-dir',
      'option',
      'vars-file',
      'env-file',
      'commit',
      'libc',
      'output',
      'jobs',
      'help',
    ],
    formats: ['yaml', 'json'],
  },
  lock: {
    usage: 'carryall lock FILE… --arch ARCH -r REPOSITORY… -k KEY… [options]',
    summary: 'print which packages a build would get: versions and digests',
    text: `Solves the environment of each FILE against the repositories as they are now, and verifies
each package: signed index, control checksum, data hash. As text: a line with name=version,
sha256 and bytes for each package, in the order of installation. As json: a line for each FILE.
As apkindex: the records of the index.

Repositories that the build file names itself must be https, on public addresses; its keyring
is not used. Credentials of repositories come from the environment variable HTTP_AUTH.

With --lock nothing is solved: the packages are those that LOCKFILE has for the FILE and the
architecture. Each must still be there with the very digest that was locked.

Exit code: 0 done, 2 a file is invalid, has no solution, or the lock is not for it, 1 a repository
or file could not be read or is not what was locked, 64 wrong usage.`,
    options: [
      'arch',
      'repository-append',
      'keyring-append',
      'package-append',
      'lock',
      'pipeline-dir',
      'option',
      'vars-file',
      'env-file',
      'output',
      'help',
    ],
    formats: ['text', 'json', 'apkindex'],
  },
  schema: {
    usage: 'carryall schema [--pipeline]',
    summary: 'print the JSON Schema of build files, for editors',
    text: `Prints a JSON Schema (draft 2020-12), with which an editor completes, explains and checks
build files. With --pipeline, the one of pipeline files.`,
    options: ['pipeline', 'help'],
    formats: [],
  },
} as const satisfies Readonly<Record<string, CommandDescription>>;

export type CommandName = keyof typeof COMMANDS;

export const COMMAND_NAMES: readonly CommandName[] = ['validate', 'compile', 'lock', 'schema'];
