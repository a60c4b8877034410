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

export class Durations {
  readonly #env: Env;
  readonly #run: { startedMs: number; slots: number };
  readonly #known = new Map<string, number>();
  /** Attempts of this run, and how long they had taken at the last look. */
  #own: ReadonlyMap<string, OwnAttempt> = new Map();
  #isLookedUp = false;
  #left: { ms: number | null; atMs: number } | null = null;

  /** `startedMs`: of the run, on the monotonic clock. */
  constructor(env: Env, run: { startedMs: number; slots: number }) {
    this.#env = env;
    this.#run = run;
  }

  progress(standing: Standing): LiveProgress {
    const now = this.#env.ctx.monotonicMs();
    for (const [taskId, { attempt_id, age_ms }] of this.#own) {
      const isOver = standing.own.get(taskId)?.attempt_id !== attempt_id;
      if (isOver) this.#known.set(taskId, Math.max(LEAST_MS, age_ms));
    }
    this.#own = standing.own;
    if (!this.#isLookedUp) void this.#lookUp(standing);
    if (this.#left === null || now - this.#left.atMs >= ESTIMATE_MS)
      this.#left = { ms: leftMs(standing, this.#run.slots, this.#known), atMs: now };
    const { ms, atMs } = this.#left;
    return { elapsed_ms: now - this.#run.startedMs, left_ms: ms && Math.max(0, ms - (now - atMs)) };
  }

  /** Earlier runs; one after the other, and what can't be read is left out. */
  async #lookUp({ scheduling, selected }: Standing): Promise<void> {
    this.#isLookedUp = true;
    const { store, eventLog } = this.#env;
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
        const traces = { record, history, verified: null, review: null, ship: null, nowMs: this.#env.now() };
        const end = last && attemptEndOf(last, traces);
        if (end?.ended_at && end.duration_ms !== null && !this.#known.has(id))
          this.#known.set(id, Math.max(LEAST_MS, end.duration_ms));
      } catch {
        // It is only an estimate.
      }
    }
  }
}
