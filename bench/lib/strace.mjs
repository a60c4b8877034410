/** Counts of system calls, by strace where it runs here. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { scratchFolder } from './scratch.mjs';

/** How often `node ARGS` and all that it starts make the calls of `names`, each by its name; null, and a line that says so, where strace does not run. */
export function callsOf(args, names, env) {
  const log = path.join(scratchFolder('strace'), 'calls');
  const traced = ['-f', '-o', log, '-e', `trace=${names.join()}`, process.execPath, ...args];
  const { error, status } = spawnSync('strace', traced, { env, stdio: 'ignore' });
  if (error !== undefined || status !== 0) {
    console.log(`  strace does not run here, so ${names.join(' and ')} are not counted`);
    return null;
  }
  // A call that another thread interrupts has a second line, which says `resumed`.
  const lines = fs.readFileSync(log, 'utf8').match(/\b\w+(?=\()/g) ?? [];
  return Object.fromEntries(names.map((name) => [name, lines.filter((line) => line === name).length]));
}
