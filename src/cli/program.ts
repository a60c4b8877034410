/** Reads a command line: which verb, with what. Nothing is run and nothing is printed here. */

import { Command, CommanderError, Option } from 'commander';
import { HOME, loadCommand, VERBS, type VerbName } from '../commands/registry.ts';
import type { Command as ForgeCommand } from '../commands/shared/command.ts';
import { ForgeError } from '../lib/errors.ts';
import { closest } from '../lib/text.ts';
import { usageError } from './errors.ts';
import type { Input } from './input.ts';

export type Request =
  | { kind: 'verb'; verb: VerbName; command: ForgeCommand; input: Input; dir: string | undefined }
  /** Of one verb, or of all when it is null. */
  | { kind: 'help'; verb: VerbName | null }
  | { kind: 'version' };

type Env = Readonly<Record<string, string | undefined>>;

/** Options that may stand in front of a verb. The value of `--dir` may also be joined to it. */
const GLOBAL_OPTIONS = ['--json', '--no-color', '--help', '-h', '--version', '--dir'];
/** Verbs that also stand right behind `forge`, for who comes to set a project up. */
export const SHORT = ['init', 'uninit', 'completion'] as const;

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

// ---------------------------------------------------------------------------------------------- which verb

interface Found {
  /** Null: none was asked for; HOME: bare `forge orchestrate`. */
  verb: VerbName | null;
  /** The command line without the words that name the verb. */
  args: string[];
  /** `help` stood in front of the verb. */
  help: boolean;
}

/**
 * The verb is found before commander sees anything, so that only this verb's options are set up: making all commands, one
 * below the other, would take longer than most verbs. Throws UNKNOWN_VERB.
 */
export function findVerb(argv: readonly string[]): Found {
  const words = new Words(argv);
  const helpFirst = words.take('help');
  const word = words.next();
  if (word === null) return { verb: null, args: words.rest(), help: helpFirst };
  if (!words.take('orchestrate') && !SHORT.some((name) => name === word))
    throw unknownVerb(word, 'forge', ['orchestrate', ...namesBelow('')]);
  const help = words.take('help') || helpFirst;
  if (words.next() === null) return { verb: help ? null : HOME, args: words.rest(), help };
  const above = takeVerb(words, '');
  const below = namesBelow(`${above} `);
  const verb = below.length === 0 || words.next() === null ? above : takeVerb(words, `${above} `);
  return { verb, args: words.rest(), help };
}

function takeVerb(words: Words, before: string): VerbName {
  const word = words.next() ?? '';
  const verb = VERBS.find((name) => name === `${before}${word}`);
  if (verb === undefined) throw unknownVerb(word, `forge orchestrate ${before}`.trimEnd(), namesBelow(before));
  words.take(word);
  return verb;
}

/** The words at the beginning of a command line that may name a verb. Only options of all verbs may stand between them. */
class Words {
  readonly #argv: readonly string[];
  readonly #taken = new Set<number>();
  #at = 0;

  constructor(argv: readonly string[]) {
    this.#argv = argv;
  }

  /** The next word; null when an option of a verb, `--` or the end comes first. */
  next(): string | null {
    let word = this.#argv[this.#at];
    while (word !== undefined && (GLOBAL_OPTIONS.includes(word) || word.startsWith('--dir='))) {
      this.#at += word === '--dir' ? 2 : 1;
      word = this.#argv[this.#at];
    }
    return word === undefined || word.startsWith('-') ? null : word;
  }

  /** Takes the next word when it is this one. */
  take(word: string): boolean {
    if (this.next() !== word) return false;
    this.#taken.add(this.#at);
    this.#at++;
    return true;
  }

  /** The command line without what was taken. */
  rest(): string[] {
    return this.#argv.filter((_, index) => !this.#taken.has(index));
  }
}

/** The verbs below `before`, such as `start` below `run `; with '', those that stand right behind `orchestrate`. */
export function namesBelow(before: string): string[] {
  const names = VERBS.flatMap((name) => (name.startsWith(before) ? [name.slice(before.length)] : []));
  return names.filter((name) => name !== '' && !name.includes(' '));
}

function unknownVerb(word: string, before: string, verbs: readonly string[]): ForgeError {
  const begun = verbs.filter((verb) => word.length > 1 && verb.startsWith(word));
  const near = closest(word, verbs) ?? (begun.length === 1 ? (begun[0] ?? null) : null);
  const verb = before === 'forge' && near !== 'orchestrate' ? `forge orchestrate ${near}` : `${before} ${near}`;
  return new ForgeError('UNKNOWN_VERB', `${before} has no verb ${JSON.stringify(word)}`, {
    hint: `${near === null ? '' : `Did you mean \`${verb}\`? `}See \`forge orchestrate --help\` for the verbs.`,
    details: { verb: word },
  });
}

// ---------------------------------------------------------------------------------------------- with what

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
