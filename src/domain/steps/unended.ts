/** Workers that end well while a step of theirs is at work: nothing says that it was done. Pure. */

import { firstOf } from '../../lib/text.ts';
import type { ClassifiedError } from '../retry/classify.ts';

/** Why work does not count that has left these steps at work; null where it has left none. */
export function unendedFault(names: readonly string[]): ClassifiedError | null {
  if (names.length === 0) return null;
  return {
    class: 'step.unended',
    message: `it ended while ${names.length === 1 ? 'step' : 'steps'} ${firstOf(names)} ${names.length === 1 ? 'was' : 'were'} at work`,
  };
}
