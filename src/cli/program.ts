/** Reads a command line: which verb, with what. Nothing is run and nothing is printed here. */

import { Command, CommanderError, Option } from 'commander';
import { ForgeError } from '../core/errors.ts';
import { closest } from '../core/text.ts';
import { GROUPS, HOME } from './catalog/index.ts';
import { flagOf, Input } from './input.ts';
import type { VerbSpec } from './spec.ts';

export type Request =
  | { kind: 'verb'; spec: VerbSpec; input: Input; dir: string | undefined }
  /** Of one verb, or of all when it is null. */
  | { kind: 'help'; verb: VerbSpec | null }
  | { kind: 'version' };

type Env = Readonly<Record<string, string | undefined>>;

const VERBS = GROUPS.flatMap(({ verbs }) => verbs);
const TOP_VERBS = VERBS.map(({ name }) => name).filter((name) => !name.includes(' '));
const GLOBAL_FLAGS = ['--json', '--dir', '--no-color', '--help', '--version'];

/** Reads `argv`, without node and script. Throws INVALID_ARGS, UNKNOWN_VERB. */
export function parseArgv(argv: readonly string[], env: Env): Request {
  const program = new Program(argv, env);
  try {
    program.root.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.version') return { kind: 'version' };
    if (!error.code.startsWith('commander.help')) throw usageError(error, program.asked);
  }
  return program.request ?? { kind: 'help', verb: program.asked };
}

/** The tree of commands, for one command line. */
class Program {
  readonly root = new Command('forge');
  request: Request | null = null;
  /** The verb whose help was asked for, or whose command line is wrong. */
  asked: VerbSpec | null = null;
  readonly #argv: readonly string[];
  readonly #env: Env;

  constructor(argv: readonly string[], env: Env) {
    this.#argv = argv;
    this.#env = env;
    this.root.configureOutput({ writeOut: () => {}, writeErr: () => {} });
    // Known to the root alone, so each may stand anywhere before `--`.
    this.root.option('--json').option('--dir <dir>').option('--no-color').version('-', '--version');
    this.#bare(this.root, 'forge', () => {
      this.request = { kind: 'help', verb: null };
    });
    const orchestrate = this.root.command('orchestrate');
    this.#bare(orchestrate, 'forge orchestrate', () => this.#verb(HOME, orchestrate, []));
    for (const spec of this.#possible()) this.#add(orchestrate, spec);
  }

  /** Verbs whose name is on the command line somewhere: a start should not pay for the others. */
  #possible(): VerbSpec[] {
    const words = new Set(this.#argv);
    return VERBS.filter(({ name }) => words.has(name.split(' ', 1)[0] ?? name));
  }

  /** A command that is complete without a verb. Any word in the verb's place is one that nobody knows. */
  #bare(command: Command, name: string, action: () => void): void {
    this.#quiet(command, null);
    command.helpCommand('help [verb]').argument('[verb...]').allowUnknownOption();
    command.action(() => {
      const [word] = command.args;
      if (word === undefined) return action();
      if (!word.startsWith('-')) throw unknownVerb(word, name, TOP_VERBS);
      const near = closest(word, GLOBAL_FLAGS);
      throw invalid(`unknown option ${word}`, null, near === null ? undefined : `Did you mean ${near}?`);
    });
  }

  #add(orchestrate: Command, spec: VerbSpec): void {
    const words = spec.name.split(' ');
    const above = words.length === 1 ? orchestrate : orchestrate.commands.find((other) => other.name() === words[0]);
    const command = (above ?? orchestrate).command(words.at(-1) ?? spec.name);
    this.#quiet(command, spec);
    for (const operand of spec.operands ?? []) command.argument(`[${operand.name}]`);
    if (spec.name === 'exec') command.argument('[command...]');
    // `run` has options of its own and verbs below it: what stands behind such a verb belongs to that verb.
    if (verbsBelow(spec).length > 0) command.enablePositionalOptions().argument('[verb...]');
    for (const option of spec.options ?? []) {
      const made = new Option(flagOf(option));
      if (option.many === true) made.argParser((text: string, before: string[] = []) => [...before, text]);
      command.addOption(made);
    }
    command.action(() => this.#verb(spec, command, command.args));
  }

  /** Commander neither prints nor exits; its help is never asked for its text. */
  #quiet(command: Command, spec: VerbSpec | null): void {
    command.helpInformation = () => '';
    command.exitOverride((error) => {
      this.asked = spec;
      throw error;
    });
  }

  #verb(spec: VerbSpec, command: Command, args: readonly string[]): void {
    const [stray] = spec.name.includes(' ') ? Object.keys(command.parent?.opts() ?? {}) : [];
    if (stray !== undefined) throw invalid(`${spec.name} takes no options of ${command.parent?.name()}`, spec);
    const below = verbsBelow(spec);
    if (below.length > 0 && args[0] !== undefined) throw unknownVerb(args[0], `forge orchestrate ${spec.name}`, below);
    const { operands, rest } = this.#split(spec, args);
    const input = new Input(spec, { operands, options: command.opts(), rest, env: this.#env });
    const dir: unknown = this.root.getOptionValue('dir') ?? this.#env['FORGE_DIR'];
    this.request = { kind: 'verb', spec, input, dir: typeof dir === 'string' && dir !== '' ? dir : undefined };
  }

  /** The command behind `--` is the user's own. Commander has left it as it is, but without the `--`. */
  #split(spec: VerbSpec, args: readonly string[]): { operands: readonly string[]; rest: readonly string[] | null } {
    if (spec.name !== 'exec') return { operands: args, rest: null };
    const at = this.#argv.indexOf('--');
    const rest = at === -1 ? null : this.#argv.slice(at + 1);
    const operands = args.slice(0, args.length - (rest?.length ?? 0));
    if (operands.length <= 1) return { operands, rest };
    throw invalid('the command of exec stands behind `--`', spec, `Such as \`exec ${operands[0]} -- ${operands[1]}\`.`);
  }
}

