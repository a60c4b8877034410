/** Text that a flag takes from stdin when its value is `-`. */

import fs from 'node:fs';
import { ForgeError } from '../lib/errors.ts';

/** All of stdin. Throws INVALID_ARGS when stdin is a terminal, or can't be read. */
export function readStdin(flag: string): string {
  const hint = `Such as: printf '%s' "..." | forge orchestrate ... ${flag} -`;
  // At a terminal the command would seem to hang.
  if (process.getBuiltinModule('node:tty').isatty(0)) {
    throw new ForgeError('INVALID_ARGS', `${flag} - reads stdin, which is a terminal`, { hint });
  }
  try {
    return fs.readFileSync(0, 'utf8').trimEnd();
  } catch (cause) {
    throw new ForgeError('INVALID_ARGS', `${flag} -: stdin cannot be read`, { hint, cause });
  }
}
