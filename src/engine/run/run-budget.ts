/** What a run uses, against its budget and that of the project. Over it the run starts no worker more, and stops those at work. */

import type { RunEvent } from '../../domain/run/events.ts';
import { isUnlimited, projectSpent, projectUsedUp, usedUp } from '../../domain/schedule/budgets.ts';
import { classifyTasks, type SchedulingContext } from '../../domain/schedule/readiness.ts';
import type { Budget } from '../../domain/settings/settings.ts';
import { readable, type TaskSummary } from '../../domain/task/records.ts';
import { NOTHING_SPENT, type Spent, spendingOf, spentBy, sumOf } from '../../domain/task/spending.ts';
import { isInFlight } from '../../domain/task/states.ts';
import { pendingVerification } from '../../domain/verify/verification.ts';
import type { RunningAttempt } from '../attempt/running-attempt.ts';
import { meterOf, type SessionMeter } from '../attempt/session-meter.ts';
import type { Env } from '../env.ts';

export class RunBudget {
  readonly #env: Env;
  readonly #active: ReadonlyMap<string, RunningAttempt | null>;
  readonly #emit: (event: RunEvent) => void;
  readonly #startedMs: number;
  /** Of attempts of other processes, by attempt id. */
  readonly #elsewhere = new Map<string, SessionMeter>();
  #spent: Spent = NOTHING_SPENT;
  #over: string | null = null;

  /** `active`: the attempts at work. */
  constructor(env: Env, active: ReadonlyMap<string, RunningAttempt | null>, emit: (event: RunEvent) => void) {
    this.#env = env;
    this.#active = active;
    this.#emit = emit;
    this.#startedMs = env.ctx.monotonicMs();
  }

  /** Of all its attempts that have ended. */
  get spent(): Spent {
    return this.#spent;
  }

  /** How long the run has taken, milliseconds. */
  get tookMs(): number {
    return this.#env.ctx.monotonicMs() - this.#startedMs;
  }

  /** Why what is at work is stopped; null while the budget lasts. It stays so for the run. */
  get over(): string | null {
    return this.#over && `the budget ${this.#over}`;
  }

  count(spent: Spent): void {
    this.#spent = sumOf([this.#spent, spent]);
  }

  /** Looks at what is used, by what is at work too: that is stopped where it is too much. */
  look(scheduling: () => SchedulingContext): void {
    // Attempts at work are those that were allowed.
    const run = withoutAttempts(this.#env.settings.budget.run);
    const project = withoutAttempts(this.#env.settings.budget.project);
    if (this.#over !== null || (isUnlimited(run) && isUnlimited(project))) return;
    const working = [...this.#active.values()].flatMap((attempt) => attempt?.spent ?? []);
    const ofRun = usedUp(run, { ...sumOf([this.#spent, ...working]), wall_clock_ms: this.tookMs });
    const ofProject = isUnlimited(project) ? null : this.#ofProject(project, scheduling(), working);
    if (ofRun === null && ofProject === null) return;
    this.#over = ofRun === null ? `of the project is used up: ${ofProject}` : `of the run is used up: ${ofRun}`;
    this.#emit({ type: 'warning', message: `the budget ${this.#over}; nothing more is started` });
    for (const attempt of this.#active.values()) attempt?.interrupt();
  }

  /** What of the project's budget is used up: by what is counted, by what is at work here, and by agents at work elsewhere. */
  #ofProject(project: Budget, { plan, recordOf }: SchedulingContext, working: readonly Spent[]): string | null {
    const elsewhere = plan.tasks.flatMap(({ id }) => {
      const record = this.#active.has(id) ? null : readable(recordOf(id));
      return (record && this.#spentBy(record)) ?? [];
    });
    return usedUp(project, sumOf([projectSpent({ plan, recordOf }), ...working, ...elsewhere]));
  }

  /** By the attempt of another process that is at work, as far as its agent's log says; null for any other record. */
  #spentBy(record: TaskSummary): Spent | null {
    const { state, current_attempt_id: attemptId } = record.state;
    if (attemptId === null || !isInFlight(state) || spendingOf(record)?.attempt_id === attemptId) return null;
    const meter = this.#elsewhere.get(attemptId) ?? meterOf(this.#env, record, attemptId, record.memo.agent);
    if (meter === null) return null;
    this.#elsewhere.set(attemptId, meter);
    return spentBy(meter.read(), 0);
  }

  /** Why ready tasks are not started, by task id; empty while the budget lasts. */
  unstarted(scheduling: () => SchedulingContext): [taskId: string, why: string][] {
    const { run, project } = this.#env.settings.budget;
    if (this.#over === null && run.attempts === null && project.attempts === null) return [];
    const seen = scheduling();
    return classifyTasks(seen).ready.flatMap(({ id }) => {
      const why = this.keeps(id, seen);
      return why === null ? [] : [[id, why]];
    });
  }

  /** Why no attempt at a task is begun; null while the budget lasts, and where a result is only to be verified. */
  keeps(taskId: string, scheduling: SchedulingContext): string | null {
    const record = readable(scheduling.recordOf(taskId));
    if (record !== null && pendingVerification(record) !== null) return null;
    if (this.over !== null) return this.over;
    const { run, project } = this.#env.settings.budget;
    const attempts = this.#spent.attempts + this.#active.size;
    if (run.attempts !== null && attempts >= run.attempts)
      return `the budget of the run is used up: ${attempts} of ${run.attempts} attempts`;
    const ofProject = project.attempts === null ? null : projectUsedUp(scheduling, this.#active.keys());
    return ofProject && `the budget of the project is used up: ${ofProject}`;
  }
}

function withoutAttempts(budget: Budget): Budget {
  return { ...budget, attempts: null };
}
