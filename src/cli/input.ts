/** The input of a command as it stands on the command line, and in FORGE_* where that says nothing. */

import fs from 'node:fs';
import * as z from 'zod/mini';
import { type Command, contentFieldOf, type FieldInfo, fieldsOf } from '../commands/shared/command.ts';
import { type Input, withEnvironment } from '../commands/shared/environment.ts';
import { ForgeError, invalidArgs } from '../lib/errors.ts';
import { orList } from '../lib/schema-issues.ts';
import { closest } from '../lib/text.ts';
import type { Variables } from '../lib/variables.ts';
import { usageError } from './errors.ts';
import { nameOf } from './find-verb.ts';

export interface Given {
  /** In their order. */
  operands: readonly string[];
  /** By the names of the flags: `--max-parallel`. */
  options: Readonly<Record<string, unknown>>;
  /** What stood behind `--`, as it was. */
  rest: readonly string[];
  env: Variables;
}

/** What the schema of a command with these fields makes of it. Throws INVALID_ARGS. */
export function readInput(verb: string, schema: Command['input'], fields: readonly FieldInfo[], given: Given): Input {
  const operands = fields.filter(({ form }) => form === 'operand');
  const written = fields.map((field) => {
    const at = operands.indexOf(field);
    const operand = field.many ? given.operands.slice(at) : given.operands[at];
    const value = field.form === 'operand' ? operand : given.options[nameOf(field)];
    return [field.key, field.form === 'rest' ? given.rest : writtenValue(field, value)] as const;
  });
  const values = withEnvironment(
    Object.fromEntries(written.filter(([, value]) => value !== undefined)),
    fields,
    given.env,
  );
  const parsed = z.safeParse(schema, values, { jitless: true });
  if (parsed.success) return parsed.data as Input;
  const [key, at] = parsed.error.issues[0]?.path ?? [];
  const field = fields.find((each) => each.key === key);
  if (field === undefined) throw parsed.error;
  const value = values[field.key];
  const isMissing = value === undefined || (Array.isArray(value) && value.length === 0);
  throw isMissing
    ? usageError(verb, `${verb} needs ${field.written}${field.env === undefined ? '' : ` (or ${field.env})`}`)
    : invalid(verb, field, Array.isArray(value) ? value[Number(at)] : value);
}

function writtenValue(field: FieldInfo, value: unknown): unknown {
  if (value === undefined) return field.many && field.required ? [] : undefined;
  if (field.kind === 'integer') return Array.isArray(value) ? value.map(wholeNumber) : wholeNumber(value);
  return value;
}

/** Text that is not a whole number stays what it is, for the schema to refuse. */
function wholeNumber(text: unknown): unknown {
  return typeof text === 'string' && /^-?\d+$/.test(text) ? Number(text) : text;
}

function invalid(verb: string, field: FieldInfo, value: unknown): ForgeError {
  const { kind, choices, min, max, expected } = field;
  const what = `${nameOf(field)} ${JSON.stringify(String(value))}`;
  if (kind === 'choice') {
    const near = closest(String(value), choices);
    const guess = near === null ? undefined : `Did you mean ${near}?`;
    return usageError(verb, `${what}: expected ${orList(choices)}`, guess);
  }
  const range = max === null ? `from ${min} on` : `from ${min} to ${max}`;
  return usageError(verb, `${what}: expected ${expected ?? `a whole number ${range}`}`);
}

/**
 * `input` with the text of stdin where `-` stands for it, and of a pipe that is named as a file, such as `<(...)` of a shell. Throws INVALID_ARGS
 * when stdin is a terminal, and for what can't be read.
 */
export function withStdin(schema: Command['input'], input: Input): Input {
  const texts = fieldsOf(schema).flatMap((field) => {
    const { key, stdin } = field;
    const value = input[key];
    const target = (stdin === 'content' ? contentFieldOf(schema, key) : null) ?? key;
    if (stdin && value === '-') return [[target, readStdin(nameOf(field))]];
    return stdin === 'content' && isPipe(value) ? [[target, readText(value, `${nameOf(field)} ${value}: it`)]] : [];
  });
  return texts.length === 0 ? input : { ...input, ...Object.fromEntries(texts) };
}

function isPipe(value: unknown): value is string {
  try {
    return typeof value === 'string' && fs.statSync(value).isFIFO();
  } catch {
    // The command says why it cannot be read.
    return false;
  }
}

/** The text of stdin. Throws INVALID_ARGS when it is a terminal, or can't be read; `flag` wants it. */
export function readStdin(flag: string): string {
  // At a terminal the command would seem to hang.
  if (!process.getBuiltinModule('node:tty').isatty(0)) return readText(0, `${flag} -: stdin`, pipeHint(flag));
  throw invalidArgs(`${flag} - reads stdin, which is a terminal`, pipeHint(flag));
}

const pipeHint = (flag: string) => `Such as: printf '%s' "..." | forge orchestrate ... ${flag} -`;

function readText(file: string | 0, what: string, hint?: string): string {
  try {
    return fs.readFileSync(file, 'utf8').trimEnd();
  } catch (cause) {
    throw new ForgeError('INVALID_ARGS', `${what} cannot be read`, { ...(hint && { hint }), cause });
  }
}
