/** Keeps a run from starting work on a setup of git that a worker may have changed. */

import { evidenceOf, type Work } from '../../domain/verify/evidence.ts';
import { SETUP_CLASS, type SetupDigests, setupChanges, sharedPart } from '../../domain/verify/git-setup.ts';
import type { TaskSummaryRead } from '../../store/port.ts';
import { CanNotStart } from '../attempt/workspace.ts';
import type { Env } from '../env.ts';

/**
 * A new run takes the setup that it finds for the user's. Where a task has failed because the setup had changed, the one before that
 * counts until a person has seen to the task.
 */
export class SetupBaseline {
  readonly #env: Env;
  #digests: SetupDigests | null = null;

  constructor(env: Env) {
    this.#env = env;
  }

  /** Throws CanNotStart when the setup that `work` begins on is not that of the run. `reads`: the tasks of the run. */
  async check(taskId: string, { git_setup }: Work, reads: Iterable<TaskSummaryRead>): Promise<void> {
    if (git_setup === null) return;
    const now = sharedPart(git_setup);
    this.#digests ??= (await this.#before(reads)) ?? now;
    const changes = setupChanges(this.#digests, now);
    if (changes.length === 0) return;
    throw new CanNotStart(
      'NOT_READY',
      `task ${taskId} is not started: git's own files are not as they were before the workers: ${changes.join('; ')}; undo that, or retry the task that failed over it and start another run`,
    );
  }

  /** The setup before it changed under a task that has failed over that; null when there is no such task. */
  async #before(reads: Iterable<TaskSummaryRead>): Promise<SetupDigests | null> {
    for (const { task_id, record } of reads) {
      if (record?.state.state !== 'failed' || record.state.last_error?.class !== SETUP_CLASS) continue;
      const whole = (await this.#env.store.read(task_id)).record;
      const before = whole && evidenceOf(whole, whole.state.current_attempt_id)?.git_setup;
      if (before) return sharedPart(before);
    }
    return null;
  }
}
