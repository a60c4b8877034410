/** Reads a command line: which verb, with what. Nothing is run and nothing is printed here. */

import { parseArgs } from 'node:util';
import { HOME, loadCommand, type VerbName } from '../commands/registry.ts';
import type { FieldInfo, Command as ForgeCommand } from '../commands/shared/command.ts';
import type { Input } from '../commands/shared/environment.ts';
import { closest } from '../lib/text.ts';
import type { Variables } from '../lib/variables.ts';
import { usageError } from './errors.ts';
import { findVerb, nameOf } from './find-verb.ts';
import { GLOBAL, LETTERS, leadingWords } from './words.ts';

/** `ids`: the fields that stand on the command line and hold ids, which a person may have shortened. */
export type Request =
  | { kind: 'verb'; verb: VerbName; command: ForgeCommand; input: Input; ids: FieldInfo[]; dir: string | undefined }
  /** Of one verb, or of all when it is null. */
  | { kind: 'help'; verb: VerbName | null }
  | { kind: 'version' };

/** As other tools have it; the flags of every verb stay allowed. */
const VERSION = /^(orchestrate )?version$/;

/** Reads `argv`, without node and script. Throws INVALID_ARGS, UNKNOWN_VERB. */
export async function parseArgv(argv: readonly string[], env: Variables): Promise<Request> {
  const leading = leadingWords(argv).map(({ word }) => word);
  if (VERSION.test(leading.join(' '))) return { kind: 'version' };
  const { verb, args, help } = findVerb(argv);
  // Without a verb there are only the flags of all, and what is behind the help of all need not be loaded.
  const named = verb === HOME ? null : verb;
  const command = named === null ? null : await loadCommand(named);
  const fields = command === null ? [] : (await import('../commands/shared/command.ts')).fieldsOf(command.input);
  const flags = flagsOf(fields);
  // What stands behind `--` is the command that such a verb starts.
  const end = fields.some(({ form }) => form === 'rest') ? args.indexOf('--') : -1;
  const words = wordsOf(end === -1 ? args : args.slice(0, end), flags);
  if (words.options['--version']) return { kind: 'version' };
  const helped: Request = { kind: 'help', verb: named };
  if (words.options['--help']) return helped;
  refuseWrongFlags(verb, words, flags);
  if (verb === null || help) return helped;
  refuseMoreOperands(verb, words.operands, fields);
  const { '--dir': dir = env['FORGE_DIR'], ...options } = words.options;
  const { readInput } = await import('./input.ts');
  const rest = end === -1 ? [] : args.slice(end + 1);
  const called = command ?? (await loadCommand(verb));
  const input = readInput(verb, called.input, fields, { operands: words.operands, rest, options, env });
  const operands = fields.filter(({ form }) => form === 'operand');
  const isWritten = (field: FieldInfo) =>
    field.form === 'operand' ? operands.indexOf(field) < words.operands.length : options[nameOf(field)] !== undefined;
  // In a worker ids come from forge, and are whole.
  const ids = env['FORGE_TASK_ID'] ? [] : fields.filter((field) => field.id !== undefined && isWritten(field));
  return {
    kind: 'verb',
    verb,
    command: called,
    input,
    ids,
    dir: typeof dir === 'string' && dir !== '' ? dir : undefined,
  };
}

/** A flag as it is written: `--limit <n>`. */
export type Flag = Pick<FieldInfo, 'written' | 'description'> & Partial<FieldInfo>;

/** The flags of a verb with these fields. */
export function flagsOf(fields: readonly FieldInfo[]): Flag[] {
  const ofAll = GLOBAL.map(([written, description]) => ({ written, description }));
  return [...fields.filter(({ form }) => form === undefined), ...ofAll];
}

/** What a command line is made of. */
export interface Words {
  /** By the names of the flags: the value, `true` for a flag that takes none, a list for one that takes several. */
  options: Readonly<Record<string, unknown>>;
  operands: readonly string[];
  /** The first word that is not a flag of this verb, and looks like one; null when there is none. */
  unknown: string | null;
  /** The flag at the end whose value is missing; null when there is none. */
  unfinished: string | null;
}

/**
 * Reads the words behind a verb. A flag may stand anywhere before `--`, and takes the next word as its value, or what stands behind `=`. Letters
 * may stand together. Node's own reader, and no library: each start loads it, and has Node's already.
 */
export function wordsOf(args: readonly string[], flags: readonly Flag[]): Words {
  const known = new Map(flags.map((flag) => [nameOf(flag), flag]));
  const takesValue = ({ written }: Flag) => written.includes(' ');
  const types = flags.map((flag) => {
    const type = takesValue(flag) ? ('string' as const) : ('boolean' as const);
    return [nameOf(flag).slice('--'.length), { type }] as const;
  });
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(types),
    strict: false,
    tokens: true,
  });
  const options: Record<string, unknown> = {};
  const operands: string[] = [];
  let unknown: string | null = null;
  let number = -1;
  for (const token of tokens) {
    const word = args[token.index] ?? '';
    if (token.kind === 'positional' && unknown === null) operands.push(token.value);
    if (token.kind !== 'option' || token.index === number) continue;
    const { rawName, value } = token;
    const flag = known.get(rawName);
    if (flag !== undefined && takesValue(flag)) {
      if (value === undefined) return { options, operands: [], unknown: null, unfinished: word };
      options[rawName] = flag.many ? [...((options[rawName] ?? []) as string[]), value] : value;
    } else if (flag !== undefined && value === undefined) options[rawName] = true;
    else if (Object.hasOwn(LETTERS, rawName)) options[LETTERS[rawName] ?? ''] = true;
    else if (NEGATIVE.test(word)) {
      // Node takes its digits for letters, one by one.
      number = token.index;
      if (unknown === null) operands.push(word);
    } else unknown ??= word;
  }
  return { options, operands, unknown, unfinished: null };
}

/** A number, and no flag. */
const NEGATIVE = /^-(\d+|\d*\.\d+)(e[+-]?\d+)?$/;

/** Throws INVALID_ARGS. */
function refuseWrongFlags(verb: VerbName | null, { unknown, unfinished }: Words, flags: readonly Flag[]): void {
  const written = (word: string | undefined) => flags.find((flag) => nameOf(flag) === word)?.written;
  if (unfinished !== null) throw usageError(verb, `${written(unfinished)} needs a value`);
  if (unknown === null) return;
  const [name = ''] = unknown.split('=');
  if (written(name) !== undefined) throw usageError(verb, `${name} takes no value`);
  const near = closest(name, flags.map(nameOf));
  throw usageError(verb, `unknown option ${name}`, near === null ? undefined : `Did you mean ${near}?`);
}

/** Throws INVALID_ARGS for more operands than the verb takes. */
function refuseMoreOperands(verb: VerbName, operands: readonly string[], fields: readonly FieldInfo[]): void {
  const taken = fields.filter(({ form }) => form === 'operand');
  const most = taken.length;
  if (operands.length <= most || taken.at(-1)?.many === true) return;
  if (fields.some(({ form }) => form === 'rest')) {
    const guess = `Such as \`${verb} ${operands[0]} -- ${operands[1]}\`.`;
    throw usageError(verb, `the command of ${verb} stands behind \`--\``, guess);
  }
  const takes =
    most === 0 ? 'no arguments' : `${most === 1 ? 'one argument' : `${most} arguments`}, not ${operands.length}`;
  throw usageError(verb, `${verb || 'forge'} takes ${takes}`);
}
