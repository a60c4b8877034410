/** How a task is cancelled, and how its children are. */

import { leaseStanding } from '../../domain/task/leases.ts';
import { cancelTask } from '../../domain/task/operations.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { isTerminal } from '../../domain/task/states.ts';
import { observerOf } from '../../engine/env.ts';
import { errorMessage, kindOf } from '../../lib/errors.ts';
import { ancestorsOf } from '../../lib/ids.ts';
import { changeTask } from '../../store/change.ts';
import { planUnlessInvalid } from './planned.ts';
import { orUnknown } from './reads.ts';
import type { Session } from './session.ts';

/**
 * Cancels the children of a task that is over, and theirs; returns how many that were. The plan is read after it: from then on it makes no more.
 * What was cut off here is finished by a repeat.
 */
export async function cancelChildren(session: Session, above: string, reason: string): Promise<number> {
  const plan = await planUnlessInvalid(session, 'its children, if it has any, are not cancelled');
  let children = 0;
  for (const { id } of plan?.tasks.filter((other) => ancestorsOf(other.id).includes(above)) ?? [])
    if (await cancelUnlessOver(session, id, { reason, above })) children += 1;
  return children;
}

type Why = Omit<Parameters<typeof cancelTask>[1], 'nowMs'>;

/** Ends a task for good; what a dead run has left of it is stopped. Throws ILLEGAL_TRANSITION, TASK_NOT_FOUND. */
export async function cancelOne(session: Session, task: string, why: Why) {
  let merging = false;
  let unowned = false;
  const decide = (seen: TaskRecord) => {
    merging = seen.state.state === 'merge_pending' && seen.lease !== null;
    unowned = seen.lease === null || leaseStanding(seen.lease, observerOf(session)).kind === 'stale';
    return cancelTask(seen, { ...why, nowMs: session.now() });
  };
  const changed = await changeTask(session, task, decide, orUnknown(session, task));
  if (merging) await endMerge(session, changed.record);
  else if (unowned) await stopWhatIsLeft(session, changed.record);
  return changed;
}

/** False for one that is over already. */
async function cancelUnlessOver(session: Session, task: string, why: Why): Promise<boolean> {
  const isOver = async () => {
    const { record } = await session.store.read(task);
    return record !== null && isTerminal(record.state.state);
  };
  if (await isOver()) return false;
  try {
    await cancelOne(session, task, why);
    return true;
  } catch (error) {
    // It has ended meanwhile.
    if (kindOf(error) === 'conflict' && (await isOver())) return false;
    throw error;
  }
}

/**
 * Stops a merge of the cancelled task: a process about to move the base does not read the record again, and a killed one
 * leaves its files. A failure here is only a warning.
 */
async function endMerge(session: Session, record: TaskRecord): Promise<void> {
  const { clearCandidates } = await import('../../git/base-branch.ts');
  const { clearScratches } = await import('../../git/scratch.ts');
  // Without git there are no merges.
  await clearCandidates(session, record.state.task_id).catch(() => {});
  await stopWhatIsLeft(session, record);
  try {
    await clearScratches(session);
  } catch (error) {
    session.warn(errorMessage(error));
  }
}

/** Stops processes that the record names and no owner looks after. A failure here is only a warning. */
async function stopWhatIsLeft(session: Session, record: TaskRecord): Promise<void> {
  try {
    const { stopFormerWorker } = await import('../../engine/attempt/takeover.ts');
    await stopFormerWorker(session, record);
  } catch (error) {
    session.warn(errorMessage(error));
  }
}
