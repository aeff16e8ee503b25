/** The help texts. */
import {
  COMMAND_NAMES,
  COMMANDS,
  type CommandDescription,
  type CommandName,
  OPTIONS,
  type OptionDescription,
  type OptionName,
} from './options.ts';

/** Columns of the help. */
const WIDTH = 96;
const INDENT = 26;

/** `carryall --help`. */
export function generalHelp(): string {
  const commands = COMMAND_NAMES.map((name) => `  ${name.padEnd(10)}${COMMANDS[name].summary}`);
  return `Carryall's tools for melange build files. They need no service, and but for lock no network.

usage: carryall COMMAND …

${commands.join('\n')}

  carryall help COMMAND   what a command does, and its options
  carryall --version
`;
}

/** `carryall help COMMAND`. */
export function commandHelp(name: CommandName): string {
  const { usage, text, options, formats }: CommandDescription = COMMANDS[name];
  const lines = options.map((option) => optionHelp(option, formats));
  return `usage: ${usage}\n\n${text}\n\n${lines.join('\n')}\n`;
}

function optionHelp(name: OptionName, formats: readonly string[]): string {
  const option: OptionDescription = OPTIONS[name];
  const value = name === 'output' ? formats.join('|') : option.value;
  const short = option.short === undefined ? '' : `-${option.short}, `;
  const head = `  ${short}--${name}${value === undefined ? '' : ` ${value}`}`;
  const text = name === 'output' ? `${option.help}; default ${formats[0]}` : option.help;
  const [first = '', ...rest] = wrap(text, WIDTH - INDENT);
  const start = head.length < INDENT - 1 ? [head.padEnd(INDENT) + first] : [head, ' '.repeat(INDENT) + first];
  return [...start, ...rest.map((line) => ' '.repeat(INDENT) + line)].join('\n');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
