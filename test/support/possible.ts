/** Tests of what not every machine can do. */

import { describe } from 'vitest';

/** `describe`, skipped where something is missing: the title says what. */
export function describeUnless(missing: string | null, what: string, tests: () => void): void {
  describe.skipIf(missing !== null)(missing === null ? what : `${what} (skipped: ${missing})`, tests);
}
