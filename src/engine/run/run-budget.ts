/** What a run uses, against its budget and that of the project. Over it the run starts no worker more, and stops those at work. */

import type { RunEvent } from '../../domain/run/events.ts';
import { isUnlimited, projectSpent, projectUsedUp, usedUp } from '../../domain/schedule/budgets.ts';
import { classifyTasks, type SchedulingContext } from '../../domain/schedule/readiness.ts';
import type { Budget } from '../../domain/settings/settings.ts';
import { NOTHING_SPENT, type Spent, sumOf } from '../../domain/task/spending.ts';
import { pendingVerification } from '../../domain/verify/verification.ts';
import type { RunningAttempt } from '../attempt/running-attempt.ts';
import type { Env } from '../env.ts';

export class RunBudget {
  readonly #env: Env;
  readonly #active: ReadonlyMap<string, RunningAttempt | null>;
  readonly #emit: (event: RunEvent) => void;
  readonly #startedMs: number;
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
    const [run, project] = [this.#env.settings.budget.run, this.#env.settings.budget.project].map(withoutAttempts);
    if (this.#over !== null || !run || !project || (isUnlimited(run) && isUnlimited(project))) return;
    const working = [...this.#active.values()].flatMap((attempt) => attempt?.spent ?? []);
    const ofRun = usedUp(run, { ...sumOf([this.#spent, ...working]), wall_clock_ms: this.tookMs });
    const ofProject = isUnlimited(project) ? null : usedUp(project, sumOf([projectSpent(scheduling()), ...working]));
    if (ofRun === null && ofProject === null) return;
    this.#over = ofRun === null ? `of the project is used up: ${ofProject}` : `of the run is used up: ${ofRun}`;
    this.#emit({ type: 'warning', message: `the budget ${this.#over}; nothing more is started` });
    for (const attempt of this.#active.values()) attempt?.interrupt();
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
    const record = scheduling.recordOf(taskId);
    if (record !== null && record !== 'unreadable' && pendingVerification(record) !== null) return null;
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
