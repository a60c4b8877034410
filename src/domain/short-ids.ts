/** Ids as people shorten them: by their beginning, an attempt also by its number. Pure. */

import { invalidArgs } from '../lib/errors.ts';
import { firstOf } from '../lib/text.ts';
import type { AttemptManifest } from './task/records.ts';

/** Of a UUID at least so much is given; fewer characters fit too many by chance. */
const UUID_START = /^[0-9a-f][0-9a-f-]{3,35}$/i;

/** Whether it may be the beginning of a UUID. */
export function mayBeginUuid(text: string): boolean {
  return UUID_START.test(text);
}

/**
 * The one of `known` that is `given` or begins so; `given` itself where none does. Throws INVALID_ARGS where several do, unless one is
 * `given` itself. `what`: what they are, in the plural.
 */
export function wholeId(given: string, known: Iterable<string>, what: string): string {
  const fitting = new Set<string>();
  for (const id of known) {
    if (id === given) return given;
    if (id.startsWith(given)) fitting.add(id);
  }
  const [first = given, ...others] = fitting;
  if (others.length === 0) return first;
  throw invalidArgs(
    `${given} is the beginning of several ${what}: ${firstOf([...fitting].sort())}`,
    'Write more of the one that you mean.',
  );
}

/** The last attempt of that number. Throws INVALID_ARGS where there is none. */
export function attemptNumbered(number: number, taskId: string, attempts: readonly AttemptManifest[]): string {
  const found = attempts.findLast(({ attempt_number }) => attempt_number === number);
  if (found !== undefined) return found.attempt_id;
  const numbers = [...new Set(attempts.flatMap(({ attempt_number }) => attempt_number ?? []))].sort((a, b) => a - b);
  throw invalidArgs(
    `task ${taskId} has had no attempt ${number}`,
    numbers.length === 0 ? 'It has had none.' : `It has had ${firstOf(numbers.map(String))}.`,
  );
}
