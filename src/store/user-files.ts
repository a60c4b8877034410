/** Files that a user hands to a command by path. */

import { ForgeError } from '../core/errors.ts';
import { errorCode } from './calls.ts';
import { readCapped } from './drivers.ts';

/** Text of a file named by `flag`. Throws INVALID_ARGS when it can't be read or has more than `maxBytes`. */
export function readUserFile(path: string, flag: string, maxBytes: number): string {
  try {
    return readCapped(path, maxBytes);
  } catch (error) {
    const why: Record<string, string> = {
      ENOENT: 'there is no such file',
      EFBIG: `it is larger than ${maxBytes} bytes`,
      EINVAL: 'it is not a regular file',
      EACCES: 'it may not be read',
      ELOOP: 'it is a symlink',
    };
    throw new ForgeError('INVALID_ARGS', `${flag} ${path}: ${why[errorCode(error)] ?? String(error)}`, {
      cause: error,
    });
  }
}
