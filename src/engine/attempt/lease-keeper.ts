/** Keeps the lease that work is done under: renews it, and notices when it is lost. */

import { type Holding, holdingOf, renewalOf } from '../../domain/task/lease-loss.ts';
import { heartbeatTask } from '../../domain/task/operations.ts';
import type { Lease } from '../../domain/task/records.ts';
import type { Checker } from '../../domain/verify/verification.ts';
import { errorMessage, kindOf } from '../../lib/errors.ts';
import { changeTask } from '../../store/change.ts';
import type { ChangeCursor } from '../../store/port.ts';
import { type Env, instantOf } from '../env.ts';

/** Interval of checks for a cancel or a stolen lease, milliseconds. */
const LOOK_MS = 500;

export interface LeaseKeeper {
  /** The last renewal failed. No more work is claimed on such a disk. */
  readonly failing: boolean;
  /** Nothing is told after it, whatever a look that has begun finds: the holder itself is about to give it up. */
  stop(): void;
  /** The process may end while it is kept, when it has nothing else to do. */
  unref(): void;
}

/**
 * `lease` as it was taken, just now or renewed since; null where nothing is to be renewed. `onChange` is called when the
 * lease is not held any more. A lease that cannot be renewed is lost when it expires: no other process may have taken it
 * yet.
 */
export function keepLease(
  env: Env,
  holder: Checker & { taskId: string },
  lease: Lease | null,
  onChange: (holding: Holding) => void = () => {},
): LeaseKeeper {
  const { store } = env;
  const { taskId, attemptId, claimId } = holder;
  const { ttlMs, intervalMs } = renewalOf(lease, env.settings.agents);
  let held: Holding['kind'] = 'held';
  let seen: ChangeCursor | null = null;
  let renewedMs = env.ctx.monotonicMs();
  let triedMs = renewedMs;
  let failing = false;
  let busy = false;
  let stopped = false;

  const tick = async () => {
    if (busy) return;
    busy = true;
    try {
      // What cannot be read now is read at the next look; what cannot be renewed expires.
      await look().catch(() => {});
      if (held === 'held') await renew();
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void tick(), Math.min(LOOK_MS, intervalMs / 2));

  function stop(): void {
    clearInterval(timer);
    stopped = true;
  }

  async function look(): Promise<void> {
    const { cursor, changed } = await store.changesSince(seen, [taskId]);
    // At the first look it may be gone already.
    if (seen !== null && changed.length === 0) return;
    const { record, problem } = await store.read(taskId);
    seen = cursor;
    if (problem === null) hold(holdingOf(record, holder));
  }

  function hold(holding: Holding): void {
    if (stopped || holding.kind === held) return;
    held = holding.kind;
    if (held === 'lost') stop();
    onChange(holding);
  }

  async function renew(): Promise<void> {
    const nowMs = env.ctx.monotonicMs();
    if (nowMs - triedMs >= intervalMs) {
      triedMs = nowMs;
      const request = { attemptId, claimId, ttlMs, instant: instantOf(env) };
      try {
        await changeTask(env, taskId, (record) => heartbeatTask(record, request));
        renewedMs = nowMs;
        failing = false;
      } catch (error) {
        // The next look says who has it now; work that is over needs no lease.
        if (kindOf(error) === 'lost' || stopped) return;
        failing = true;
        env.warn(`heartbeat of task ${taskId} failed: ${errorMessage(error)}`);
      }
    }
    if (failing && env.ctx.monotonicMs() - renewedMs >= ttlMs)
      hold({ kind: 'lost', why: 'its lease ran out and could not be renewed' });
  }

  return {
    get failing() {
      return failing;
    },
    stop,
    unref: () => void timer.unref(),
  };
}
