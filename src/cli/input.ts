/** The input of a command as it stands on the command line, and in FORGE_* where that says nothing. */

import * as z from 'zod/mini';
import { type Command, type FieldInfo, fieldsOf, flagName, flagOf } from '../commands/shared/command.ts';
import type { ForgeError } from '../lib/errors.ts';
import { closest } from '../lib/text.ts';
import { usageError } from './errors.ts';

export interface Given {
  operands: readonly string[];
  /** By the names that commander makes of flags: `maxParallel`. */
  options: Readonly<Record<string, unknown>>;
  /** What stood behind `--`, as it was. */
  rest: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
}

export type Input = Record<string, unknown>;

/** What the command's schema makes of it. Throws INVALID_ARGS. */
export function readInput(verb: string, { input }: Command, given: Given): Input {
  const fields = fieldsOf(input);
  const values: Input = {};
  for (const field of fields) {
    const value = givenValue(field, given, values);
    if (value !== undefined) values[field.key] = value;
  }
  const parsed = z.safeParse(input, values, { jitless: true });
  if (parsed.success) return parsed.data as Input;
  const [key, at] = parsed.error.issues[0]?.path ?? [];
  const field = fields.find((each) => each.key === key);
  if (field === undefined) throw parsed.error;
  const value = values[field.key];
  throw value === undefined
    ? usageError(verb, `${verb} needs ${form(field)}${field.env === undefined ? '' : ` (or ${field.env})`}`)
    : invalid(verb, field, Array.isArray(value) ? value[Number(at)] : value);
}

/** `input` with the text of stdin where `-` stands for it. Throws INVALID_ARGS. */
export async function withStdin({ input: schema }: Command, input: Input): Promise<Input> {
  if (!Object.values(input).includes('-')) return input;
  const { readStdin } = await import('./stdin.ts');
  const from = fieldsOf(schema).filter(({ key, stdin }) => stdin && input[key] === '-');
  return { ...input, ...Object.fromEntries(from.map(({ key }) => [key, readStdin(`--${key}`)])) };
}

/** `<task>`, `--run <id>`. */
function form(field: FieldInfo): string {
  return field.form === 'operand' ? `<${field.key}>` : flagOf(field);
}

function givenValue(field: FieldInfo, given: Given, before: Input): unknown {
  if (field.form === 'rest') return given.rest;
  const written = field.form === 'operand' ? given.operands[0] : given.options[attributeOf(field)];
  const value = written ?? fromEnv(field, given, before);
  if (value === undefined) return field.many && field.required ? [] : undefined;
  if (field.kind === 'integer') return Array.isArray(value) ? value.map(wholeNumber) : wholeNumber(value);
  return value;
}

function fromEnv({ env, unless, ownEnv }: FieldInfo, given: Given, before: Input): string | undefined {
  const variable = (name: string) => given.env[name] || undefined;
  if (ownEnv !== undefined && before['task'] === variable('FORGE_TASK_ID')) return variable(ownEnv);
  if (env === undefined || (unless !== undefined && given.options[unless] === true)) return undefined;
  return variable(env);
}

/** Text that is no whole number stays what it is, for the schema to refuse. */
function wholeNumber(text: unknown): unknown {
  return typeof text === 'string' && /^-?\d+$/.test(text) ? Number(text) : text;
}

function invalid(verb: string, field: FieldInfo, value: unknown): ForgeError {
  const { key, kind, choices, min, max, expected } = field;
  const what = `${field.form === 'operand' ? `<${key}>` : `--${flagName(field)}`} ${JSON.stringify(String(value))}`;
  if (kind === 'choice') {
    const near = closest(String(value), choices);
    const guess = near === null ? undefined : `Did you mean ${near}?`;
    return usageError(verb, `${what}: expected ${choices.join(' or ')}`, guess);
  }
  const range = max === null ? `from ${min} on` : `from ${min} to ${max}`;
  return usageError(verb, `${what}: expected ${expected ?? `a whole number ${range}`}`);
}

/** The name under which commander keeps a flag's value. */
function attributeOf({ key }: FieldInfo): string {
  return key.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}
