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

/** Compares the setup that an attempt is to begin on; see `setupBaseline`. */
export type SetupCheck = (taskId: string, setup: Work['git_setup'], trusted?: boolean) => Promise<void>;

/**
 * A new command takes the setup that it finds for the user's. Where an attempt has failed because the setup had changed, or has ended and was
 * not compared, the one before that attempt counts. `reads`: the records of all tasks, as they are now; default: the store is asked.
 *
 * The check throws CanNotStart when `setup` is not that of the command. `trusted`: commands of the user may have changed it, so it counts as if
 * the command began with it; where a worker is at work as well it is not known which of the two it was.
 */
export function setupBaseline(
  env: Env,
  reads: () => Promise<Iterable<TaskSummaryRead>> = async () => (await env.store.snapshot()).tasks,
): SetupCheck {
  let before: Baseline | null = null;
  return async (taskId, setup, trusted = false) => {
    if (setup === null) return;
    const now = sharedPart(setup);
    if (trusted) before = null;
    before ??= (await suspect(env, await reads(), now)) ?? { digests: now, since: BEGAN };
    const { digests, since } = before;
    const changes = setupChanges(digests, now);
    if (changes.length === 0) return;
    const hint = acceptHint(now, env.ctx.env, env.settings.agents.setup);
    if (hint === null) {
      before = { digests: now, since: BEGAN };
      return;
    }
    throw new CanNotStart(
      'NOT_READY',
      `task ${taskId} is not started: git's own files are not as they were before ${since}: ${changes.join('; ')}. ${hint}`,
    );
  };
}

/** The setup before an attempt that may have changed it; null where each such attempt began on the one of now. */
async function suspect(env: Env, reads: Iterable<TaskSummaryRead>, now: SetupDigests): Promise<Baseline | null> {
  for (const { task_id, record } of reads) {
    if (record === null || !isSuspect(record)) continue;
    const whole = (await env.store.read(task_id)).record;
    const before = whole && evidenceOf(whole, whole.state.current_attempt_id)?.git_setup;
    if (!before || setupChanges(sharedPart(before), now).length === 0) continue;
    return { digests: sharedPart(before), since: `the last attempt at task ${task_id}` };
  }
  return null;
}

/** Whether the last attempt has failed over its setup, or has begun and was not compared at its end. */
function isSuspect({ state, memo }: TaskSummary): boolean {
  const { state: at, current_attempt_id: last } = state;
  if (last === null || at === 'cancelled' || at === 'shipped' || phaseDue(at) !== null) return false;
  return memo.completion?.attempt_id === last ? at === 'failed' && state.last_error?.class === SETUP_CLASS : true;
}
