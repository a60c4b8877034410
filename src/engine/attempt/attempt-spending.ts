/** What an attempt uses while it works, against the budget of its task; counted in the record once it has ended. */

import type { AgentSession } from '../../domain/agents/session.ts';
import type { PlanTask } from '../../domain/plan/plan.ts';
import { isBudgeted, isUnlimited, taskBudget, usedUp } from '../../domain/schedule/budgets.ts';
import type { Budget } from '../../domain/settings/settings.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { NOTHING_SPENT, type Spent, spendingOf, spentBy, sumOf } from '../../domain/task/spending.ts';
import { errorMessage } from '../../lib/errors.ts';
import type { AttemptRef } from '../../store/port.ts';
import type { Env } from '../env.ts';
import type { LogFollower } from './output.ts';
import { countSpent, meterOf, type SessionMeter } from './session-meter.ts';

/** How often is looked at what a worker has used, milliseconds. */
const LOOK_MS = 500;

export class AttemptSpending {
  readonly #env: Env;
  readonly #attempt: AttemptRef;
  readonly #cwd: string;
  readonly #meter: SessionMeter | null;
  readonly #budget: Budget;
  readonly #isBudgeted: boolean;
  /** What the task had used before. */
  readonly #before: Spent;
  readonly #startedMs: number;
  #endedMs: number | null = null;

  /** `agent`: whose structured output its worker writes; null: it is text. */
  constructor(
    env: Env,
    attempt: AttemptRef,
    { task, record, agent, cwd }: { task: PlanTask; record: TaskRecord; agent: string | null; cwd: string },
  ) {
    this.#env = env;
    this.#attempt = attempt;
    this.#cwd = cwd;
    this.#meter = meterOf(env, record, attempt.attemptId, agent);
    this.#budget = taskBudget(task, env.settings.budget);
    this.#isBudgeted = isBudgeted(task, env.settings.budget);
    this.#before = spendingOf(record)?.spent ?? NOTHING_SPENT;
    this.#startedMs = env.ctx.monotonicMs();
  }

  /** What its agent has said so far; null for another worker. */
  get session(): AgentSession | null {
    return this.#meter?.read() ?? null;
  }

  /** Reads its log before that is cut; null for a worker whose output is not understood. */
  get follower(): LogFollower | null {
    return this.#meter;
  }

  get spent(): Spent {
    return spentBy(this.session, (this.#endedMs ?? this.#env.ctx.monotonicMs()) - this.#startedMs);
  }

  /** Calls `over` with what is used up, once, until what this returns is called. */
  watch(over: (what: string) => void): () => void {
    // The attempt at work is one that was allowed.
    const budget = { ...this.#budget, attempts: null };
    if (isUnlimited(budget)) return () => {};
    const timer = setInterval(() => {
      const what = usedUp(budget, sumOf([this.#before, this.spent]));
      if (what === null) return;
      clearInterval(timer);
      over(what);
    }, LOOK_MS).unref();
    return () => clearInterval(timer);
  }

  /** Its worker has ended: what follows takes no time of the budget. */
  end(): void {
    this.#endedMs ??= this.#env.ctx.monotonicMs();
  }

  /** The record with what was used. What can't be counted now is when the task is taken up again. */
  async counted(record: TaskRecord): Promise<TaskRecord> {
    if (this.#meter === null && !this.#isBudgeted) return record;
    const { taskId, attemptId } = this.#attempt;
    const ended = { attemptId, session: this.session, cwd: this.#cwd, wallClockMs: this.spent.wall_clock_ms };
    try {
      return await countSpent(this.#env, taskId, ended);
    } catch (error) {
      this.#env.warn(`what attempt ${attemptId} of task ${taskId} has used is not counted: ${errorMessage(error)}`);
      return record;
    }
  }
}
