/**
 * Reads values as a schema would, without the schema.
 *
 * A tree of many tasks is read record by record, and nearly every record is just what its schema says, or wants no more than
 * its defaults. A reader made of what the schema says finds that out at a fraction of what parsing costs, and makes no copy
 * of what is complete. Whatever it does not take, or can't be made for, is parsed; so it may be too strict, but never gives
 * anything else than parsing would.
 *
 * What a schema says is plain data, so it can be worked out before the command starts, which then makes no schema at all.
 */

import type * as z from 'zod/mini';
import { isTime } from '../../lib/time.ts';

/** Checks that records are made with, by the name that stands for them where a function can't. */
const NAMED = { time: (value: unknown) => typeof value === 'string' && isTime(value) };

/** What has to hold besides. */
type Check = { named: keyof typeof NAMED } | { above: number } | { from: number };

/** What a schema says of values, as JSON can hold it; `never` leaves all of them to parsing. */
export type Shape = { checks?: readonly Check[] } & (
  | { is: 'unknown' | 'string' | 'boolean' | 'number' | 'int' | 'never' }
  | { is: 'one'; values: readonly (string | number | boolean)[] }
  | { is: 'nullable' | 'optional' | 'array' | 'record'; of: Shape }
  | { is: 'default'; of: Shape; value: unknown }
  | { is: 'object'; fields: Readonly<Record<string, Shape>> }
);

const NEVER: Shape = { is: 'never' };

// ---------------------------------------------------------------------------------------------- of a schema

/** The parts of a schema's definition that are looked at. */
interface Definition {
  type: string;
  innerType?: z.core.$ZodType;
  element?: z.core.$ZodType;
  keyType?: z.core.$ZodType;
  valueType?: z.core.$ZodType;
  shape?: Record<string, z.core.$ZodType>;
  catchall?: z.core.$ZodType;
  defaultValue?: unknown;
  values?: readonly unknown[];
  entries?: Record<string, unknown>;
  format?: string;
  checks?: readonly { _zod: { def: object } }[];
}

interface CheckDefinition {
  check: string;
  value?: unknown;
  inclusive?: boolean;
  fn?: unknown;
}

/** What `schema` says. Never throws: of a kind of schema that is not known here it is `never`. */
export function shapeOf(schema: z.core.$ZodType): Shape {
  const def = schema._zod.def as unknown as Definition;
  const shape = ofType(def);
  const checks = (def.checks ?? []).map(({ _zod }) => ofCheck(_zod.def as CheckDefinition));
  if (checks.length === 0) return shape;
  const known = checks.filter((check) => check !== null);
  return known.length === checks.length ? { ...shape, checks: known } : NEVER;
}

function ofType(def: Definition): Shape {
  const { type, format, values, entries, shape, catchall } = def;
  const inner = (schema: z.core.$ZodType | undefined) => (schema === undefined ? NEVER : shapeOf(schema));
  switch (type) {
    case 'unknown':
    case 'string':
    case 'boolean':
      return { is: type };
    case 'number':
      if (format === undefined) return { is: 'number' };
      return format === 'safeint' ? { is: 'int' } : NEVER;
    case 'literal':
    case 'enum': {
      const all = values ?? Object.values(entries ?? {});
      return all.every(isScalar) ? { is: 'one', values: all } : NEVER;
    }
    case 'nullable':
    case 'optional':
      return { is: type, of: inner(def.innerType) };
    case 'default': {
      const value = def.defaultValue;
      return isJson(value) ? { is: 'default', of: inner(def.innerType), value } : NEVER;
    }
    case 'array':
      return { is: 'array', of: inner(def.element) };
    case 'record': {
      const key = inner(def.keyType);
      return key.is === 'string' && key.checks === undefined ? { is: 'record', of: inner(def.valueType) } : NEVER;
    }
    case 'object': {
      // Only those that keep what they don't know.
      if (catchall?._zod.def.type !== 'unknown') return NEVER;
      const fields = Object.entries(shape ?? {}).map(([name, schema]) => [name, shapeOf(schema)]);
      return { is: 'object', fields: Object.fromEntries(fields) };
    }
    default:
      return NEVER;
  }
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
}

