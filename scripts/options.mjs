/** The command line of a script. */

import { parseArgs } from 'node:util';

/** As `parseArgs` gives it; what it does not know ends the process with 2, its name and the usage. */
export function optionsOf(usage, config) {
  try {
    return parseArgs(config);
  } catch (error) {
    console.error(`${error.message}\nusage: ${usage}`);
    process.exit(2);
  }
}
