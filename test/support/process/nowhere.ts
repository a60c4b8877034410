/** Makes the context in a working directory that does not exist, and prints the error. */

import { ForgeError } from '../../../src/lib/errors.ts';
import { systemContext } from '../../../src/process/system-context.ts';

try {
  systemContext();
} catch (error) {
  const { code, message } = error as ForgeError;
  process.stdout.write(JSON.stringify(error instanceof ForgeError ? { code, message } : { message }));
}
