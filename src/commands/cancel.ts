/** `cancel`: end a task for good. */

import * as z from 'zod/mini';
import { leaseStanding } from '../domain/task/leases.ts';
import { cancelTask } from '../domain/task/operations.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { isTerminal } from '../domain/task/states.ts';
import { observerOf } from '../engine/env.ts';
import { errorMessage, kindOf } from '../lib/errors.ts';
import { ancestorsOf } from '../lib/ids.ts';
import { changeTask } from '../store/change.ts';
import { command, optional, taskField } from './shared/command.ts';
import { countSchema, moveSchema } from './shared/data.ts';
import { planUnlessInvalid } from './shared/planned.ts';
import { orUnknown } from './shared/reads.ts';
import { openSession, type Session } from './shared/session.ts';

export const cancel = command({
  changes: true,
  examples: [
    ['cancel docs', 'docs is not needed'],
    ['cancel docs --reason "moved to the wiki"', 'and why'],
  ],
  input: z.object({ task: taskField(), reason: optional.text('text', 'Why, for the history') }),
  output: () =>
    z.strictObject({
      ...moveSchema().shape,
      /** Its children that were cancelled with it, and theirs. */
      children: countSchema(),
    }),
  /**
   * Ends a task for good, and its children that are not over. A run stops its worker within a second; what a dead run has left is stopped
   * here. Throws ILLEGAL_TRANSITION, TASK_NOT_FOUND.
   */
  async run(context, { task, reason = null }) {
    const session = await openSession(context);
    const { result } = await cancelOne(session, task, { reason });
    // The plan is read after it: from then on it makes no more children. What was cut off here is finished by a repeat.
    const plan = await planUnlessInvalid(session, 'its children, if it has any, are not cancelled');
    let children = 0;
    for (const { id } of plan?.tasks.filter((other) => ancestorsOf(other.id).includes(task)) ?? [])
      if (
        await cancelUnlessOver(session, id, { reason: reason ?? `${task}, which made it, was cancelled`, above: task })
      )
        children += 1;
    return { ...result, children };
  },
});

type Why = Omit<Parameters<typeof cancelTask>[1], 'nowMs'>;

async function cancelOne(session: Session, task: string, why: Why) {
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
  const { clearCandidates } = await import('../git/base-branch.ts');
  const { clearScratches } = await import('../git/scratch.ts');
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
    const { stopFormerWorker } = await import('../engine/attempt/takeover.ts');
    await stopFormerWorker(session, record);
  } catch (error) {
    session.warn(errorMessage(error));
  }
}
