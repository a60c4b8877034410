/** Reading records that are on disk, where anybody may have written them. */

import type * as z from 'zod/mini';
import { issueText, WITHOUT_WORDS } from '../../lib/schema-issues.ts';
import { type Reads, reader, type Shape, shapeOf, UNREAD } from './compiled-schemas.ts';
import {
  AttemptManifestSchema,
  LeaseSchema,
  RunManifestSchema,
  TaskRecordSchema,
  TaskStateSchema,
  VerdictSchema,
} from './records.ts';

/** The schemas that most commands read by. */
const READ_OFTEN = {
  task: TaskRecordSchema,
  state: TaskStateSchema,
  lease: LeaseSchema,
  attempt: AttemptManifestSchema,
  run: RunManifestSchema,
  verdict: VerdictSchema,
};

type Shapes = Readonly<Record<keyof typeof READ_OFTEN, Shape>>;

/** What `shapesReadOften` gives, put in by scripts/build.mjs: making a schema takes longer than all that is read by it. */
declare const FORGE_SHAPES: Shapes | undefined;

/** What those schemas say, for the build. */
export function shapesReadOften(): Shapes {
  const shapes = Object.entries(READ_OFTEN).map(([name, schemaOf]) => [name, shapeOf(schemaOf())]);
  return Object.fromEntries(shapes) as Shapes;
}

const readers = new WeakMap<() => z.ZodMiniType, Reads>();

function readerFor(schemaOf: () => z.ZodMiniType): Reads {
  const known = readers.get(schemaOf);
  if (known !== undefined) return known;
  const made = reader(builtShapeOf(schemaOf) ?? shapeOf(schemaOf()));
  readers.set(schemaOf, made);
  return made;
}

function builtShapeOf(schemaOf: () => z.ZodMiniType): Shape | undefined {
  if (typeof FORGE_SHAPES === 'undefined') return undefined;
  for (const [name, shape] of Object.entries(FORGE_SHAPES)) {
    if (READ_OFTEN[name as keyof Shapes] === schemaOf) return shape;
  }
  return undefined;
}

/** Reads `value` by the schema that `schemaOf` gives; a mismatch comes back as one sentence that names the field. */
export function parseRecord<T>(
  schemaOf: () => z.ZodMiniType<T>,
  value: unknown,
): { ok: true; value: T } | { ok: false; why: string } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return {
      ok: false,
      why: `expected an object, found ${Array.isArray(value) ? 'a list' : value === null ? 'null' : `a ${typeof value}`}`,
    };
  }
  const version = (value as { version?: unknown }).version;
  if (typeof version === 'number' && version > 1) {
    return { ok: false, why: `version ${version} was written by a newer forge; this one knows version 1` };
  }
  const read = readerFor(schemaOf)(value);
  if (read !== UNREAD) return { ok: true, value: read as T };
  const parsed = schemaOf().safeParse(value, WITHOUT_WORDS);
  return parsed.success ? { ok: true, value: parsed.data } : { ok: false, why: issueText(parsed.error.issues, value) };
}
