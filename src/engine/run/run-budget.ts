/** What a run uses, against its budget and that of the project. Over it the run starts no worker more, and stops those at work. */

import type { RunEvent } from '../../domain/run/events.ts';
import { isUnlimited, projectSpent, usedUp } from '../../domain/schedule/budgets.ts';
import { classifyTasks, type SchedulingContext } from '../../domain/schedule/readiness.ts';
import { NOTHING_SPENT, type Spent, sumOf } from '../../domain/task/spending.ts';
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

  /** Whether a budget is used up. It stays so for the run. */
  get isOver(): boolean {
    return this.#over !== null;
  }

  count(spent: Spent): void {
    this.#spent = sumOf([this.#spent, spent]);
  }

  /** Looks at what is used, by what is at work too. */
  look(scheduling: () => SchedulingContext): void {
    const { run, project } = this.#env.settings.budget;
    if (this.#over !== null || (isUnlimited(run) && isUnlimited(project))) return;
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
    if (this.#over === null) return [];
    return classifyTasks(scheduling()).ready.map(({ id }) => [id, `the budget ${this.#over}`]);
  }
}
