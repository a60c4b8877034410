/** What a run starts no more, and stops, once a task has failed for good. */

import { isFinalizer, type Plan, type PlanTask } from '../../domain/plan/plan.ts';
import { ancestorsOf } from '../../lib/ids.ts';
import type { RunningAttempt } from '../attempt/running-attempt.ts';
import type { RunOptions } from './run-options.ts';

export class AfterFailure {
  readonly #onFailure: RunOptions['onFailure'];
  readonly #plan: () => Plan;
  readonly #active: ReadonlyMap<string, RunningAttempt | null>;
  #failed = false;

  /** `active`: the tasks at work; null while the claim is being made. */
  constructor({ onFailure }: RunOptions, plan: () => Plan, active: ReadonlyMap<string, RunningAttempt | null>) {
    this.#onFailure = onFailure;
    this.#plan = plan;
    this.#active = active;
  }

  /** Nothing but finalizers is started any more. */
  get stopping(): boolean {
    return this.#onFailure !== 'continue' && this.#failed;
  }

  /** The task has failed for good. */
  failed(task: PlanTask | undefined): void {
    if (task?.continue_on_error === true) return;
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
    const tasks = [taskId, ...ancestorsOf(taskId)].flatMap((id) => this.#plan().byId.get(id) ?? []);
    return !tasks.some(isFinalizer);
  }
}
