/** The end of a program that uses the library. */

import fs from 'node:fs';

/** What Node ends with where a module awaits what nothing can end. Node 20 tells its listeners 0. */
const UNSETTLED = 13;

/**
 * Ends a program that would end well, or for that reason, with exit code 1 where `fault` says why. It is asked as the process ends, also by `process.exit`, and what it
 * starts is cut off once it returns.
 */
export function refuseGoodEnd(fault: () => string | null): void {
  process.on('exit', (code) => {
    const why = code === 0 || code === UNSETTLED ? fault() : null;
    if (why === null) return;
    process.exitCode = 1;
    try {
      fs.writeSync(2, `forge: ${why}\n`);
    } catch {
      // There is no one to read it.
    }
  });
}
