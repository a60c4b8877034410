/**
 * What a command is: the schemas of its input and its answer, what it says about itself, and the function that answers.
 * Command line, help, JSON Schemas and completions are made from these. `registry.ts` has its name and its description.
 */

import * as z from 'zod/mini';
import { invalidArgs } from '../../lib/errors.ts';
import type { CommandContext } from './session.ts';

/** A command line (without `forge orchestrate`) and what it is for. */
export type Example = readonly [command: string, about: string];

export interface Command<
  I extends z.ZodMiniObject = z.ZodMiniObject,
  O extends z.ZodMiniType = z.ZodMiniType,
  C extends CommandContext<never> = CommandContext<never>,
> {
  /** More than the one line of the registry. */
  notes?: string;
  /** How the input is written on the command line; made from the fields when it is not given. */
  usage?: string;
  examples: readonly Example[];
  /** Whether it may change the state tree, the project or its repository. */
  changes: boolean;
  input: I;
  /** A function, because a call does not need the schema of its answer. */
  output: () => O;
  run(context: C, input: z.infer<I>): Promise<z.infer<O>>;
}

export function command<
  I extends z.ZodMiniObject,
  O extends z.ZodMiniType,
  C extends CommandContext<never> = CommandContext,
>(made: Command<I, O, C>): Command<I, O, C> {
  return made;
}

export type InputOf<T> = T extends { input: infer I extends z.ZodMiniType } ? z.infer<I> : never;
export type DataOf<T> = T extends { output: () => infer O extends z.ZodMiniType } ? z.infer<O> : never;

/** Throws INVALID_ARGS when a text is empty or too long. */
export function requireLength(flag: string, text: string, max: number): void {
  if (text.trim() === '') throw invalidArgs(`${flag} is empty`);
  if (text.length > max) throw invalidArgs(`${flag} has ${text.length} characters; at most ${max} are taken`);
}

// --- fields ----------------------------------------------------------------------------------------------------------

/** `question`: the task that asks stands for it, too. `attempt`: of the field `task`. */
export type IdKind = 'task' | 'question' | 'attempt' | 'numbered attempt' | 'claim' | 'run';

/** What the command line knows of a field beyond its schema. The flag is the field's name with dashes. */
export interface Field {
  /** One line. */
  description: string;
  /** `rest`: everything after `--`. Default: a flag. */
  form?: 'operand' | 'rest';
  /** What stands for the value in the help. */
  value?: string;
  /** The environment variable that stands in for the field. Empty counts as not set. */
  env?: string;
  /** What it is the id of: a person may shorten it. */
  id?: IdKind;
  /** A field with which `env` does not count. */
  unless?: string;
  /** Like `env`, but only for the task of FORGE_TASK_ID, and not named by the help. */
  ownEnv?: string;
  /** `-` reads the value from stdin; `content`: what the file that it names would hold. */
  stdin?: true | 'content';
  /** What a value has to be, where the schema does not say it well: `a row of the table, 1 to 14`. */
  expected?: string;
  /** Only a terminal has a use for it: it is not part of the JSON Schema. */
  terminal?: true;
  /** It has what the file that another field names would hold, for callers without files: it is not on the command line. */
  contentOf?: Content;
}

export interface Content {
  /** The other field. */
  field: string;
  /** A schema of zod, which a registry of zod takes for no more than a value. */
  schema(): unknown;
}

export const FIELDS = z.registry<Field>();

type More = Omit<Field, 'description' | 'form' | 'value'>;

export function operand<T extends z.ZodMiniType>(schema: T, description: string, more: More = {}): T {
  FIELDS.add(schema, { description, form: 'operand', ...more });
  return schema;
}

/** `--<name> <value>`. */
export function option<T extends z.ZodMiniType>(schema: T, value: string, description: string, more: More = {}): T {
  FIELDS.add(schema, { description, value, ...more });
  return schema;
}

/** `--<name> <value>`, which may be left out. */
export const optional = {
  text: (value: string, description: string, more?: More) => option(z.optional(z.string()), value, description, more),
  texts: (value: string, description: string, more?: More) =>
    option(z.optional(z.array(z.string())), value, description, more),
  integer: (value: string, [min, max]: [number, number?], description: string) =>
    option(z.optional(z.int().check(z.gte(min), ...(max === undefined ? [] : [z.lte(max)]))), value, description),
  choice: <const T extends readonly string[]>(choices: T, description: string, more?: More) =>
    option(z.optional(z.enum(choices)), choices.join('|'), description, more),
};

/** `--<name>`. */
export function flag(description: string, more: More = {}): z.ZodMiniOptional<z.ZodMiniBoolean> {
  return z.optional(z.boolean()).register(FIELDS, { description, ...more });
}

/** What the file that `field` names would hold. The command reads it as it reads the file. */
export function content(field: string, schema: () => z.ZodMiniType, description: string) {
  return z.optional(z.unknown()).register(FIELDS, { description, contentOf: { field, schema } });
}

