/** What an attempt uses while it works, against the budget of its task; counted in the record once it has ended. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import { isBudgeted, isUnlimited, taskBudget, usedUp } from '../../domain/schedule/budgets.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { NOTHING_SPENT, spendingOf, spentBy, sumOf } from '../../domain/task/spending.ts';
import { errorMessage } from '../../lib/errors.ts';
import type { AttemptRef } from '../../store/port.ts';
import type { Env } from '../env.ts';
import { countSpent, meterOf } from './session-meter.ts';

/** How often is looked at what a worker has used, milliseconds. */
const LOOK_MS = 500;

export type AttemptSpending = ReturnType<typeof attemptSpending>;

/** `agent`: whose structured output its worker writes; null: it is text. */
export function attemptSpending(
  env: Env,
  { taskId, attemptId }: AttemptRef,
  { task, record, agent, cwd }: { task: PlanTask; record: TaskRecord; agent: string | null; cwd: string },
) {
  const meter = meterOf(env, record, attemptId, agent);
  /** What the task had used before. */
  const before = spendingOf(record)?.spent ?? NOTHING_SPENT;
  const startedMs = env.ctx.monotonicMs();
  let endedMs: number | null = null;
  const session = () => meter?.read() ?? null;
  const spent = () => spentBy(session(), (endedMs ?? env.ctx.monotonicMs()) - startedMs);
  return {
    /** What its agent has said so far; null for another worker. */
    session,
    /** Reads its log before that is cut; null for a worker whose output is not understood. */
    follower: meter,
    spent,

    /** Calls `over` with what is used up, once, until what this returns is called. */
    watch(over: (what: string) => void): () => void {
      // The attempt at work is one that was allowed.
      const budget = { ...taskBudget(task, env.settings.budget), attempts: null };
      if (isUnlimited(budget)) return () => {};
      const timer = setInterval(() => {
        const what = usedUp(budget, sumOf([before, spent()]));
        if (what === null) return;
        clearInterval(timer);
        over(what);
      }, LOOK_MS).unref();
      return () => clearInterval(timer);
    },

    /** Its worker has ended: what follows takes no time of the budget. */
    end(): void {
      endedMs ??= env.ctx.monotonicMs();
    },

    /** The record with what was used. What can't be counted now is when the task is taken up again. */
    async counted(now: TaskRecord): Promise<TaskRecord> {
      if (meter === null && !isBudgeted(task, env.settings.budget)) return now;
      try {
        return await countSpent(env, taskId, {
          attemptId,
          session: session(),
          cwd,
          wallClockMs: spent().wall_clock_ms,
        });
      } catch (error) {
        env.warn(`what attempt ${attemptId} of task ${taskId} has used is not counted: ${errorMessage(error)}`);
        return now;
      }
    },
  };
}
