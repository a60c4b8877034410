/** Parses records from disk, where people and other tools write too. */

import type * as z from 'zod/mini';
import { issueText, WITHOUT_WORDS } from '../../lib/schema-issues.ts';

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
  const parsed = schemaOf().safeParse(value, WITHOUT_WORDS);
  return parsed.success ? { ok: true, value: parsed.data } : { ok: false, why: issueText(parsed.error.issues, value) };
}
