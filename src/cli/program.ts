/** Reads a command line: which verb, with what. Nothing is run and nothing is printed here. */

import { Command, CommanderError, Option } from 'commander';
import { HOME, loadCommand, type VerbName } from '../commands/registry.ts';
import type { Command as ForgeCommand } from '../commands/shared/command.ts';
import type { ForgeError } from '../lib/errors.ts';
import { usageError } from './errors.ts';
import { findVerb } from './find-verb.ts';
import type { Input } from './input.ts';

export type Request =
  | { kind: 'verb'; verb: VerbName; command: ForgeCommand; input: Input; dir: string | undefined }
  /** Of one verb, or of all when it is null. */
  | { kind: 'help'; verb: VerbName | null }
  | { kind: 'version' };

type Env = Readonly<Record<string, string | undefined>>;

/** Reads `argv`, without node and script. Throws INVALID_ARGS, UNKNOWN_VERB. */
export async function parseArgv(argv: readonly string[], env: Env): Promise<Request> {
  const { verb, args, help } = findVerb(argv);
  const command = verb === null ? null : await loadCommand(verb);
  const parser = await parserFor(verb, command);
  const helped = verb === HOME ? null : verb;
  try {
    parser.parse([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.version') return { kind: 'version' };
    if (error.code.startsWith('commander.help')) return { kind: 'help', verb: helped };
    throw slip(error, verb);
  }
  if (verb === null || command === null || help) return { kind: 'help', verb: helped };
  const { readInput } = await import('./input.ts');
  const { dir = env['FORGE_DIR'], ...options } = parser.opts();
  const input = readInput(verb, command, { ...operandsOf(verb, parser.args, argv), options, env });
  return { kind: 'verb', verb, command, input, dir: dir || undefined };
}

/** Commander, set up for one verb. It neither prints nor exits. */
async function parserFor(verb: VerbName | null, command: ForgeCommand | null): Promise<Command> {
  const parser = new Command(verb || 'forge');
  parser.exitOverride().configureOutput({ writeOut: () => {}, writeErr: () => {} });
  parser.configureHelp({ formatHelp: () => '' });
  parser.option('--json').option('--dir <dir>').option('--no-color').version('-', '--version');
  if (command === null) return parser;
  const { fieldsOf, flagOf } = await import('../commands/shared/command.ts');
  for (const field of fieldsOf(command.input)) {
    if (field.form === 'operand') parser.argument(`[${field.key}]`);
    else if (field.form === 'rest') parser.argument(`[${field.key}...]`);
    else {
      const option = new Option(flagOf(field));
      if (field.many) option.argParser((text: string, before: string[] = []) => [...before, text]);
      parser.addOption(option);
    }
  }
  return parser;
}

/** The command behind `--` is the user's own. Commander has left it as it is, but without the `--`. */
function operandsOf(
  verb: VerbName,
  args: readonly string[],
  argv: readonly string[],
): { operands: readonly string[]; rest: readonly string[] } {
  if (verb !== 'exec') return { operands: args, rest: [] };
  const at = argv.indexOf('--');
  const rest = at === -1 ? [] : argv.slice(at + 1);
  const operands = args.slice(0, args.length - rest.length);
  if (operands.length <= 1) return { operands, rest };
  throw usageError(
    verb,
    'the command of exec stands behind `--`',
    `Such as \`exec ${operands[0]} -- ${operands[1]}\`.`,
  );
}

/** Commander's complaint in our words: its message is a sentence, with its guess in brackets on a second line. */
function slip(error: CommanderError, verb: VerbName | null): ForgeError {
  const [first = '', guess] = error.message
    .replace(/^error: /, '')
    .replaceAll("'", '')
    .split('\n');
  const near = /^\(Did you mean (.*)\?\)$/.exec(guess ?? '')?.[1];
  const message = first
    .replace(/^option (.*) argument missing$/, '$1 needs a value')
    .replace(
      /^too many arguments\. Expected (\d+) arguments? but got (\d+)\.$/,
      (_, most: string, got: string) =>
        `${verb || 'forge'} takes ${most === '0' ? 'no arguments' : `one argument, not ${got}`}`,
    );
  return usageError(verb, message, near === undefined ? undefined : `Did you mean ${near}?`);
}
