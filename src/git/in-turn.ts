/** Work in a repository that no two processes may do at once. */

import { clearLock, exclusively, type StillHeld } from '../lib/fs/locks.ts';
import { lockOwner } from '../process/lock-owner.ts';
import type { GitEnv } from './git.ts';

/** Runs `work` under `lock`. The lock of a process that is gone is taken over at once. Throws as `exclusively` does. */
export function inTurn<T>({ ctx }: GitEnv, lock: string, work: (held: StillHeld) => Promise<T>): Promise<T> {
  return exclusively(lock, work, { owner: lockOwner(ctx) });
}

/** Removes what a process that is gone has left of a lock. */
export function clearTurn({ ctx }: GitEnv, lock: string): void {
  clearLock(lock, lockOwner(ctx));
}
