/** Asks for the context from a working directory that does not exist and prints what it is told. */

import { ForgeError } from '../../../src/core/errors.ts';
import { systemContext } from '../../../src/host/context.ts';

try {
  systemContext();
} catch (error) {
  const { code, message } = error as ForgeError;
  process.stdout.write(JSON.stringify(error instanceof ForgeError ? { code, message } : { message }));
}
