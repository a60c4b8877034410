/** Keeps a run from starting work on a setup of git that a worker may have changed. */

import type { TaskSummary } from '../../domain/task/records.ts';
import { phaseDue } from '../../domain/task/states.ts';
import { evidenceOf, type Work } from '../../domain/verify/evidence.ts';
import { acceptHint, SETUP_CLASS, type SetupDigests, setupChanges, sharedPart } from '../../domain/verify/git-setup.ts';
import { CanNotStart } from '../attempt/workspace.ts';
import type { Env } from '../env.ts';
import type { RecordCache } from './record-cache.ts';

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
  /** The records of the run's tasks. */
  readonly #seen: RecordCache;
  readonly #tasks: () => readonly { id: string }[];
  #before: Baseline | null = null;

  constructor(env: Env, seen: RecordCache, tasks: () => readonly { id: string }[]) {
    this.#env = env;
    this.#seen = seen;
    this.#tasks = tasks;
  }

  /**
   * Throws CanNotStart when `setup`, that an attempt is to begin on, is not that of the run. `trusted`: commands of the user may have
   * changed it, so it counts as if the run began with it; where a worker is at work as well it is not known which of the two it was.
   */
  async check(taskId: string, setup: Work['git_setup'], trusted = false): Promise<void> {
    if (setup === null) return;
    const now = sharedPart(setup);
    if (trusted) {
      await this.#seen.refresh(this.#tasks());
      this.#before = null;
    }
    this.#before ??= (await this.#suspect(now)) ?? { digests: now, since: RUN_BEGAN };
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
  async #suspect(now: SetupDigests): Promise<Baseline | null> {
    for (const { task_id, record } of this.#seen.reads.values()) {
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
