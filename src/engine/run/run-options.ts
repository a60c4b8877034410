/** What a run is told. */

import type { Plan } from '../../domain/plan/plan.ts';
import type { OutputMode } from '../../domain/run/output.ts';
import type { OwnerIdentity } from '../../domain/task/identity.ts';
import type { Spawn } from '../../process/gated-worker.ts';

export interface RunOptions {
  runId: string;
  owner: OwnerIdentity;
  maxParallel: number;
  /** How it starts its workers. */
  spawn: Spawn;
  /** Ids of the tasks to work on, as the plan stands. */
  select(plan: Plan): ReadonlySet<string>;
  /** What was begun again for this run. */
  rerun: readonly string[];
  /**
   * `stop`: once a task has failed for good nothing new is started but finalizers; a task that goes on after an error does not count. `stop-all`:
   * besides, what is at work is given back.
   */
  onFailure: 'continue' | 'stop' | 'stop-all';
  output: OutputMode;
  /** Whether the run goes on while all that is left waits for answers or signals. */
  answers: boolean;
  /** Whether it goes on while all that is left waits for checkpoints of people. */
  checkpoints: boolean;
}
