/** Keeps a command from starting work on a setup of git that a worker may have changed. */

import type { TaskSummary } from '../../domain/task/records.ts';
import { phaseDue } from '../../domain/task/states.ts';
import { evidenceOf, type Work } from '../../domain/verify/evidence.ts';
import { acceptHint, SETUP_CLASS, type SetupDigests, setupChanges, sharedPart } from '../../domain/verify/git-setup.ts';
import type { TaskSummaryRead } from '../../store/port.ts';
import type { Env } from '../env.ts';
import { CanNotStart } from './workspace.ts';

const BEGAN = 'this command began';

interface Baseline {
  digests: SetupDigests;
  /** What came after it, in the words of a message. */
  since: string;
}

/**
 * A new command takes the setup that it finds for the user's. Where an attempt has failed because the setup had changed, or has ended and was
 * not compared, the one before that attempt counts.
 */
export class SetupBaseline {
  readonly #env: Env;
  readonly #reads: () => Promise<Iterable<TaskSummaryRead>>;
  #before: Baseline | null = null;

  /** `reads`: the records of all tasks, as they are now. Default: the store is asked. */
  constructor(env: Env, reads?: () => Promise<Iterable<TaskSummaryRead>>) {
    this.#env = env;
    this.#reads = reads ?? (async () => (await env.store.snapshot()).tasks);
  }

  /**
   * Throws CanNotStart when `setup`, that an attempt is to begin on, is not that of the command. `trusted`: commands of the user may have
   * changed it, so it counts as if the command began with it; where a worker is at work as well it is not known which of the two it was.
   */
  async check(taskId: string, setup: Work['git_setup'], trusted = false): Promise<void> {
    if (setup === null) return;
    const now = sharedPart(setup);
    if (trusted) this.#before = null;
    this.#before ??= (await this.#suspect(now)) ?? { digests: now, since: BEGAN };
    const { digests, since } = this.#before;
    const changes = setupChanges(digests, now);
    if (changes.length === 0) return;
    const hint = acceptHint(now, this.#env.ctx.env, this.#env.settings.agents.setup);
    if (hint === null) {
      this.#before = { digests: now, since: BEGAN };
      return;
    }
    throw new CanNotStart(
      'NOT_READY',
      `task ${taskId} is not started: git's own files are not as they were before ${since}: ${changes.join('; ')}. ${hint}`,
    );
  }

  /** The setup before an attempt that may have changed it; null where each such attempt began on the one of now. */
  async #suspect(now: SetupDigests): Promise<Baseline | null> {
    for (const { task_id, record } of await this.#reads()) {
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
