/** How long attempts at tasks took, for an estimate of what is left. */

import { leftMs } from '../../domain/run/estimate.ts';
import type { LiveProgress, OwnAttempt, Standing } from '../../domain/run/live-model.ts';
import { attemptEndOf } from '../../domain/task/attempt-ends.ts';
import { attemptsThatHappened } from '../../domain/task/attempts.ts';
import { readable } from '../../domain/task/records.ts';
import type { Env } from '../env.ts';

/** How often what is left is estimated, milliseconds: it looks at every task. */
const ESTIMATE_MS = 2000;
/** Most tasks whose earlier attempts are looked up. */
const LOOKED_UP = 200;
/** Shorter attempts have not begun, or are of no account, milliseconds. */
const LEAST_MS = 1;

/** How a run goes on, whenever it is asked. `startedMs`: of the run, on the monotonic clock. */
export function progressOf(
  { ctx, store, eventLog, now }: Env,
  { startedMs, slots }: { startedMs: number; slots: number },
): (standing: Standing) => LiveProgress {
  const known = new Map<string, number>();
  /** Attempts of this run, and how long they had taken at the last look. */
  let own: ReadonlyMap<string, OwnAttempt> = new Map();
  let isLookedUp = false;
  let left: { ms: number | null; atMs: number } | null = null;

  /** Earlier runs; one after the other, and what can't be read is left out. */
  async function lookUp({ scheduling, selected }: Standing): Promise<void> {
    isLookedUp = true;
    const tried = scheduling.plan.tasks.filter(({ id }) => {
      const record = readable(scheduling.recordOf(id));
      return selected?.has(id) !== false && record !== null && record.state.attempt_count > 0;
    });
    for (const { id } of tried.slice(0, LOOKED_UP)) {
      try {
        const { record } = await store.read(id);
        const attempts = attemptsThatHappened(await store.listAttempts(id), record?.state);
        const last = attempts.findLast(({ phase }) => phase === 'implement');
        const history = await eventLog.read({ log: 'claim-history', taskId: id });
        const traces = { record, history, verified: null, review: null, ship: null, nowMs: now() };
        const end = last && attemptEndOf(last, traces);
        if (end?.ended_at && end.duration_ms !== null && !known.has(id))
          known.set(id, Math.max(LEAST_MS, end.duration_ms));
      } catch {
        // It is only an estimate.
      }
    }
  }

  return (standing) => {
    const atMs = ctx.monotonicMs();
    for (const [taskId, { attempt_id, age_ms }] of own) {
      const isOver = standing.own.get(taskId)?.attempt_id !== attempt_id;
      if (isOver) known.set(taskId, Math.max(LEAST_MS, age_ms));
    }
    own = standing.own;
    if (!isLookedUp) void lookUp(standing);
    if (left === null || atMs - left.atMs >= ESTIMATE_MS) left = { ms: leftMs(standing, slots, known), atMs };
    return { elapsed_ms: atMs - startedMs, left_ms: left.ms && Math.max(0, left.ms - (atMs - left.atMs)) };
  };
}