export function rest(description: string): z.ZodMiniArray<z.ZodMiniString> {
  return z.array(z.string()).register(FIELDS, { description, form: 'rest' });
}

// --- fields of several commands --------------------------------------------------------------------------------------

const TASK = ['Id of a task', { env: 'FORGE_TASK_ID', id: 'task' }] as const;
export const taskField = () => operand(z.string(), ...TASK);
export const optionalTaskField = (more: More = {}) => operand(z.optional(z.string()), TASK[0], { ...TASK[1], ...more });
/** One task or more, never that of FORGE_TASK_ID. */
export const tasksField = () => operand(z.array(z.string()).check(z.minLength(1)), 'Ids of tasks', { id: 'task' });

const RUN_ENV = { env: 'FORGE_RUN_ID', id: 'run' } as const;
export const runField = (description = 'The run to work under') => option(z.string(), 'id', description, RUN_ENV);
export const optionalRunField = (description = 'The run to work under (default: a new one)') =>
  optional.text('id', description, RUN_ENV);

export const claimField = () =>
  option(z.string(), 'id', 'The claim that you hold', { env: 'FORGE_CLAIM_ID', id: 'claim' });
export const attemptField = () =>
  option(z.string(), 'id', 'The attempt that you work on', { env: 'FORGE_ATTEMPT_ID', id: 'attempt' });
/** A worker's own attempt is not one of another task that it looks at. */
export const ownAttemptField = (description: string, id: IdKind = 'attempt') =>
  optional.text('id', description, { ownEnv: 'FORGE_ATTEMPT_ID', id });

/** Ids for the examples. */
export const SAMPLE = {
  run: '01997b62-5a10-7c3e-9d44-0b6f2a1e7c01',
  claim: '01997b62-6f7d-7a52-8e10-5c3d9b8a4f02',
  attempt: '01997b62-7c21-7b90-a1f3-9e2d4c6b8a03',
  question: '01997b62-8d44-7e15-b6c2-4f7a1d9e0b04',
} as const;

/** The field that has what the file would hold that the field `key` names; null for none. */
export function contentFieldOf(input: z.ZodMiniObject, key: string): string | null {
  const isOf = (schema: unknown) => FIELDS.get(schema as z.ZodMiniType)?.contentOf?.field === key;
  return Object.entries(input.shape).find(([, schema]) => isOf(schema))?.[0] ?? null;
}

/** What the command line says of a field. */
export function described({ description, stdin }: Pick<Field, 'description' | 'stdin'>): string {
  return stdin ? `${description}; \`-\` reads it from stdin` : description;
}

// --- what a schema says of a field -----------------------------------------------------------------------------------

export interface FieldInfo extends Field {
  /** Of the input: `max_parallel`. */
  key: string;
  /** On the command line: `<task>`, `--max-parallel <n>`. */
  written: string;
  kind: 'flag' | 'text' | 'integer' | 'choice';
  /** Takes several values. */
  many: boolean;
  required: boolean;
  /** Empty unless it is a choice. */
  choices: readonly string[];
  /** Least and largest integer; null where there is none. */
  min: number | null;
  max: number | null;
}

interface Definition {
  type: string;
  innerType?: z.ZodMiniType;
  element?: z.ZodMiniType;
  entries?: Record<string, string>;
  checks?: readonly { _zod: { def: { check: string; value?: unknown } } }[];
}

const KINDS: Partial<Record<string, FieldInfo['kind']>> = { boolean: 'flag', number: 'integer', enum: 'choice' };

/** The fields of an input that the command line has, in the order of its schema. */
export function fieldsOf(input: z.ZodMiniObject): FieldInfo[] {
  return Object.entries(input.shape).flatMap(([key, schema]) => {
    const field = FIELDS.get(schema as z.ZodMiniType) as Field;
    if (field.contentOf !== undefined) return [];
    let inner = schema as z.ZodMiniType;
    let def = inner._zod.def as unknown as Definition;
    const required = def.type !== 'optional';
    let many = false;
    while (def.innerType !== undefined || def.element !== undefined) {
      many ||= def.element !== undefined;
      inner = (def.innerType ?? def.element) as z.ZodMiniType;
      def = inner._zod.def as unknown as Definition;
    }
    const kind = KINDS[def.type] ?? 'text';
    const limit = (check: string) =>
      (def.checks?.find(({ _zod }) => _zod.def.check === check)?._zod.def.value as number | undefined) ?? null;
    const choices = kind === 'choice' ? Object.values(def.entries ?? {}) : [];
    const flag = `--${key.replaceAll('_', '-')}${field.value === undefined ? '' : ` <${field.value}>`}`;
    const written = field.form === 'operand' ? `<${key}>` : flag;
    const limits = { min: limit('greater_than'), max: limit('less_than') };
    return [{ ...field, ...limits, key, written, kind, many, required, choices }];
  });
}
