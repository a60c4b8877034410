/**
 * Tells values that a schema takes as they are, without making the schema's own copy of them.
 *
 * A tree of many tasks is read record by record, and nearly every record is just what its schema says, with nothing to fill
 * in. A test made of the schema itself finds that out at a fraction of what parsing costs. Whatever it does not accept, or
 * can't be made for, is parsed; so it may be too strict, but never accepts what parsing would refuse or change.
 */

import type * as z from 'zod/mini';

export type Accepts = (value: unknown) => boolean;

/** The parts of a schema's definition that are looked at. */
interface Definition {
  type: string;
  innerType?: z.core.$ZodType;
  element?: z.core.$ZodType;
  shape?: Record<string, z.core.$ZodType>;
  catchall?: z.core.$ZodType;
  values?: readonly unknown[];
  entries?: Record<string, unknown>;
  format?: string;
  checks?: readonly { _zod: { def: object } }[];
}

interface CheckDefinition {
  check: string;
  value?: number;
  inclusive?: boolean;
  fn?: (value: unknown) => unknown;
}

const NEVER: Accepts = () => false;

/** A test that is true only of values that `schema` parses to themselves. */
export function acceptor(schema: z.core.$ZodType): Accepts {
  const def = schema._zod.def as unknown as Definition;
  const base = ofType(def);
  const checks = (def.checks ?? []).map(({ _zod }) => ofCheck(_zod.def as CheckDefinition));
  return checks.length === 0 ? base : (value) => base(value) && checks.every((check) => check(value));
}

function ofType({ type, format, values, entries, innerType, element, shape, catchall }: Definition): Accepts {
  const inner = innerType === undefined ? NEVER : acceptor(innerType);
  switch (type) {
    case 'unknown':
      return () => true;
    case 'string':
      return (value) => typeof value === 'string';
    case 'boolean':
      return (value) => typeof value === 'boolean';
    case 'number':
      if (format === undefined) return Number.isFinite;
      return format === 'safeint' ? Number.isSafeInteger : NEVER;
    case 'literal':
    case 'enum': {
      const known = new Set(values ?? Object.values(entries ?? {}));
      return (value) => known.has(value);
    }
    case 'nullable':
      return (value) => value === null || inner(value);
    case 'optional':
      return (value) => value === undefined || inner(value);
    case 'default':
      // Where there is nothing, parsing fills in something.
      return (value) => value !== undefined && inner(value);
    case 'array': {
      const item = element === undefined ? NEVER : acceptor(element);
      return (value) => Array.isArray(value) && value.every(item);
    }
    case 'object':
      // Only those that keep what they don't know.
      return catchall?._zod.def.type === 'unknown' ? ofFields(shape ?? {}) : NEVER;
    default:
      return NEVER;
  }
}

function ofFields(shape: Record<string, z.core.$ZodType>): Accepts {
  const tests = Object.entries(shape).map(([name, schema]) => ({ name, accepts: acceptor(schema) }));
  return (value) => {
    // A key of that name is left out by parsing.
    if (typeof value !== 'object' || value === null || Array.isArray(value) || Object.hasOwn(value, '__proto__'))
      return false;
    for (const { name, accepts } of tests) if (!accepts((value as Record<string, unknown>)[name])) return false;
    return true;
  };
}

function ofCheck({ check, value, inclusive, fn }: CheckDefinition): Accepts {
  if (check === 'custom' && fn !== undefined) return (found) => Boolean(fn(found));
  if (check !== 'greater_than' || value === undefined) return NEVER;
  return (found) => typeof found === 'number' && (found > value || (inclusive === true && found === value));
}
