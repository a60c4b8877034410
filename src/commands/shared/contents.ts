/** What a caller hands over: in a file, or where it has none as a value. */

import { invalidArgs } from '../../lib/errors.ts';
import { readUserFile } from '../../project/user-files.ts';

/** The text of the file that `flag` names; where there is a `value`, that: what stdin had as it is, anything else as JSON. Throws INVALID_ARGS, also above `maxBytes`. */
export function handedOver(value: unknown, file: string, flag: string, maxBytes: number): string {
  if (value === undefined) return readUserFile(file, flag, maxBytes);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (Buffer.byteLength(text) > maxBytes) throw invalidArgs(`${flag} ${file}: it is larger than ${maxBytes} bytes`);
  return text;
}
