/** Names processes in locks, by the identity that leases have too. */

import type { Context } from '../domain/context.ts';
import { OwnerIdentitySchema } from '../domain/task/identity.ts';
import type { LockOwner } from '../lib/fs/locks.ts';
import { parseJson } from '../lib/json.ts';
import { identifyOwner } from './processes.ts';

/** The process of `ctx`, as the owner of locks. */
export function lockOwner({ pid, liveness }: Pick<Context, 'pid' | 'liveness'>): LockOwner {
  return {
    me: JSON.stringify(identifyOwner(pid)),
    isGone: (line) => {
      const { success, data } = OwnerIdentitySchema().safeParse(parseJson(line));
      return success && liveness(data) === 'dead';
    },
  };
}
