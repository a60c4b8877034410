/**
 * Which processes were started after another, without a look at all of the machine: the kernel gives out their numbers in order, and tells the
 * last one. Source: alloc_pid in kernel/pid.c; proc_sys_kernel(5), `ns_last_pid` and `pid_max`.
 */

import { closeSync, lstatSync, openSync, readSync } from 'node:fs';
import { once } from '../lib/once.ts';

/** Of more numbers than these a look at all processes is no dearer. */
const MANY = 64;

/** More processes and threads than any machine starts on each of its processors in a millisecond. */
const STARTS_PER_MS = 100;

/** How often the numbers are read again because others were given out meanwhile. */
const LOOKS = 3;

/** What the kernel says; tests say something else. */
export interface PidCounter {
  /** The last number that was given out; null where that can't be read. */
  last(): number | null;
  isThere(pid: number): boolean;
  /** For how long after a process no number below its own is given out, milliseconds. */
  roundMs(): number;
}

const ofKernel: PidCounter = {
  last: () => numberIn('ns_last_pid'),
  isThere: (pid) => lstatSync(`/proc/${pid}`, { throwIfNoEntry: false }) !== undefined,
  roundMs: once(() => (numberIn('pid_max') ?? 0) / process.getBuiltinModule('node:os').cpus().length / STARTS_PER_MS),
};

/**
 * The processes and threads that were started after process `pid` and are still there, as of one moment of the call. `startedAt` of that
 * process, as in `domain/task/identity.ts`. Null where that can't be told: elsewhere than on Linux, where the numbers may have come round
 * since, and where there are too many of them.
 */
export function startedAfter(pid: number, startedAt: string, counter: PidCounter = ofKernel): number[] | null {
  const ticks = /^ticks:(\d+)$/.exec(startedAt)?.[1];
  if (ticks === undefined || !(msSince(Number(ticks)) < counter.roundMs())) return null;
  for (let look = 0; look < LOOKS; look++) {
    const last = counter.last();
    if (last === null || last < pid || last - pid > MANY) return null;
    const numbers = Array.from({ length: last - pid }, (_, index) => pid + 1 + index);
    const there = numbers.filter((each) => counter.isThere(each));
    // Else one that is gone may have started another before.
    if (last === pid || counter.last() === last) return there;
  }
  return null;
}

/** `ticks`: of 10 ms, since the machine was started. */
function msSince(ticks: number): number {
  return startedMs() + performance.now() - ticks * 10;
}

/** When this process was started, milliseconds since the machine was. While the machine sleeps neither this clock goes on nor are numbers given out. */
const startedMs = once(() => process.getBuiltinModule('node:os').uptime() * 1000 - performance.now());

/** It is read twice for each worker that ends: `readFileSync` takes five calls. */
function numberIn(name: string): number | null {
  let fd: number | undefined;
  try {
    fd = openSync(`/proc/sys/kernel/${name}`, 'r');
    return Number(digits.toString('latin1', 0, readSync(fd, digits)));
  } catch {
    return null;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

const digits = Buffer.alloc(32);
