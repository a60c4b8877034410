/** What a command of `exec` or `step` exits with, for the exit of forge. */

import os from 'node:os';
import { EXIT } from '../lib/errors.ts';

/** The command's own code, 128 + n for signal n; 1 where neither is known. */
export function codeOf({ code, signal }: { code: number | null; signal: string | null }): number {
  if (code !== null) return code;
  if (signal === null) return EXIT.failed;
  return 128 + (os.constants.signals[signal as NodeJS.Signals] ?? Number(signal.slice('SIG'.length)));
}
