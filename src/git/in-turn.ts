/** Work in a repository that no two processes may do at once. */

import { exclusively, type StillHeld } from '../lib/fs/locks.ts';
import { lockOwner } from '../process/lock-owner.ts';
import type { GitEnv } from './git.ts';

/** Runs `work` under `lock`. The lock of a process that is gone is taken over at once. Throws as `exclusively` does. */
export function inTurn<T>({ ctx }: GitEnv, lock: string, work: (held: StillHeld) => Promise<T>): Promise<T> {
  return exclusively(lock, work, { owner: lockOwner(ctx) });
}