function isJson(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return value === null || isScalar(value);
  return Object.values(value).every(isJson);
}

function ofCheck({ check, value, inclusive, fn }: CheckDefinition): Check | null {
  if (check === 'custom') return fn === isTime ? { named: 'time' } : null;
  if (check !== 'greater_than' || typeof value !== 'number') return null;
  return inclusive === true ? { from: value } : { above: value };
}

// ---------------------------------------------------------------------------------------------- of a value

/** What a reader gives where only parsing can say what comes of a value. */
export const UNREAD: unique symbol = Symbol('unread');

/** Gives what parsing makes of a value: the value itself where nothing is to be filled in; or `UNREAD`. */
export type Reads = (value: unknown) => unknown;

/** Reads as a schema of that shape does, as far as it goes. */
export function reader(shape: Shape): Reads {
  const base = ofShape(shape);
  if (shape.checks === undefined) return base;
  const checks = shape.checks.map(checker);
  return (value) => (checks.every((check) => check(value)) ? base(value) : UNREAD);
}

function ofShape(shape: Shape): Reads {
  switch (shape.is) {
    case 'never':
      return () => UNREAD;
    case 'unknown':
      return (value) => value;
    case 'string':
    case 'boolean':
      return (value) => (typeof value === shape.is ? value : UNREAD);
    case 'number':
      return (value) => (Number.isFinite(value) ? value : UNREAD);
    case 'int':
      return (value) => (Number.isSafeInteger(value) ? value : UNREAD);
    case 'one': {
      const known = new Set<unknown>(shape.values);
      return (value) => (known.has(value) ? value : UNREAD);
    }
    case 'nullable': {
      const inner = reader(shape.of);
      return (value) => (value === null ? null : inner(value));
    }
    case 'optional': {
      const inner = reader(shape.of);
      return (value) => (value === undefined ? undefined : inner(value));
    }
    case 'default': {
      const inner = reader(shape.of);
      // No two values share a list.
      return (value) => (value === undefined ? structuredClone(shape.value) : inner(value));
    }
    case 'array': {
      const item = reader(shape.of);
      return (value) => (Array.isArray(value) && value.every((each) => item(each) === each) ? value : UNREAD);
    }
    case 'record': {
      const entry = reader(shape.of);
      return (value) => (isPlain(value) && Object.values(value).every((each) => entry(each) === each) ? value : UNREAD);
    }
    case 'object':
      return ofFields(Object.entries(shape.fields).map(([name, field]) => ({ name, reads: reader(field) })));
  }
}

type Fields = readonly { name: string; reads: Reads }[];

function ofFields(fields: Fields): Reads {
  return (value) => {
    if (!isPlain(value)) return UNREAD;
    let filled: Record<string, unknown> | null = null;
    for (const { name, reads } of fields) {
      const given = value[name];
      const read = reads(given);
      if (read === UNREAD) return UNREAD;
      if (read === given) continue;
      filled ??= {};
      filled[name] = read;
    }
    return filled === null ? value : inOrder(fields, { ...value, ...filled });
  };
}

/** `value` with its fields in the order that parsing gives them; what it does not know comes after them. */
function inOrder(fields: Fields, value: Record<string, unknown>): Record<string, unknown> {
  const known = fields.filter(({ name }) => Object.hasOwn(value, name));
  return { ...Object.fromEntries(known.map(({ name }) => [name, value[name]])), ...value };
}

/** An object; a key of the name `__proto__` is left out by parsing. */
function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !Object.hasOwn(value, '__proto__');
}

function checker(check: Check): (value: unknown) => boolean {
  if ('named' in check) return NAMED[check.named];
  if ('from' in check) return (value) => typeof value === 'number' && value >= check.from;
  return (value) => typeof value === 'number' && value > check.above;
}
