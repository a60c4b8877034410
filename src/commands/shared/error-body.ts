/** What went wrong, for a program. */

import { ForgeError } from '../../lib/errors.ts';
import { oneLine, plainText } from '../../lib/text.ts';

export const BUG_HINT =
  'This is a bug in forge, not in what you did. Please report it with the output of the same command under FORGE_DEBUG=1.';

/** What is printed as JSON. What is not a ForgeError is a bug and says so: its code is BUG. */
export function jsonError(error: unknown, verb: string | null) {
  const body =
    error instanceof ForgeError
      ? {
          code: error.code,
          message: plainText(error.message),
          hint: plainText(hintOf(error, verb)),
          retriable: error.retriable,
          details: error.details,
        }
      : { code: 'BUG', message: bugMessage(error), hint: BUG_HINT, retriable: false, details: {} };
  const data = error instanceof ForgeError && error.data !== null ? { data: error.data } : {};
  return { ok: false, error: body, ...data };
}

/** The catalogue's hints hold `<verb>` and `<task>`; here it is mostly known which. */
export function hintOf({ hint: text, details }: ForgeError, verb: string | null): string {
  const task = details['task_id'];
  return text.replace('<verb>', verb ?? '<verb>').replace('<task>', typeof task === 'string' ? task : '<task>');
}

export function bugMessage(error: unknown): string {
  return oneLine(error instanceof Error ? `${error.name}: ${error.message}` : String(error), 500);
}
