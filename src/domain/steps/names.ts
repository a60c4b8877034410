/** Names of steps and keys of a task's context. Pure. */

import { ForgeError } from '../../lib/errors.ts';
import { NAME_PATTERN } from '../../lib/ids.ts';
import { oneLine } from '../../lib/text.ts';

/** Names that forge itself uses. */
const RESERVED = 'forge.';

/** `name`, when it may name a step (or a key of the context). Throws INVALID_ID. */
export function requireName(name: string, what = 'a step'): string {
  // Programs in JavaScript may give anything.
  if (typeof name !== 'string') throw new ForgeError('INVALID_ID', `a name is text, and ${String(name)} is none`);
  if (name.startsWith(RESERVED)) {
    throw new ForgeError(
      'INVALID_ID',
      `${JSON.stringify(oneLine(name, 60))}: names that start with ${RESERVED} are forge's own`,
      { hint: 'Choose another name.' },
    );
  }
  if (NAME_PATTERN.test(name)) return name;
  throw new ForgeError('INVALID_ID', `${JSON.stringify(oneLine(name, 60))} can't name ${what}`, {
    hint: 'A name starts with a letter or digit and has at most 128 letters, digits, dots, underscores, colons or dashes.',
  });
}
