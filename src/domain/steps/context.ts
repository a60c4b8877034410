/** Values that a task keeps for its later attempts. Pure. */

import { type ForgeError, invalidArgs } from '../../lib/errors.ts';
import { byteLength } from '../../lib/text.ts';
import { requireName } from './names.ts';

/** Of one value, and of all together with their keys; bytes of JSON. */
export const VALUE_MAX_BYTES = 16 * 1024;
const CONTEXT_MAX_BYTES = 256 * 1024;

export const jsonBytes = (value: unknown): number => byteLength(JSON.stringify(value));

/** Checks values as a whole before any is written. Throws INVALID_ID for a key, INVALID_ARGS for what is too large. */
export function requireContext(
  before: Readonly<Record<string, unknown>>,
  values: Readonly<Record<string, unknown>>,
): void {
  for (const [key, value] of Object.entries(values)) {
    requireName(key, 'a value of the context');
    const size = jsonBytes(value);
    if (size > VALUE_MAX_BYTES)
      throw tooLarge(`the value of ${key} has ${size} bytes; at most ${VALUE_MAX_BYTES} are kept`);
  }
  const size = jsonBytes({ ...before, ...values });
  if (size > CONTEXT_MAX_BYTES)
    throw tooLarge(`the context would have ${size} bytes; at most ${CONTEXT_MAX_BYTES} are kept`);
}

function tooLarge(message: string): ForgeError {
  return invalidArgs(message, 'Keep it in a file of your own, and its path in the context.');
}
