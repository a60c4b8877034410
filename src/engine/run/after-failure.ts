/** What a run starts no more, and stops, once a task has failed for good. */

import { isFinalizer, type PlanTask } from '../../domain/plan/plan.ts';
import { othersGoOn } from '../../domain/schedule/fates.ts';
import type { SchedulingContext } from '../../domain/schedule/readiness.ts';
import { ancestorsOf } from '../../lib/ids.ts';
import type { RunningAttempt } from '../attempt/running-attempt.ts';
import type { RunOptions } from './run-options.ts';

export class AfterFailure {
  readonly #onFailure: RunOptions['onFailure'];
  readonly #run: () => SchedulingContext & { selected: ReadonlySet<string> };
  readonly #active: ReadonlyMap<string, RunningAttempt | null>;
  #failed = false;

  /** `run`: its tasks as they stand. `active`: those at work; null while the claim is being made. */
  constructor(
    { onFailure }: RunOptions,
    run: () => SchedulingContext & { selected: ReadonlySet<string> },
    active: ReadonlyMap<string, RunningAttempt | null>,
  ) {
    this.#onFailure = onFailure;
    this.#run = run;
    this.#active = active;
  }

  /** Nothing but finalizers is started any more. */
  get stopping(): boolean {
    return this.#onFailure !== 'continue' && this.#failed;
  }

  /** The task has failed for good. A child of one that the run does too is for that to judge. */
  failed(task: PlanTask | undefined): void {
    const run = this.#run();
    if (task !== undefined && othersGoOn(task, run, (id) => run.selected.has(id))) return;
    this.#failed = true;
    for (const id of this.#active.keys()) this.stop(id);
  }

  /** Gives the task back where it should not be at work any more. */
  stop(taskId: string): void {
    if (this.#onFailure === 'stop-all' && this.isStopped(taskId)) this.#active.get(taskId)?.interrupt();
  }

  /** Whether the run starts the task no more. The children of a finalizer are its work. */
  isStopped(taskId: string): boolean {
    if (!this.stopping) return false;
    const tasks = [taskId, ...ancestorsOf(taskId)].flatMap((id) => this.#run().plan.byId.get(id) ?? []);
    return !tasks.some(isFinalizer);
  }
}
