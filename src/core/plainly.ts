/**
 * Tells values that a schema takes as they are, without making the schema's own copy of them.
 *
 * A tree of many tasks is read record by record, and nearly every record is just what its schema says, with nothing to fill
 * in. A test made of what the schema says finds that out at a fraction of what parsing costs. Whatever it does not accept,
 * or can't be made for, is parsed; so it may be too strict, but never accepts what parsing would refuse or change.
 *
 * What a schema says is plain data, so it can be worked out before the command starts, which then makes no schema at all.
 */

import type * as z from 'zod/mini';
import { isTime } from './time.ts';

export type Accepts = (value: unknown) => boolean;

/** Checks that records are made with, by the name that stands for them where a function can't. */
const NAMED = { time: (value: unknown) => typeof value === 'string' && isTime(value) };

/** What has to hold besides. */
type Check = { named: keyof typeof NAMED } | { above: number } | { from: number };

/** The part of a schema that tells which values are taken as they are. As JSON can hold it; `never` takes none. */
export type Shape = { checks?: readonly Check[] } & (
  | { is: 'unknown' | 'string' | 'boolean' | 'number' | 'int' | 'never' }
  | { is: 'one'; values: readonly (string | number | boolean)[] }
  | { is: 'nullable' | 'optional' | 'default' | 'array' | 'record'; of: Shape }
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
    case 'default':
      return { is: type, of: inner(def.innerType) };
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
  return ['string', 'number', 'boolean'].includes(typeof value);
}

function ofCheck({ check, value, inclusive, fn }: CheckDefinition): Check | null {
  if (check === 'custom') return fn === isTime ? { named: 'time' } : null;
  if (check !== 'greater_than' || typeof value !== 'number') return null;
  return inclusive === true ? { from: value } : { above: value };
}

// ---------------------------------------------------------------------------------------------- of a value

/** A test that is true only of values that a schema of that shape parses to themselves. */
export function acceptor(shape: Shape): Accepts {
  const base = ofShape(shape);
  if (shape.checks === undefined) return base;
  const checks = shape.checks.map(checker);
  return (value) => base(value) && checks.every((check) => check(value));
}

function ofShape(shape: Shape): Accepts {
  switch (shape.is) {
    case 'never':
      return () => false;
    case 'unknown':
      return () => true;
    case 'string':
      return (value) => typeof value === 'string';
    case 'boolean':
      return (value) => typeof value === 'boolean';
    case 'number':
      return Number.isFinite;
    case 'int':
      return Number.isSafeInteger;
    case 'one': {
      const known = new Set<unknown>(shape.values);
      return (value) => known.has(value);
    }
    case 'nullable': {
      const inner = acceptor(shape.of);
      return (value) => value === null || inner(value);
    }
    case 'optional': {
      const inner = acceptor(shape.of);
      return (value) => value === undefined || inner(value);
    }
    case 'default': {
      // Where there is nothing, parsing fills in something.
      const inner = acceptor(shape.of);
      return (value) => value !== undefined && inner(value);
    }
    case 'array': {
      const item = acceptor(shape.of);
      return (value) => Array.isArray(value) && value.every(item);
    }
    case 'record': {
      const entry = acceptor(shape.of);
      return (value) => isPlain(value) && Object.values(value).every(entry);
    }
    case 'object':
      return ofFields(shape.fields);
  }
}

function ofFields(fields: Readonly<Record<string, Shape>>): Accepts {
  const tests = Object.entries(fields).map(([name, shape]) => ({ name, accepts: acceptor(shape) }));
  return (value) => {
    if (!isPlain(value)) return false;
    for (const { name, accepts } of tests) if (!accepts(value[name])) return false;
    return true;
  };
}

/** An object; a key of the name `__proto__` is left out by parsing. */
function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !Object.hasOwn(value, '__proto__');
}

function checker(check: Check): Accepts {
  if ('named' in check) return NAMED[check.named];
  if ('from' in check) return (value) => typeof value === 'number' && value >= check.from;
  return (value) => typeof value === 'number' && value > check.above;
}
