/** What the times of files tell. */

/** Longest tick of a file system that keeps parts of a second, milliseconds, and as much again for the clock. Source: 10 ms of exFAT, and of Linux with 100 ticks a second. */
const TICK_MS = 100;

/** The same for one that keeps whole seconds: FAT keeps every other one. */
const COARSE_TICK_MS = 2000;

/** Whether a change that comes after `nowMs` gets another time than that of `changedMs`. Both milliseconds since the epoch. */
export function isSettled(changedMs: number, nowMs: number): boolean {
  return nowMs - changedMs > (changedMs % 1000 === 0 ? COARSE_TICK_MS : TICK_MS);
}
