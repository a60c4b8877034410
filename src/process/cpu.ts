/** How much the processes of a command have computed. */

import { readFileSync } from 'node:fs';
import { afterName } from './processes.ts';

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
    const field = afterName(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    return [14, 15, 16, 17].reduce((sum, number) => sum + Number(field(number)), 0);
  } catch {
    return 0;
  }
}
