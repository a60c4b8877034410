/** Keeps a run from starting work on a setup of git that a worker may have changed. */

import type { TaskSummary } from '../../domain/task/records.ts';
import { phaseDue } from '../../domain/task/states.ts';
import { evidenceOf, type Work } from '../../domain/verify/evidence.ts';
import { acceptHint, SETUP_CLASS, type SetupDigests, setupChanges, sharedPart } from '../../domain/verify/git-setup.ts';
import type { TaskSummaryRead } from '../../store/port.ts';
import { CanNotStart } from '../attempt/workspace.ts';
import type { Env } from '../env.ts';

const RUN_BEGAN = 'this run began';

interface Baseline {
  digests: SetupDigests;
  /** What came after it, in the words of a message. */
  since: string;
}

/**
 * A new run takes the setup that it finds for the user's. Where an attempt has failed because the setup had changed, or has ended and was
 * not compared, the one before that attempt counts.
 */
export class SetupBaseline {
  readonly #env: Env;
  #before: Baseline | null = null;

  constructor(env: Env) {
    this.#env = env;
  }

  /** Throws CanNotStart when `setup`, that an attempt is to begin on, is not that of the run. `reads`: the tasks of the run. */
  async check(taskId: string, setup: Work['git_setup'], reads: Iterable<TaskSummaryRead>): Promise<void> {
    if (setup === null) return;
    const now = sharedPart(setup);
    this.#before ??= (await this.#suspect(now, reads)) ?? { digests: now, since: RUN_BEGAN };
    const { digests, since } = this.#before;
    const changes = setupChanges(digests, now);
    if (changes.length === 0) return;
    const hint = acceptHint(now, this.#env.ctx.env);
    if (hint === null) {
      this.#before = { digests: now, since: RUN_BEGAN };
      return;
    }
    throw new CanNotStart(
      'NOT_READY',
      `task ${taskId} is not started: git's own files are not as they were before ${since}: ${changes.join('; ')}. ${hint}`,
    );
  }

  /** The setup before an attempt that may have changed it; null where each such attempt began on the one of now. */
  async #suspect(now: SetupDigests, reads: Iterable<TaskSummaryRead>): Promise<Baseline | null> {
    for (const { task_id, record } of reads) {
      if (record === null || !isSuspect(record)) continue;
      const whole = (await this.#env.store.read(task_id)).record;
      const before = whole && evidenceOf(whole, whole.state.current_attempt_id)?.git_setup;
      if (!before || setupChanges(sharedPart(before), now).length === 0) continue;
      return { digests: sharedPart(before), since: `the last attempt at task ${task_id}` };
    }
    return null;
  }
}

/** Whether the last attempt has failed over its setup, or has begun and was not compared at its end. */
function isSuspect({ state, memo }: TaskSummary): boolean {
  const { state: at, current_attempt_id: last } = state;
  if (last === null || at === 'cancelled' || at === 'shipped' || phaseDue(at) !== null) return false;
  return memo.completion?.attempt_id === last ? at === 'failed' && state.last_error?.class === SETUP_CLASS : true;
}
