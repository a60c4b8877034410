/** Reads a command line: which verb, with what. Nothing is run and nothing is printed here. */

import { type ParseArgsConfig, parseArgs } from 'node:util';
import { HOME, loadCommand, type VerbName } from '../commands/registry.ts';
import type { Command, FieldInfo } from '../commands/shared/command.ts';
import { closest } from '../lib/text.ts';
import { usageError } from './errors.ts';
import { findVerb, GLOBAL, nameOf } from './find-verb.ts';
import type { Input } from './input.ts';

export type Request =
  | { kind: 'verb'; verb: VerbName; command: Command; input: Input; dir: string | undefined }
  /** Of one verb, or of all when it is null. */
  | { kind: 'help'; verb: VerbName | null }
  | { kind: 'version' };

type Env = Readonly<Record<string, string | undefined>>;

/** Reads `argv`, without node and script. Throws INVALID_ARGS, UNKNOWN_VERB. */
export async function parseArgv(argv: readonly string[], env: Env): Promise<Request> {
  const { verb, args, help } = findVerb(argv);
  const command = verb === null ? null : await loadCommand(verb);
  const fields = command === null ? [] : (await import('../commands/shared/command.ts')).fieldsOf(command.input);
  const flags = flagsOf(fields);
  const tokens = tokensOf(args, flags);
  const asksFor = (name: string) => tokens.some((token) => token.kind === 'option' && token.name === name);
  if (asksFor('version')) return { kind: 'version' };
  const helped: Request = { kind: 'help', verb: verb === HOME ? null : verb };
  if (asksFor('help')) return helped;
  const { '--dir': dir = env['FORGE_DIR'], ...options } = optionsOf(verb, tokens, flags);
  if (verb === null || command === null || help) return helped;
  const { readInput } = await import('./input.ts');
  const input = readInput(verb, command.input, fields, { ...operandsOf(verb, tokens, fields), options, env });
  return { kind: 'verb', verb, command, input, dir: typeof dir === 'string' && dir !== '' ? dir : undefined };
}

/** A flag as it is written: `--limit <n>`. */
export type Flag = Pick<FieldInfo, 'written' | 'description'> & Partial<FieldInfo>;

/** The flags of a verb with these fields. */
export function flagsOf(fields: readonly FieldInfo[]): Flag[] {
  const ofAll = GLOBAL.map(([written, description]) => ({ written, description }));
  return [...fields.filter(({ form }) => form === undefined), ...ofAll];
}

export function takesValue({ written }: Flag): boolean {
  return written.includes(' ');
}

export type Token = ReturnType<typeof tokensOf>[number];

/** The parts of a command line, as Node tells flags, their values and operands apart. */
export function tokensOf(args: readonly string[], flags: readonly Flag[]) {
  const options: ParseArgsConfig['options'] = {};
  for (const flag of flags) options[nameOf(flag).slice(2)] = { type: takesValue(flag) ? 'string' : 'boolean' };
  options['help'] = { type: 'boolean', short: 'h' };
  return parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

/** The values of the flags by their names; `true` for a flag that takes none, a list for one that takes several. */
function optionsOf(verb: VerbName | null, tokens: readonly Token[], flags: readonly Flag[]): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const { rawName, value } = token;
    const flag = flags.find((each) => nameOf(each) === rawName);
    if (flag === undefined) {
      const near = closest(rawName, flags.map(nameOf));
      throw usageError(verb, `unknown option ${rawName}`, near === null ? undefined : `Did you mean ${near}?`);
    }
    if (takesValue(flag) !== (value !== undefined))
      throw usageError(verb, `${flag.written} ${takesValue(flag) ? 'needs a' : 'takes no'} value`);
    const before = (options[rawName] ?? []) as unknown[];
    options[rawName] = flag.many ? [...before, value] : (value ?? true);
  }
  return options;
}

/** The operands, and what stands behind `--` for a verb that starts it. */
function operandsOf(verb: VerbName, tokens: readonly Token[], fields: readonly FieldInfo[]) {
  const takesCommand = fields.some(({ form }) => form === 'rest');
  const end = takesCommand ? tokens.findIndex(({ kind }) => kind === 'option-terminator') : -1;
  const values = (part: readonly Token[]) =>
    part.flatMap((token) => (token.kind === 'positional' ? [token.value] : []));
  const operands = values(end === -1 ? tokens : tokens.slice(0, end));
  const rest = end === -1 ? [] : values(tokens.slice(end));
  const most = fields.filter(({ form }) => form === 'operand').length;
  if (operands.length <= most) return { operand: operands[0], rest };
  if (takesCommand) {
    const guess = `Such as \`${verb} ${operands[0]} -- ${operands[1]}\`.`;
    throw usageError(verb, `the command of ${verb} stands behind \`--\``, guess);
  }
  const takes = most === 0 ? 'no arguments' : `one argument, not ${operands.length}`;
  throw usageError(verb, `${verb || 'forge'} takes ${takes}`);
}
