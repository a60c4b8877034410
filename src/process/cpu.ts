/** How much the processes of a command have computed. */

import { readFileSync } from 'node:fs';

/** Ticks in a second, on every Linux that Node runs on. Source: time(7), USER_HZ. */
const TICKS_PER_SECOND = 100;

/**
 * CPU time of processes, with that of children that they have waited for, milliseconds. One that has ended has none. Null where it can't be
 * known, as on macOS. Source: proc_pid_stat(5), fields 14 to 17.
 */
export function cpuMsOf(pids: readonly number[]): number | null {
  if (process.platform !== 'linux') return null;
  return pids.reduce((sum, pid) => sum + ticksOf(pid), 0) * (1000 / TICKS_PER_SECOND);
}

function ticksOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the program, in parentheses, may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  } catch {
    return 0;
  }
}
