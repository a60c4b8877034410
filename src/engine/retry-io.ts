/** Tries again what a disk, or git, has refused: by the policy for steps. */

import { coercePolicy } from '../domain/retry/retry.ts';
import { STEP_RETRY_DEFAULT } from '../domain/retry/schema.ts';
import { kindOf } from '../lib/errors.ts';
import type { Env } from './env.ts';

/** Does `step` until it is not refused with IO_ERROR any more, three times at most. Throws what it threw last. */
export async function retryIo<T>({ ctx }: Pick<Env, 'ctx'>, step: () => Promise<T>): Promise<T> {
  const policy = coercePolicy(undefined, STEP_RETRY_DEFAULT);
  for (let attempts = 1; ; attempts++) {
    try {
      return await step();
    } catch (error) {
      if (kindOf(error) !== 'io') throw error;
      const delay = policy.retryBackoff('io', { attempts, random: ctx.random });
      if (delay === null) throw error;
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
}
