/** Threads of a program, each of which loads forge's library for itself. */

import { readlinkSync } from 'node:fs';
import type { OwnerIdentity } from '../domain/task/identity.ts';
import { identifyOwner } from './processes.ts';

/**
 * The thread that asks, as a process: on Linux each has a number of its own, and so ends by itself; elsewhere it is known by its process. Null for the
 * main thread.
 */
export function identifyThread(): OwnerIdentity | null {
  if (process.getBuiltinModule('node:worker_threads').isMainThread) return null;
  return identifyOwner(numberOfThread() ?? process.pid);
}

/** Source: proc(5), `/proc/thread-self`. */
function numberOfThread(): number | null {
  try {
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
  } catch {
    return null;
  }
}