/** Names of the verbs below a verb, such as `start` below `run`. */
function verbsBelow({ name }: VerbSpec): string[] {
  const before = `${name} `;
  return VERBS.flatMap((other) => (other.name.startsWith(before) ? [other.name.slice(before.length)] : []));
}

function unknownVerb(word: string, before: string, verbs: readonly string[]): ForgeError {
  const near = closest(word, before === 'forge' ? ['orchestrate', ...verbs] : verbs);
  const verb = before === 'forge' && near !== 'orchestrate' ? `forge orchestrate ${near}` : `${before} ${near}`;
  return new ForgeError('UNKNOWN_VERB', `${before} has no verb ${JSON.stringify(word)}`, {
    hint: `${near === null ? '' : `Did you mean \`${verb}\`? `}See \`forge orchestrate --help\` for the verbs.`,
    details: { verb: word },
  });
}

/** Commander's complaint in our words: its message is a sentence, with its guess in brackets on a second line. */
function usageError(error: CommanderError, verb: VerbSpec | null): ForgeError {
  const [first = '', guess] = error.message
    .replace(/^error: /, '')
    .replaceAll("'", '')
    .split('\n');
  const near = /^\(Did you mean (.*)\?\)$/.exec(guess ?? '')?.[1];
  const message = first
    .replace(/^option (.*) argument missing$/, '$1 needs a value')
    .replace(
      /^too many arguments for (.*)\. Expected (\d+) arguments? but got (\d+)\.$/,
      '$1 takes $2, not $3 arguments',
    );
  return invalid(message, verb, near === undefined ? undefined : `Did you mean ${near}?`);
}

function invalid(message: string, verb: VerbSpec | null, guess?: string): ForgeError {
  const help = `See \`forge orchestrate${verb === null ? '' : ` ${verb.name}`} --help\`.`;
  return new ForgeError('INVALID_ARGS', message, { hint: guess === undefined ? help : `${guess} ${help}` });
}
